package ops

// Operators that turn each lane along an axis into another lane, or into an index: softmax and its relatives, running
// sums and products, normalization by a norm, and the place of the largest or smallest element.

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "Softmax", buildAlongAxis(softmax), 1, 11, 13)
	Register("", "LogSoftmax", buildAlongAxis(logSoftmax), 1, 11, 13)
	Register("", "Hardmax", buildAlongAxis(hardmax), 1, 11, 13)
	Register("", "LpNormalization", buildLpNormalization, 1, 22)
	Register("", "CumSum", buildRunning("CumSum"), 11, 14)
	Register("", "CumProd", buildRunning("CumProd"), 26)
	Register("", "ArgMax", buildArg(true), 1, 11, 12, 13)
	Register("", "ArgMin", buildArg(false), 1, 11, 12, 13)
}

// buildAlongAxis makes softmax and its relatives. Before opset 13 the input was coerced to two dimensions at the axis.
func buildAlongAxis(compute func(c *Context, lanes axisLanes, x *value.Tensor) (*value.Tensor, error)) Builder {
	return func(n *Node) (Kernel, error) {
		if err := n.CheckInputs(1, 1); err != nil {
			return nil, err
		}
		cut, axis := lanesAlong, int(n.Int("axis", -1))
		if n.Since < 13 {
			cut, axis = lanesFrom, int(n.Int("axis", 1))
		}
		return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			lanes, err := cut(in[0].Shape, axis)
			if err != nil {
				return nil, fmt.Errorf("%w of %v", err, in[0])
			}
			return oneOutput(compute(c, lanes, in[0]))
		}), nil
	}
}

func softmax(c *Context, lanes axisLanes, x *value.Tensor) (*value.Tensor, error) {
	d, narrow := x.Data.([]float32)
	if !narrow {
		return mapFloatLanes(c, lanes, x, softmaxLane[float32], softmaxLane[float64])
	}
	out, err := c.New(x.Type, x.Shape...)
	if err != nil {
		return nil, err
	}
	if lanes.inner == 1 {
		kernels.Softmax(c.Pool, d, lanes.outer, lanes.n, out.Data.([]float32))
	} else {
		softmaxColumns(c, lanes, out.Data.([]float32), d)
	}
	return out, nil
}

// softmaxColumns computes many neighbouring lanes at a time, row by row.
func softmaxColumns(c *Context, lanes axisLanes, dst, x []float32) {
	if lanes.n == 0 {
		return
	}
	const width = 256
	c.Pool.Do(lanes.outer*((lanes.inner+width-1)/width), 1, func(lo, hi int) {
		var tops [width]float32
		var partial [16][width]float32
		sums := make([][]float32, min(lanes.n, kernels.SumLanes()))
		blocks := (lanes.inner + width - 1) / width
		for b := lo; b < hi; b++ {
			first := b % blocks * width
			n := min(width, lanes.inner-first)
			at := b/blocks*lanes.n*lanes.inner + first
			row := func(s []float32, r int) []float32 { return s[at+r*lanes.inner : at+r*lanes.inner+n] }
			top := tops[:n]
			for i := range top {
				top[i] = float32(math.Inf(-1))
			}
			for l := range sums {
				sums[l] = partial[l][:n]
				clear(sums[l])
			}
			for r := range lanes.n {
				maxFloats(top, top, row(x, r))
			}
			for i, v := range top {
				if math.IsInf(float64(v), -1) {
					top[i] = 0 // a lane of -Inf gives 0/0, as the definition does
				}
			}
			for r := range lanes.n {
				kernels.Sub(row(dst, r), row(x, r), top)
				kernels.ExpSlice(row(dst, r), row(dst, r))
				kernels.Add(sums[r%len(sums)], sums[r%len(sums)], row(dst, r))
			}
			kernels.FoldLanes(sums)
			sum := sums[0]
			for i, v := range sum {
				sum[i] = 1 / v
			}
			for r := range lanes.n {
				kernels.Mul(row(dst, r), row(dst, r), sum)
			}
		}
	})
}

func logSoftmax(c *Context, lanes axisLanes, x *value.Tensor) (*value.Tensor, error) {
	return mapFloatLanes(c, lanes, x, logSoftmaxLane[float32], logSoftmaxLane[float64])
}

