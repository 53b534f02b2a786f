package ops

// Reductions over any set of axes. The reduced axes become one, the lanes of which are reduced one by one; where they
// are not neighbours, the tensor is transposed first. Sums of floats run in float64.
//
// Axes were an attribute before opset 18 (ReduceSum: 13) and are an input since.

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "ReduceSum", buildReduce("ReduceSum", 13), 1, 11, 13)
	for _, op := range []string{"ReduceMax", "ReduceMin"} {
		Register("", op, buildReduce(op, 18), 1, 11, 12, 13, 18, 20)
	}
	for _, op := range []string{"ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"} {
		Register("", op, buildReduce(op, 18), 1, 11, 13, 18)
	}
}

// reduction is what a node says about its axes.
type reduction struct {
	op       string
	axes     []int
	given    bool // axes are an attribute
	keepDims bool
	noop     bool // no axes means none, not all
}

func buildReduce(op string, axesAreInput int) Builder {
	return func(n *Node) (Kernel, error) {
		r := reduction{op: op, keepDims: n.Bool("keepdims", true)}
		most := 1
		if n.Since >= axesAreInput {
			r.noop = n.Bool("noop_with_empty_axes", false)
			most = 2
		} else {
			r.axes, r.given = n.Ints("axes"), n.Has("axes")
		}
		if err := n.CheckInputs(1, most); err != nil {
			return nil, err
		}
		return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			axes := r.axes
			if len(in) > 1 && in[1] != nil {
				var err error
				if axes, err = intsOf(in[1], "the list of axes"); err != nil {
					return nil, err
				}
			}
			return oneOutput(r.run(c, in[0], axes))
		}), nil
	}
}

func (r reduction) run(c *Context, x *value.Tensor, axes []int) (*value.Tensor, error) {
	reduced, err := r.reducedAxes(axes, len(x.Shape))
	if err != nil {
		return nil, fmt.Errorf("%w of %v", err, x)
	}
	var shape []int
	for d, size := range x.Shape {
		switch {
		case !reduced[d]:
			shape = append(shape, size)
		case r.keepDims:
			shape = append(shape, 1)
		}
	}
	out, err := c.New(x.Type, shape...)
	if err != nil {
		return nil, err
	}
	x, lanes, err := lanesOfAxes(c, x, reduced)
	if err != nil {
		return nil, err
	}
	ok := false
	switch x.Type {
	case onnxio.Float:
		ok = reduceLanes(c, lanes, out, x, floatReducer[float32](r.op))
	case onnxio.Double:
		ok = reduceLanes(c, lanes, out, x, floatReducer[float64](r.op))
	case onnxio.Int8:
		ok = reduceLanes(c, lanes, out, x, intReducer[int8](r.op, math.MinInt8, math.MaxInt8))
	case onnxio.Int16:
		ok = reduceLanes(c, lanes, out, x, intReducer[int16](r.op, math.MinInt16, math.MaxInt16))
	case onnxio.Int32:
		ok = reduceLanes(c, lanes, out, x, intReducer[int32](r.op, math.MinInt32, math.MaxInt32))
	case onnxio.Int64:
		ok = reduceLanes(c, lanes, out, x, intReducer[int64](r.op, math.MinInt64, math.MaxInt64))
	case onnxio.Uint8:
		ok = reduceLanes(c, lanes, out, x, intReducer[uint8](r.op, 0, math.MaxUint8))
	case onnxio.Uint16:
		ok = reduceLanes(c, lanes, out, x, intReducer[uint16](r.op, 0, math.MaxUint16))
	case onnxio.Uint32:
		ok = reduceLanes(c, lanes, out, x, intReducer[uint32](r.op, 0, math.MaxUint32))
	case onnxio.Uint64:
		ok = reduceLanes(c, lanes, out, x, intReducer[uint64](r.op, 0, math.MaxUint64))
	case onnxio.Bool:
		ok = reduceLanes(c, lanes, out, x, boolReducer(r.op))
	}
	if !ok {
		return nil, fmt.Errorf("it has no meaning for %v", x)
	}
	if r.op == "ReduceMean" && lanes.n == 0 && !x.Type.IsFloat() && out.Len() > 0 {
		return nil, fmt.Errorf("the mean of no integers, over axes %v of %v", axes, x)
	}
	return out, nil
}

func (r reduction) reducedAxes(axes []int, rank int) ([]bool, error) {
	reduced := make([]bool, rank)
	if len(axes) == 0 && !r.noop {
		for d := range reduced {
			reduced[d] = true
		}
	}
	for _, a := range axes {
		a, err := axisIn(a, rank)
		if err != nil {
			return nil, err
		}
		reduced[a] = true
	}
	return reduced, nil
}

// lanesOfAxes turns the reduced axes into one, transposing x if they are not neighbours.
func lanesOfAxes(c *Context, x *value.Tensor, reduced []bool) (*value.Tensor, axisLanes, error) {
	first, last := len(reduced), -1
	for d, r := range reduced {
		if r && x.Shape[d] != 1 {
			first, last = min(first, d), max(last, d)
		}
	}
	if last < 0 { // nothing but axes of size one
		return x, axisLanes{x.Len(), 1, 1}, nil
	}
	neighbours := true
	var kept, gone []int
	lanes := axisLanes{1, 1, 1}
	for d, r := range reduced {
		if r {
			gone = append(gone, d)
			lanes.n *= x.Shape[d]
			continue
		}
		kept = append(kept, d)
		lanes.outer *= x.Shape[d]
		neighbours = neighbours && (d < first || d > last || x.Shape[d] == 1)
	}
	if neighbours {
		lanes.outer, lanes.inner = 1, 1
		for d, r := range reduced {
			switch {
			case r:
			case d < first:
				lanes.outer *= x.Shape[d]
			default:
				lanes.inner *= x.Shape[d]
			}
		}
		return x, lanes, nil
	}
	moved, err := transposed(c, x, x.Shape, append(kept, gone...))
	return moved, lanes, err
}

