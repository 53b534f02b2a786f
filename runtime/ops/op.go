// Package ops holds the operators of the runtime: for each, what it reads of a node, and how it
// computes. One file holds one family; each registers its operators in the one table
// of this package, by domain, name and the opset version in which their meaning began.
//
// To add an operator: write a Builder in its family's file and add a line to that file's
// init. The Builder reads every attribute and input that it understands; whatever a
// node has beyond that makes Build fail, so nothing is ever ignored in silence.
package ops

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

// Kernel computes the outputs of one node. It is safe for concurrent use: whatever a run needs lives in the
// Context or on the stack.
//
// in has one entry for every input of the node, nil where an optional input is absent. The result
// has one entry for every output that the node names, nil allowed where the name is empty. Inputs must
// not be written to. An output may share memory with an input only through Tensor.View.
type Kernel interface {
	Run(c *Context, in []value.Value) ([]value.Value, error)
}

// Func is a Kernel made of a function on values.
type Func func(c *Context, in []value.Value) ([]value.Value, error)

// Run calls f.
func (f Func) Run(c *Context, in []value.Value) ([]value.Value, error) { return f(c, in) }

// TensorFunc is a Kernel whose inputs and outputs are tensors. An input that is no tensor is an error.
type TensorFunc func(c *Context, in []*value.Tensor) ([]*value.Tensor, error)

// Run checks that all inputs are tensors and calls f.
func (f TensorFunc) Run(c *Context, in []value.Value) ([]value.Value, error) {
	ts := make([]*value.Tensor, len(in))
	for i, v := range in {
		if v == nil {
			continue
		}
		t, ok := v.(*value.Tensor)
		if !ok {
			return nil, fmt.Errorf("input %d is a %v, want a tensor", i, v)
		}
		ts[i] = t
	}
	out, err := f(c, ts)
	if err != nil {
		return nil, err
	}
	vs := make([]value.Value, len(out))
	for i, t := range out {
		if t != nil {
			vs[i] = t
		}
	}
	return vs, nil
}

// Context is what a run gives to its operators.
type Context struct {
	context.Context               // cancels the run
	Pool            *kernels.Pool // worker threads; nil runs serially
	Alloc           Allocator     // nil: plain make
	Random          func() uint64 // source of random operators without a seed; nil: a fixed one
	TripLimit       int64         // most iterations of one Loop; 0: none
}

// Allocator hands out zeroed memory for intermediate values, and takes it back.
type Allocator interface {
	// New returns a zeroed tensor, or an error when the run's memory limit would be passed.
	New(t onnxio.DataType, shape []int) (*value.Tensor, error)
}

// New returns a zeroed tensor. Shapes that come from data may be anything: they are checked.
func (c *Context) New(t onnxio.DataType, shape ...int) (*value.Tensor, error) {
	n, err := value.CheckedCount(shape)
	if err != nil {
		return nil, err
	}
	if c.Alloc != nil {
		return c.Alloc.New(t, shape)
	}
	d := value.Make(t, n)
	if d == nil {
		return nil, fmt.Errorf("%v is not an element type", t)
	}
	return &value.Tensor{Type: t, Shape: slices.Clone(shape), Data: d}, nil
}

// Builder reads a node and returns the kernel that computes it. Attributes that it did not read
// make Build fail.
type Builder func(n *Node) (Kernel, error)

// Spec is one entry of the operator table.
type Spec struct {
	Domain, Op string
	Since      int // first opset version with this meaning
	Build      Builder
}

var table = map[[2]string][]Spec{}

// Register adds an operator to the table. since lists every opset version in which the
// operator's meaning or signature changed and that build handles; build sees the one that applies as
// Node.Since.
func Register(domain, op string, build Builder, since ...int) {
	key := [2]string{domain, op}
	for _, s := range since {
		for _, old := range table[key] {
			if old.Since == s {
				panic(fmt.Sprintf("ops: %s.%s since %d is registered twice", domain, op, s))
			}
		}
		table[key] = append(table[key], Spec{domain, op, s, build})
	}
	slices.SortFunc(table[key], func(a, b Spec) int { return a.Since - b.Since })
}

// Lookup returns the entry that applies to an operator at an opset version.
func Lookup(domain, op string, version int) (Spec, bool) {
	specs := table[[2]string{domain, op}]
	for i := len(specs) - 1; i >= 0; i-- {
		if specs[i].Since <= version {
			return specs[i], true
		}
	}
	return Spec{}, false
}

// Table returns all entries, sorted by domain, operator and version.
func Table() []Spec {
	var out []Spec
	for _, s := range table {
		out = append(out, s...)
	}
	slices.SortFunc(out, func(a, b Spec) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Op, b.Op), cmp.Compare(a.Since, b.Since))
	})
	return out
}

// UnknownError says that the runtime has no operator of that name, or none for that version.
type UnknownError struct {
	Domain, Op string
	Version    int
}

func (e *UnknownError) Error() string {
	name := e.Op
	if e.Domain != "" {
		name = e.Domain + "." + e.Op
	}
	return fmt.Sprintf("the runtime has no operator %s for opset %d", name, e.Version)
}

// Build looks the node's operator up and makes its kernel.
func Build(n *Node) (Kernel, error) {
	spec, ok := Lookup(n.Domain, n.Op, n.Version)
	if !ok {
		return nil, &UnknownError{n.Domain, n.Op, n.Version}
	}
	n.Since = spec.Since
	k, err := spec.Build(n)
	if err == nil {
		err = n.unread()
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}
