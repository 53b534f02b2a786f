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
	Behind    []string // nodes behind these that the plan changes: without them the rest would be proof enough
	Err       error

	paths []string // of the nodes
}

func (e *CannotRunError) Error() string {
	if len(e.Operators) == 0 {
		return fmt.Sprintf("%s can not be run here: %v", e.Model, e.Err)
	}
	return fmt.Sprintf("%s can not be run here because of %s: %v", e.Model, strings.Join(e.Operators, ", "), e.Err)
}

func (e *CannotRunError) Unwrap() error { return e.Err }

// SizeError says that the reference does not run at the sizes that were chosen for what its inputs leave open.
type SizeError struct {
	Inputs []string // of which extents are open
	Tried  []string // the sizes: "src 1x3x320x320, r1i 1x12x320x320"
	Err    error    // what happened at the first of them
}

func (e *SizeError) Error() string {
	sizes := fmt.Sprintf("at none of the %d sizes that were tried (%s first)", len(e.Tried), e.Tried[0])
	if len(e.Tried) == 1 {
		sizes = "at the size that was taken (" + e.Tried[0] + ")"
	}
	return fmt.Sprintf("the model leaves the size of %s open and runs %s: %v", strings.Join(e.Inputs, ", "), sizes, e.Err)
}

func (e *SizeError) Unwrap() error { return e.Err }

// failedRun is a model that compiles and fails when it runs.
type failedRun struct{ error }

func (e failedRun) Unwrap() error { return e.error }

func cannotRun(err error) bool { return errors.As(err, new(*CannotRunError)) }

// compileError tells what the runtime does not have from what is wrong with a model.
func compileError(model string, err error) error {
	var missing *runtime.UnsupportedError
	if !errors.As(err, &missing) {
		return fmt.Errorf("compiling %s: %w", model, err)
	}
	e := &CannotRunError{Model: model, Err: err}
	for _, n := range missing.Nodes {
		e.paths = append(e.paths, n.Path)
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
			if unknown != nil {
				e.paths = []string{node.Path}
				return e
			}
		}
		return failedRun{e}
	}
	return failedRun{fmt.Errorf("%s does not run: %w", model, err)}
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
