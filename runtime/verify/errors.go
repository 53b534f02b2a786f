package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/ops"
)

// CannotRunError says that the embedded runtime can not run a model: it has no kernel for an operator, or does not know an
// attribute or type. Nothing is wrong with the model for all that is known; it can not be proven here.
type CannotRunError struct {
	Model     string   // which one: "the masked original", "the pruned model", a file
	Operators []string // that can not be run, with their domain where it is not the default one; each once
	Err       error
}

func (e *CannotRunError) Error() string {
	if len(e.Operators) == 0 {
		return fmt.Sprintf("%s can not be run here: %v", e.Model, e.Err)
	}
	return fmt.Sprintf("%s can not be run here because of %s: %v", e.Model, strings.Join(e.Operators, ", "), e.Err)
}

func (e *CannotRunError) Unwrap() error { return e.Err }

func cannotRun(err error) bool { return errors.As(err, new(*CannotRunError)) }

// compileError tells what the runtime does not have from what is wrong with a model.
func compileError(model string, err error) error {
	var missing *runtime.UnsupportedError
	if !errors.As(err, &missing) {
		return fmt.Errorf("compiling %s: %w", model, err)
	}
	e := &CannotRunError{Model: model, Err: err}
	for _, n := range missing.Nodes {
		name := n.Op
		if n.Domain != "" {
			name = n.Domain + "." + n.Op
		}
		if !slices.Contains(e.Operators, name) {
			e.Operators = append(e.Operators, name)
		}
	}
	return e
}

// runError does the same for what shows only when a model runs: a type that a kernel does not have, a memory limit.
func runError(model string, err error) error {
	var unknown *ops.UnknownError
	var limit *runtime.LimitError
	var node *runtime.NodeError
	if errors.As(err, &unknown) || errors.As(err, &limit) {
		e := &CannotRunError{Model: model, Err: err}
		if errors.As(err, &node) {
			e.Operators = []string{node.Op}
		}
		return e
	}
	return fmt.Errorf("%s does not run: %w", model, err)
}

// Load is the cheap check of a model file: it opens, its graph can be linked, its shapes do not contradict one another, and
// the runtime compiles it. Where the runtime lacks an operator the error is a *CannotRunError; the rest is right then.
func Load(ctx context.Context, path string) error {
	m, err := onnxio.Open(path)
	if err != nil {
		return err
	}
	defer m.Close()
	for _, check := range []func() error{
		func() error {
			g, err := graph.Build(m)
			if err != nil {
				return err
			}
			_, err = shape.Infer(g, shape.Options{})
			return err
		},
		func() error {
			s, err := runtime.Compile(m, runtime.Options{})
			if err != nil {
				return compileError(path, err)
			}
			return s.Close()
		},
	} {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := check(); err != nil {
			if cannotRun(err) {
				return err
			}
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}