func hardmax(c *Context, lanes axisLanes, x *value.Tensor) (*value.Tensor, error) {
	return mapFloatLanes(c, lanes, x, hardmaxLane[float32], hardmaxLane[float64])
}

// mapFloatLanes applies a function of lanes to a float32 or float64 tensor.
func mapFloatLanes(c *Context, lanes axisLanes, x *value.Tensor, narrow func(dst, x []float32), double func(dst, x []float64)) (*value.Tensor, error) {
	if x.Type != onnxio.Float && x.Type != onnxio.Double {
		return nil, fmt.Errorf("it has no meaning for %v", x)
	}
	out, err := c.New(x.Type, x.Shape...)
	if err != nil {
		return nil, err
	}
	const cost = 8 // about an exponential
	switch src := x.Data.(type) {
	case []float32:
		mapLanes(c, lanes, cost, out.Data.([]float32), src, narrow)
	case []float64:
		mapLanes(c, lanes, cost, out.Data.([]float64), src, double)
	}
	return out, nil
}

func softmaxLane[T kernels.Float](dst, x []T) {
	if narrow, ok := any(x).([]float32); ok {
		kernels.Softmax(nil, narrow, 1, len(x), any(dst).([]float32))
		return
	}
	top, sum := float64(largestFloat(x)), 0.0
	for i, v := range x {
		e := math.Exp(float64(v) - top)
		sum += e
		dst[i] = T(e)
	}
	for i := range dst {
		dst[i] = T(float64(dst[i]) / sum)
	}
}

func logSoftmaxLane[T kernels.Float](dst, x []T) {
	if narrow, ok := any(x).([]float32); ok {
		kernels.LogSoftmax(nil, narrow, 1, len(x), any(dst).([]float32))
		return
	}
	shift := logSumExp(x)
	for i, v := range x {
		dst[i] = T(float64(v) - shift)
	}
}

// hardmaxLane sets the first of the largest elements to one, all others to zero.
func hardmaxLane[T kernels.Float](dst, x []T) {
	clear(dst)
	if len(x) > 0 {
		dst[firstBest(x, true, false)] = 1
	}
}

func buildLpNormalization(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	axis, order := int(n.Int("axis", -1)), n.Int("p", 2)
	if order != 1 && order != 2 {
		return nil, fmt.Errorf("attribute p is %d, known are 1 and 2", order)
	}
	return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		lanes, err := lanesAlong(in[0].Shape, axis)
		if err != nil {
			return nil, fmt.Errorf("%w of %v", err, in[0])
		}
		return oneOutput(mapFloatLanes(c, lanes, in[0], lpLane[float32](order), lpLane[float64](order)))
	}), nil
}

// lpLane divides a lane by its norm; a lane of zeros stays as it is.
func lpLane[T kernels.Float](order int64) func(dst, x []T) {
	op := "ReduceL2"
	if order == 1 {
		op = "ReduceL1"
	}
	norm := floatReducer[T](op)
	return func(dst, x []T) {
		size := norm(x)
		if size == 0 {
			size = 1
		}
		for i, v := range x {
			dst[i] = v / size
		}
	}
}

// buildRunning makes CumSum and CumProd, whose axis is an input.
func buildRunning(op string) Builder {
	return func(n *Node) (Kernel, error) {
		if err := n.CheckInputs(2, 2); err != nil {
			return nil, err
		}
		exclusive, reverse := n.Bool("exclusive", false), n.Bool("reverse", false)
		product := op == "CumProd"
		return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			x := in[0]
			axis, err := oneInt(in[1], "the axis")
			if err != nil {
				return nil, err
			}
			lanes, err := lanesAlong(x.Shape, axis)
			if err != nil {
				return nil, fmt.Errorf("%w of %v", err, x)
			}
			out, err := c.New(x.Type, x.Shape...)
			if err != nil {
				return nil, err
			}
			switch x.Type {
			case onnxio.Float:
				runLanes[float32, float64](c, lanes, out, x, product, exclusive, reverse)
			case onnxio.Double:
				runLanes[float64, float64](c, lanes, out, x, product, exclusive, reverse)
			case onnxio.Int32:
				runLanes[int32, int32](c, lanes, out, x, product, exclusive, reverse)
			case onnxio.Int64:
				runLanes[int64, int64](c, lanes, out, x, product, exclusive, reverse)
			case onnxio.Uint32:
				runLanes[uint32, uint32](c, lanes, out, x, product, exclusive, reverse)
			case onnxio.Uint64:
				runLanes[uint64, uint64](c, lanes, out, x, product, exclusive, reverse)
			default:
				return nil, fmt.Errorf("it has no meaning for %v", x)
			}
			return []*value.Tensor{out}, nil
		}), nil
	}
}

