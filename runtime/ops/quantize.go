package ops

// QuantizeLinear and DequantizeLinear: between floats and small integers (or small floats), with
// one scale for the tensor, one for each index of an axis, or one for each block along an axis.
// Quotients are taken and rounded as ONNX Runtime does: in float32, half to even, then saturated.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "QuantizeLinear", buildQuantizeLinear, 10, 13, 19, 21, 23, 24, 25)
	Register("", "DequantizeLinear", buildDequantizeLinear, 10, 13, 19, 21, 23, 24, 25)
	Register("com.microsoft", "QuantizeLinear", buildQuantizeLinear, 1)
	Register("com.microsoft", "DequantizeLinear", buildDequantizeLinear, 1)
}

// quantization is what the attributes of the two operators say.
type quantization struct {
	axis      int
	block     int // 0: not blocked
	saturate  bool
	output    onnxio.DataType // Undefined: that of the zero point, or of the scale
	precision onnxio.DataType // of the quotient; Undefined: float32
	scaleType bool            // the quotient has the scale's precision where none is given
}

func readQuantization(n *Node) (*quantization, error) {
	q := &quantization{axis: 1, saturate: true}
	microsoft := n.Domain != ""
	if microsoft || n.Since >= 13 {
		q.axis = int(n.Int("axis", 1))
	}
	quantizes := n.Op == "QuantizeLinear"
	if quantizes && (microsoft || n.Since >= 19) {
		q.saturate = n.Bool("saturate", true)
	}
	if microsoft || n.Since >= 21 {
		q.block = int(n.Int("block_size", 0))
	}
	if quantizes && (microsoft || n.Since >= 21) || n.Since >= 23 {
		q.output = onnxio.DataType(n.Int("output_dtype", 0))
	}
	if quantizes && n.Since >= 23 {
		q.precision = onnxio.DataType(n.Int("precision", 0))
		q.scaleType = true
	}
	if q.block < 0 {
		return nil, fmt.Errorf("attribute block_size is %d", q.block)
	}
	return q, n.CheckInputs(2, 3)
}

// granules tells which scale belongs to which element: the tensor is outer x axis x inner.
type granules struct {
	size, axis, inner int
	block, blocks     int // elements per block along the axis, and blocks; 0 for one scale per index
	count             int // of scales
}

// granules lays scales of a shape over a tensor.
func (q *quantization) granules(shape, scale []int) (*granules, error) {
	g := &granules{size: product(shape), axis: 1, inner: 1, count: product(scale)}
	if g.count == 1 {
		g.inner = g.size
		return g, nil
	}
	axis := q.axis
	if axis < 0 {
		axis += len(shape)
	}
	if axis < 0 || axis >= len(shape) {
		return nil, fmt.Errorf("axis %d for an input of shape %v", q.axis, shape)
	}
	g.axis, g.inner = shape[axis], product(shape[axis+1:])
	if q.block == 0 {
		if len(scale) != 1 || scale[0] != g.axis {
			return nil, fmt.Errorf("scale of shape %v for axis %d of an input of shape %v", scale, axis, shape)
		}
		return g, nil
	}
	g.block, g.blocks = q.block, (g.axis+q.block-1)/q.block
	want := slices.Clone(shape)
	want[axis] = g.blocks
	if !slices.Equal(want, scale) {
		return nil, fmt.Errorf("scale of shape %v for blocks of %d along axis %d of an input of shape %v, want %v",
			scale, q.block, axis, shape, want)
	}
	return g, nil
}

// granuleGrain is how many elements are worth handing to another thread.
const granuleGrain = 8192

// each calls f for runs of elements lo to hi that share the scale of index at.
func (g *granules) each(p *kernels.Pool, f func(lo, hi, at int)) {
	if g.size == 0 {
		return
	}
	if g.count == 1 {
		p.Do(g.size, granuleGrain, func(lo, hi int) { f(lo, hi, 0) })
		return
	}
	p.Do(g.size/g.inner, max(1, granuleGrain/g.inner), func(from, to int) {
		for row := from; row < to; row++ {
			lo, i := row*g.inner, row%g.axis
			if g.block == 0 {
				f(lo, lo+g.inner, i)
				continue
			}
			first := (row/g.axis*g.blocks + i/g.block) * g.inner
			for j := range g.inner {
				f(lo+j, lo+j+1, first+j)
			}
		}
	})
}

