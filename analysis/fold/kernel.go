package fold

import (
	"maps"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// kernel is one operator: run computes an output, can says beforehand whether it is able to; nil for always.
type kernel struct {
	can func(c *call) bool
	run func(c *call) []float64
}

// kernels holds every operator that is known, by name; all are of ai.onnx.
var kernels = map[string]kernel{}

// Operators lists the operators that are known, sorted.
func Operators() []string { return slices.Sorted(maps.Keys(kernels)) }

// call is one node at work. While can is asked, ins and out are not there yet.
type call struct {
	*Values
	node   *graph.Node
	output *graph.Value // the output that is wanted
	ins    []*Tensor    // nil where absent
	out    []int        // the output's shape
}

// in returns an operand, nil where it is absent.
func (c *call) in(i int) *Tensor {
	if i >= 0 && i < len(c.ins) {
		return c.ins[i]
	}
	return nil
}

// elem returns the element type of the output.
func (c *call) elem() onnxio.DataType { return c.shapes.Of(c.output).Elem }

// dims returns the shape of an operand before it is computed.
func (c *call) dims(i int) []int {
	d, _ := extents(c.shapes.Of(c.node.Input(i)))
	return d
}

// integers returns a list from an attribute, or from an operand (-1 for none); ok is false where neither is there.
func (c *call) integers(attr string, input int) (vs []int, ok bool) {
	if list, has := c.node.Ints(attr); has {
		for _, v := range list {
			vs = append(vs, int(v))
		}
		return vs, true
	}
	if t := c.in(input); t != nil {
		for _, v := range t.Data {
			vs = append(vs, int(v))
		}
		return vs, true
	}
	return nil, false
}

// axis brings an axis of a tensor into 0..rank-1.
func axis(a, rank int) int {
	if a < 0 {
		a += rank
	}
	return a
}

// strides returns the distance of neighbours along each axis.
func strides(dims []int) []int {
	out := make([]int, len(dims))
	n := 1
	for k := len(dims) - 1; k >= 0; k-- {
		out[k] = n
		n *= dims[k]
	}
	return out
}

// each calls f for every element of a shape in order, with its index, which f must not keep.
func each(dims []int, f func(i int, index []int)) {
	index := make([]int, len(dims))
	for i := range count(dims) {
		f(i, index)
		for k := len(dims) - 1; k >= 0; k-- {
			if index[k]++; index[k] < dims[k] {
				break
			}
			index[k] = 0
		}
	}
}

// dot is the sum of products of index and strides.
func dot(index, strides []int) int {
	at := 0
	for k, s := range strides {
		at += index[k] * s
	}
	return at
}

// aligned returns the strides of an operand that is broadcast to a shape: 0 along axes that it repeats.
func aligned(dims, to []int) []int {
	s := strides(dims)
	out := make([]int, len(to))
	for k, d := range dims {
		if d > 1 {
			out[k+len(to)-len(dims)] = s[k]
		}
	}
	return out
}