func reduceLanes[T any](c *Context, lanes axisLanes, out, x *value.Tensor, f func([]T) T) bool {
	if f == nil {
		return false
	}
	dst := out.Data.([]T)
	readLanes(c, lanes, 1, x.Data.([]T), func(lane int, x []T) { dst[lane] = f(x) })
	return true
}

// floatReducer returns the reduction of one lane. The empty lane gives the neutral element.
func floatReducer[T kernels.Float](op string) func([]T) T {
	switch op {
	case "ReduceSum":
		return func(x []T) T { return T(sumFloats(x)) }
	case "ReduceMean":
		return func(x []T) T { return T(sumFloats(x) / float64(len(x))) }
	case "ReduceSumSquare":
		return func(x []T) T { return T(sumSquares(x)) }
	case "ReduceL2":
		return func(x []T) T { return T(math.Sqrt(sumSquares(x))) }
	case "ReduceL1":
		return func(x []T) T {
			s := 0.0
			for _, v := range x {
				s += math.Abs(float64(v))
			}
			return T(s)
		}
	case "ReduceLogSum":
		return func(x []T) T { return T(math.Log(sumFloats(x))) }
	case "ReduceLogSumExp":
		return func(x []T) T { return T(logSumExp(x)) }
	case "ReduceProd":
		return func(x []T) T {
			p := 1.0
			for _, v := range x {
				p *= float64(v)
			}
			return T(p)
		}
	case "ReduceMax":
		return func(x []T) T { return largestFloat(x) }
	case "ReduceMin":
		return func(x []T) T {
			least := T(math.Inf(1))
			for _, v := range x {
				if v < least || v != v {
					least = v
				}
			}
			return least
		}
	}
	return nil
}

// largestFloat is -Inf for no elements, and NaN where one is NaN.
func largestFloat[T kernels.Float](x []T) T {
	top := T(math.Inf(-1))
	for _, v := range x {
		if v > top || v != v {
			top = v
		}
	}
	return top
}

// sumFloats adds in float64, in four interleaved sums, which do not wait for each other.
func sumFloats[T kernels.Float](x []T) float64 {
	var a, b, c, d float64
	i := 0
	for ; i+4 <= len(x); i += 4 {
		a += float64(x[i])
		b += float64(x[i+1])
		c += float64(x[i+2])
		d += float64(x[i+3])
	}
	for ; i < len(x); i++ {
		a += float64(x[i])
	}
	return (a + b) + (c + d)
}

func sumSquares[T kernels.Float](x []T) float64 {
	var a, b float64
	i := 0
	for ; i+2 <= len(x); i += 2 {
		a += float64(x[i]) * float64(x[i])
		b += float64(x[i+1]) * float64(x[i+1])
	}
	if i < len(x) {
		a += float64(x[i]) * float64(x[i])
	}
	return a + b
}

// logSumExp is log(sum(exp(x))), shifted by the largest element so that nothing overflows.
func logSumExp[T kernels.Float](x []T) float64 {
	top := float64(largestFloat(x))
	if math.IsInf(top, 0) {
		return top
	}
	s := 0.0
	for _, v := range x {
		s += math.Exp(float64(v) - top)
	}
	return top + math.Log(s)
}

// intReducer returns the reduction of one lane of integers, which wrap around. least and most are the type's limits.
func intReducer[T kernels.Integer](op string, least, most T) func([]T) T {
	switch op {
	case "ReduceSum":
		return sumInts[T]
	case "ReduceMean":
		return func(x []T) T {
			if len(x) == 0 {
				return 0
			}
			s := int64(0)
			for _, v := range x {
				s += int64(v)
			}
			return T(s / int64(len(x)))
		}
	case "ReduceSumSquare":
		return func(x []T) (s T) {
			for _, v := range x {
				s += v * v
			}
			return s
		}
	case "ReduceL1":
		return func(x []T) (s T) {
			for _, v := range x {
				if v < 0 {
					v = -v
				}
				s += v
			}
			return s
		}
	case "ReduceProd":
		return func(x []T) T {
			p := T(1)
			for _, v := range x {
				p *= v
			}
			return p
		}
	case "ReduceMax":
		return func(x []T) T {
			top := least
			for _, v := range x {
				top = max(top, v)
			}
			return top
		}
	case "ReduceMin":
		return func(x []T) T {
			low := most
			for _, v := range x {
				low = min(low, v)
			}
			return low
		}
	}
	inFloat := floatReducer[float64](op)
	return func(x []T) T { // roots and logarithms
		wide := make([]float64, len(x))
		for i, v := range x {
			wide[i] = float64(v)
		}
		return floatToInt[T](inFloat(wide))
	}
}

func sumInts[T kernels.Integer](x []T) (s T) {
	for _, v := range x {
		s += v
	}
	return s
}

// boolReducer knows maximum (or) and minimum (and).
func boolReducer(op string) func([]bool) bool {
	var stop bool
	switch op {
	case "ReduceMax":
		stop = true
	case "ReduceMin":
		stop = false
	default:
		return nil
	}
	return func(x []bool) bool {
		for _, v := range x {
			if v == stop {
				return stop
			}
		}
		return !stop
	}
}