// scaleElements returns scales as float32, of any type that a scale may have.
func scaleElements(t *value.Tensor) ([]float32, error) {
	if tiny, ok := tinyFloats[t.Type]; ok {
		out := make([]float32, t.Len())
		for i, b := range value.Of[uint8](t) {
			out[i] = tiny.decode(b)
		}
		return out, nil
	}
	return floatElements[float32](t)
}

// zeroPoints returns zero points as int32, one for each scale; nil where absent.
func zeroPoints(in []*value.Tensor, i int, want onnxio.DataType, count int) ([]int32, error) {
	if i >= len(in) || in[i] == nil {
		return nil, nil
	}
	t := in[i]
	if t.Type != want {
		return nil, fmt.Errorf("zero point is %v, want %v", t, want)
	}
	if _, tiny := tinyFloats[t.Type]; tiny {
		for _, b := range value.Of[uint8](t) {
			if b != 0 {
				return nil, fmt.Errorf("zero point of a %v tensor must be zero", t.Type)
			}
		}
		return nil, nil
	}
	vs, ok := t.Ints()
	if !ok || len(vs) != count {
		return nil, fmt.Errorf("zero point is %v for %d scales", t, count)
	}
	out := make([]int32, len(vs))
	for j, v := range vs {
		out[j] = int32(v)
	}
	return out, nil
}

func buildQuantizeLinear(n *Node) (Kernel, error) {
	q, err := readQuantization(n)
	if err != nil {
		return nil, err
	}
	return TensorFunc(q.quantize), nil
}

func (q *quantization) quantize(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
	x := in[0]
	target := q.output
	if len(in) > 2 && in[2] != nil {
		if target != onnxio.Undefined && target != in[2].Type {
			return nil, fmt.Errorf("output_dtype is %v but the zero point is %v", target, in[2])
		}
		target = in[2].Type
	} else if target == onnxio.Undefined {
		target = onnxio.Uint8
	}
	g, err := q.granules(x.Shape, in[1].Shape)
	if err != nil {
		return nil, err
	}
	scales, err := scaleElements(in[1])
	if err != nil {
		return nil, fmt.Errorf("scale: %w", err)
	}
	zeros, err := zeroPoints(in, 2, target, g.count)
	if err != nil {
		return nil, err
	}
	xs, err := quotientElements(x)
	if err != nil {
		return nil, err
	}
	y, err := c.New(target, x.Shape...)
	if err != nil {
		return nil, err
	}
	round := q.roundQuotient(in[1].Type)
	switch d := y.Data.(type) {
	case []uint8:
		if tiny, ok := tinyFloats[target]; ok && !tiny.exponentOnly() {
			g.each(c.Pool, func(lo, hi, at int) {
				for i := lo; i < hi; i++ {
					if xs[i] == 0 && target == onnxio.Float4E2M1 { // adding a zero point of zero takes the sign from -0
						d[i] = 0
						continue
					}
					quotient := xs[i] / scales[at]
					if round != nil {
						quotient = round(quotient)
					}
					d[i] = tiny.encode(float64(quotient), q.saturate)
				}
			})
			break
		}
		if target == onnxio.Float8E8M0 {
			return nil, fmt.Errorf("%v is not a quantized type", target)
		}
		quantizeRuns(c, g, d, xs, scales, zeros, round, 0, 1<<target.Bits()-1)
	case []int8:
		quantizeRuns(c, g, d, xs, scales, zeros, round, -1<<(target.Bits()-1), 1<<(target.Bits()-1)-1)
	case []uint16:
		if target != onnxio.Uint16 {
			return nil, fmt.Errorf("%v is not a quantized type", target)
		}
		quantizeRuns(c, g, d, xs, scales, zeros, round, 0, math.MaxUint16)
	case []int16:
		quantizeRuns(c, g, d, xs, scales, zeros, round, math.MinInt16, math.MaxInt16)
	default:
		return nil, fmt.Errorf("%v is not a quantized type", target)
	}
	return []*value.Tensor{y}, nil
}

