package runtime

import (
	"errors"
	"fmt"
	"strings"

	"onnxprune/runtime/value"
)

// NodeError says at which node a run failed.
type NodeError struct {
	Path   string   // names of the enclosing nodes and bodies, and the node's own: "Loop_12/body/Conv_3"
	Op     string   // with its domain, unless that is the default one
	Inputs []string // type and shape of each input, "absent" where there is none
	Err    error
}

func (e *NodeError) Error() string {
	return fmt.Sprintf("%s (%s) with inputs (%s): %v", e.Path, e.Op, strings.Join(e.Inputs, ", "), e.Err)
}

func (e *NodeError) Unwrap() error { return e.Err }

// Unsupported is one node that can not be compiled, and why.
type Unsupported struct {
	Path       string
	Domain, Op string
	Version    int // of the opset
	Err        error
}

// UnsupportedError lists every node of a model that the runtime can not compile: unknown operators (their Err is an
// *ops.UnknownError), unknown attributes, wrong numbers of inputs.
type UnsupportedError struct {
	Nodes []Unsupported
}

// Error names the first nodes and counts the others.
func (e *UnsupportedError) Error() string {
	const most = 5
	var b strings.Builder
	b.WriteString("the model can not be run: ")
	for i, n := range e.Nodes {
		if i == most {
			fmt.Fprintf(&b, "; and %d more nodes", len(e.Nodes)-most)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s (%s): %v", n.Path, qualified(n.Domain, n.Op), n.Err)
	}
	return b.String()
}

// Unwrap lets errors.As find the reasons.
func (e *UnsupportedError) Unwrap() []error {
	out := make([]error, len(e.Nodes))
	for i, n := range e.Nodes {
		out[i] = n.Err
	}
	return out
}

func qualified(domain, op string) string {
	if domain == "" {
		return op
	}
	return domain + "." + op
}

// InputError says what is wrong with the inputs of a run.
type InputError struct {
	Name string
	Err  error
}

func (e *InputError) Error() string { return fmt.Sprintf("input %q: %v", e.Name, e.Err) }

func (e *InputError) Unwrap() error { return e.Err }

// at wraps what a step's kernel said. An error that comes out of a body names its node already.
func (s *step) at(err error, in []value.Value) error {
	var inner *NodeError
	if errors.As(err, &inner) {
		return err
	}
	e := &NodeError{Path: s.path, Op: qualified(s.domain, s.op), Err: err}
	for _, v := range in[:min(len(in), s.own)] {
		if v == nil {
			e.Inputs = append(e.Inputs, "absent")
		} else {
			e.Inputs = append(e.Inputs, v.String())
		}
	}
	return e
}

var errOutsideRun = errors.New("internal error: a body was called outside of a run")

// argumentError says that a control-flow operator gave its body a wrong number of inputs.
type argumentError struct {
	body      string
	got, want int
}

func (e argumentError) Error() string {
	return fmt.Sprintf("the body %q takes %d inputs, but the node gives it %d", e.body, e.want, e.got)
}
