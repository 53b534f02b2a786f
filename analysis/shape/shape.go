// Package shape infers the type, the shape and, where it is small, the content of every value of a model.
//
// An extent is a Dim: an integer polynomial over symbols, so that a symbolic batch, height or width passes through
// strides, upsampling, reshapes and the arithmetic that exporters write on Shape, and comes out as the
// expression that it is. The elements of small tensors are tracked in the same algebra: the
// target of a Reshape that a chain of Shape, Gather, Mul and Concat computes is known element by element.
//
// What is not known is an unknown, never a guess; what contradicts itself (a Concat of unequal
// shapes, a weight that does not fit its input) is an error that names node, tensors and shapes.
package shape

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// Info is what is known of a value.
type Info struct {
	Kind  onnxio.Kind
	Elem  onnxio.DataType // of a tensor's elements; Undefined where unknown
	Of    *Info           // the element of a sequence or optional
	Known bool            // the rank is known
	Dims  []Dim           // one per axis when Known; an unknown extent is a symbol of its own
	Nums  []Num           // the elements, row-major, of small tensors where any are known; nil otherwise

	empty bool // of a sequence that has no element yet: what is put in replaces it
}

// Rank returns the number of axes, -1 where it is unknown.
func (in *Info) Rank() int {
	if !in.Known {
		return -1
	}
	return len(in.Dims)
}

// Fixed returns the extent of an axis when it is a known number.
func (in *Info) Fixed(axis int) (int64, bool) {
	if !in.Known || axis < 0 || axis >= len(in.Dims) {
		return 0, false
	}
	return in.Dims[axis].Const()
}

// Len returns the number of elements of a tensor of known rank.
func (in *Info) Len() (Dim, bool) {
	if !in.Known {
		return Dim{}, false
	}
	n := Const(1)
	for _, d := range in.Dims {
		n = n.Mul(d)
	}
	return n, true
}

// Ints returns the elements when all of them are known integers.
func (in *Info) Ints() ([]int64, bool) {
	if in.Nums == nil {
		return nil, false
	}
	out := make([]int64, len(in.Nums))
	for i, n := range in.Nums {
		d, ok := n.Int()
		if !ok {
			return nil, false
		}
		if out[i], ok = d.Const(); !ok {
			return nil, false
		}
	}
	return out, true
}

// String describes the value for people, such as "float32[N,3,H,W]".
func (in *Info) String() string {
	switch in.Kind {
	case onnxio.KindSequence, onnxio.KindOptional:
		word := "sequence"
		if in.Kind == onnxio.KindOptional {
			word = "optional"
		}
		if in.Of == nil {
			return word
		}
		return word + " of " + in.Of.String()
	}
	elem := ""
	if in.Elem != onnxio.Undefined {
		elem = in.Elem.String()
	}
	if !in.Known {
		return elem + "[...]"
	}
	ds := make([]string, len(in.Dims))
	for i, d := range in.Dims {
		ds[i] = d.String()
	}
	return elem + "[" + strings.Join(ds, ",") + "]"
}

// numKind says how a Num is known.
type numKind uint8

const (
	numUnknown numKind = iota
	numDim             // an integer, perhaps in a tensor of floats
	numRatio           // a Dim over a constant that does not divide it
	numFloat           // a float that is no integer
)

// Num is one element of a small tensor: an integer polynomial, a float, or unknown (the zero Num).
type Num struct {
	kind numKind
	dim  Dim
	by   int64 // of numRatio
	f    float64
}

// IntNum returns the element d.
func IntNum(d Dim) Num { return Num{kind: numDim, dim: d} }

// FloatNum returns the element f. An integral float is the integer.
func FloatNum(f float64) Num {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return IntNum(Const(int64(f)))
	}
	return Num{kind: numFloat, f: f}
}

// Known reports whether anything is known of the element.
func (n Num) Known() bool { return n.kind != numUnknown }

// Int returns the element as an integer, also where it stands in a tensor of floats.
func (n Num) Int() (Dim, bool) { return n.dim, n.kind == numDim }

// Float returns the element as a number.
func (n Num) Float() (float64, bool) {
	switch n.kind {
	case numFloat:
		return n.f, true
	case numDim:
		c, ok := n.dim.Const()
		return float64(c), ok
	}
	return 0, false
}

// Equal reports whether both are known to be the same number.
func (n Num) Equal(m Num) bool {
	if n.kind != m.kind {
		return false
	}
	switch n.kind {
	case numDim:
		return n.dim.Equal(m.dim)
	case numRatio:
		return n.by == m.by && n.dim.Equal(m.dim)
	case numFloat:
		return n.f == m.f || n.f != n.f && m.f != m.f
	}
	return false
}

// String writes the element; "?" where it is unknown.
func (n Num) String() string {
	switch n.kind {
	case numDim:
		return n.dim.String()
	case numRatio:
		return grouped(n.dim) + "/" + strconv.FormatInt(n.by, 10)
	case numFloat:
		return strconv.FormatFloat(n.f, 'g', -1, 64)
	}
	return "?"
}

// Options say what the model itself leaves open.
type Options struct {
	Inputs map[string][]int64 // the shapes of graph inputs
}

// Result holds what was inferred.
type Result struct {
	infos []Info // by Value.ID
}

var unknown Info

// Of returns what is known of a value. The result is never nil and must not be changed.
func (r *Result) Of(v *graph.Value) *Info {
	if v == nil || v.ID >= len(r.infos) {
		return &unknown
	}
	return &r.infos[v.ID]
}

func cloneDims(ds []Dim) []Dim { return slices.Clone(ds) }