// quotientElements returns what is quantized as float32.
func quotientElements(x *value.Tensor) ([]float32, error) {
	if d, ok := x.Data.([]int32); ok {
		out := make([]float32, len(d))
		for i, v := range d {
			out[i] = float32(v)
		}
		return out, nil
	}
	return floatElements[float32](x)
}

// roundQuotient returns the function that rounds a quotient to the precision it is to have, nil for float32.
func (q *quantization) roundQuotient(scale onnxio.DataType) func(float32) float32 {
	t := q.precision
	if t == onnxio.Undefined && q.scaleType {
		t = scale
	}
	switch t {
	case onnxio.Float16:
		return func(v float32) float32 { return onnxio.Float16ToFloat32(onnxio.Float32ToFloat16(v)) }
	case onnxio.BFloat16:
		return func(v float32) float32 { return onnxio.BFloat16ToFloat32(onnxio.Float32ToBFloat16(v)) }
	}
	return nil
}

func quantizeRuns[D int8 | uint8 | int16 | uint16](c *Context, g *granules, dst []D, x, scales []float32, zeros []int32,
	round func(float32) float32, least, most int32) {
	g.each(c.Pool, func(lo, hi, at int) {
		var zero int32
		if zeros != nil {
			zero = zeros[at]
		}
		scale := scales[at]
		if hi-lo > 1 {
			kernels.Quantize(dst[lo:hi], x[lo:hi], scale, round, zero, least, most)
			return
		}
		for i := lo; i < hi; i++ {
			quotient := x[i] / scale
			if round != nil {
				quotient = round(quotient)
			}
			dst[i] = D(saturate(quotient, zero, least, most))
		}
	})
}

// saturate rounds half to even, adds the zero point and limits the result. NaN becomes the least value, as it does
// in ONNX Runtime.
func saturate(v float32, zero, least, most int32) int32 {
	if !(v > float32(least-zero)) {
		return least
	}
	if v >= float32(most-zero) {
		return most
	}
	const whole = 3 << 22 // numbers of this size have no fraction: adding it rounds, as additions do, half to even
	return int32((v+whole)-whole) + zero
}

func buildDequantizeLinear(n *Node) (Kernel, error) {
	q, err := readQuantization(n)
	if err != nil {
		return nil, err
	}
	return TensorFunc(q.dequantize), nil
}

func (q *quantization) dequantize(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
	x := in[0]
	g, err := q.granules(x.Shape, in[1].Shape)
	if err != nil {
		return nil, err
	}
	scales, err := scaleElements(in[1])
	if err != nil {
		return nil, fmt.Errorf("scale: %w", err)
	}
	zeros, err := zeroPoints(in, 2, x.Type, g.count)
	if err != nil {
		return nil, err
	}
	target := q.output
	if target == onnxio.Undefined {
		target = in[1].Type
	}
	if !target.IsFloat() { // scales without mantissa give no type
		target = onnxio.Float
	}
	y, err := newFloatOutput[float32](c, target, x.Shape...)
	if err != nil {
		return nil, err
	}
	switch d := x.Data.(type) {
	case []uint8:
		if tiny, ok := tinyFloats[x.Type]; ok {
			g.each(c.Pool, func(lo, hi, at int) {
				for i := lo; i < hi; i++ {
					y.data[i] = tiny.decode(d[i]) * scales[at]
				}
			})
			break
		}
		dequantizeRuns(c, g, y.data, d, scales, zeros)
	case []int8:
		dequantizeRuns(c, g, y.data, d, scales, zeros)
	case []uint16:
		dequantizeRuns(c, g, y.data, d, scales, zeros)
	case []int16:
		dequantizeRuns(c, g, y.data, d, scales, zeros)
	case []int32:
		dequantizeRuns(c, g, y.data, d, scales, zeros)
	default:
		return nil, fmt.Errorf("%v is not a quantized type", x.Type)
	}
	return []*value.Tensor{y.done()}, nil
}

func dequantizeRuns[S int8 | uint8 | int16 | uint16 | int32](c *Context, g *granules, dst []float32, x []S, scales []float32, zeros []int32) {
	g.each(c.Pool, func(lo, hi, at int) {
		var zero int32
		if zeros != nil {
			zero = zeros[at]
		}
		scale := scales[at]
		for i := lo; i < hi; i++ {
			dst[i] = float32(int32(x[i])-zero) * scale
		}
	})
}