// runLanes accumulates each lane of T in A.
func runLanes[T, A kernels.Number](c *Context, lanes axisLanes, out, x *value.Tensor, product, exclusive, reverse bool) {
	mapLanes(c, lanes, 1, out.Data.([]T), x.Data.([]T), func(dst, x []T) {
		var sum A
		if product {
			sum = 1
		}
		for i := range x {
			if reverse {
				i = len(x) - 1 - i
			}
			if exclusive {
				dst[i] = T(sum)
			}
			if product {
				sum *= A(x[i])
			} else {
				sum += A(x[i])
			}
			if !exclusive {
				dst[i] = T(sum)
			}
		}
	})
}

func buildArg(largest bool) Builder {
	return func(n *Node) (Kernel, error) {
		if err := n.CheckInputs(1, 1); err != nil {
			return nil, err
		}
		a := argument{largest: largest, axis: int(n.Int("axis", 0)), keepDims: n.Bool("keepdims", true)}
		if n.Since >= 12 {
			a.last = n.Bool("select_last_index", false)
		}
		return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			return oneOutput(a.run(c, in[0]))
		}), nil
	}
}

// argument finds the place of the largest or smallest element of every lane.
type argument struct {
	largest, last, keepDims bool
	axis                    int
}

func (a argument) run(c *Context, x *value.Tensor) (*value.Tensor, error) {
	lanes, err := lanesAlong(x.Shape, a.axis)
	if err != nil {
		return nil, fmt.Errorf("%w of %v", err, x)
	}
	var shape []int
	for d, size := range x.Shape {
		switch {
		case d != a.axis && d != a.axis+len(x.Shape):
			shape = append(shape, size)
		case a.keepDims:
			shape = append(shape, 1)
		}
	}
	out, err := c.New(onnxio.Int64, shape...)
	if err != nil {
		return nil, err
	}
	if lanes.n == 0 && out.Len() > 0 {
		return nil, fmt.Errorf("axis %d of %v has no elements to choose from", a.axis, x)
	}
	switch x.Type {
	case onnxio.Float:
		argLanes[float32](c, lanes, a, out, x)
	case onnxio.Double:
		argLanes[float64](c, lanes, a, out, x)
	case onnxio.Int8:
		argLanes[int8](c, lanes, a, out, x)
	case onnxio.Int16:
		argLanes[int16](c, lanes, a, out, x)
	case onnxio.Int32:
		argLanes[int32](c, lanes, a, out, x)
	case onnxio.Int64:
		argLanes[int64](c, lanes, a, out, x)
	case onnxio.Uint8:
		argLanes[uint8](c, lanes, a, out, x)
	case onnxio.Uint16:
		argLanes[uint16](c, lanes, a, out, x)
	case onnxio.Uint32:
		argLanes[uint32](c, lanes, a, out, x)
	case onnxio.Uint64:
		argLanes[uint64](c, lanes, a, out, x)
	default:
		return nil, fmt.Errorf("it has no meaning for %v", x)
	}
	return out, nil
}

func argLanes[T kernels.Number](c *Context, lanes axisLanes, a argument, out, x *value.Tensor) {
	dst := out.Data.([]int64)
	readLanes(c, lanes, 1, x.Data.([]T), func(lane int, x []T) { dst[lane] = int64(firstBest(x, a.largest, a.last)) })
}

// firstBest is the index of the largest or smallest element, the first or the last of equals.
func firstBest[T kernels.Number](x []T, largest, last bool) int {
	at := 0
	switch {
	case largest && last:
		for i, v := range x {
			if v >= x[at] {
				at = i
			}
		}
	case largest:
		for i, v := range x {
			if v > x[at] {
				at = i
			}
		}
	case last:
		for i, v := range x {
			if v <= x[at] {
				at = i
			}
		}
	default:
		for i, v := range x {
			if v < x[at] {
				at = i
			}
		}
	}
	return at
}
