package ops

// Conversion between element types. The source is brought to a Go type first (the 16-, 8- and 4-bit floats to
// float32), then to the target's. Integers wrap around as in C; a float outside of an integer's range gives what
// x86 gives, the most negative number, cut to the target's bits. Fractions are cut off, except that integers below
// 8 bits are rounded, half away from zero, as ONNX Runtime does where ONNX is silent.

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "Cast", buildCast, 1, 6, 9, 13, 19, 21, 23, 24, 25)
	Register("", "CastLike", buildCastLike, 15, 19, 21, 23, 24, 25)
	Register("", "BitCast", buildBitCast, 26)
}

// castOptions are the attributes that matter to the small floats.
type castOptions struct {
	wrapping bool   // beyond the range: infinity or NaN instead of the largest number
	round    string // for float8e8m0: "" and up, down, nearest
}

func readCastOptions(n *Node) castOptions {
	var o castOptions
	if n.Since >= 19 {
		o.wrapping = !n.Bool("saturate", true)
	}
	if n.Since >= 24 {
		o.round = n.OneOf("round_mode", "up", "down", "nearest")
	}
	return o
}

func buildCast(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	to := onnxio.DataType(0)
	if n.Since < 6 {
		name := n.Text("to", "")
		if to = typeNames[name]; to == 0 {
			return nil, fmt.Errorf("attribute to is %q, which is no element type", name)
		}
	} else {
		to = onnxio.DataType(n.Int("to", 0))
	}
	options := readCastOptions(n)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		return oneOutput(castTensor(c, in[0], to, options))
	}), nil
}

// typeNames are the names that Cast used in opset 1.
var typeNames = map[string]onnxio.DataType{
	"FLOAT": onnxio.Float, "UINT8": onnxio.Uint8, "INT8": onnxio.Int8, "UINT16": onnxio.Uint16, "INT16": onnxio.Int16,
	"INT32": onnxio.Int32, "INT64": onnxio.Int64, "BOOL": onnxio.Bool, "FLOAT16": onnxio.Float16,
	"DOUBLE": onnxio.Double, "UINT32": onnxio.Uint32, "UINT64": onnxio.Uint64,
}

func buildCastLike(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	options := readCastOptions(n)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		return oneOutput(castTensor(c, in[0], in[1].Type, options))
	}), nil
}

// buildBitCast makes BitCast: the same bits under another type of the same width.
func buildBitCast(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	to := onnxio.DataType(n.Int("to", 0))
	return TensorFunc(func(_ *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		if to.Bits() == 0 || to.Bits() != x.Type.Bits() {
			return nil, fmt.Errorf("the bits of %v cannot be read as %v", x, to)
		}
		dims := make([]int64, len(x.Shape))
		for i, d := range x.Shape {
			dims[i] = int64(d)
		}
		return oneOutput(value.FromProto(onnxio.NewTensor("", to, dims, x.Raw())))
	}), nil
}

// castTensor converts x to a type. Where it has the type already, the result shares its memory.
func castTensor(c *Context, x *value.Tensor, to onnxio.DataType, o castOptions) (*value.Tensor, error) {
	if x.Type == to {
		return x.View(x.Shape...), nil
	}
	if x.Type == onnxio.Complex64 || x.Type == onnxio.Complex128 || to == onnxio.Complex64 || to == onnxio.Complex128 {
		return nil, fmt.Errorf("it has no meaning from %v to %v", x.Type, to)
	}
	out, err := c.New(to, x.Shape...)
	if err != nil {
		return nil, err
	}
	t := caster{c: c, out: out, options: o}
	if isHalf(x.Type) {
		x = widened(c, x)
	}
	switch src := x.Data.(type) {
	case []float32:
		castFloats(t, src)
	case []float64:
		castFloats(t, src)
	case []bool:
		castInts(t, truthToInts(src))
	case []int8:
		castInts(t, src)
	case []int16:
		castInts(t, src)
	case []int32:
		castInts(t, src)
	case []int64:
		castInts(t, src)
	case []uint8:
		if f, ok := tinyFloats[x.Type]; ok {
			wide := make([]float32, len(src))
			for i, code := range src {
				wide[i] = f.decode(code)
			}
			castFloats(t, wide)
		} else {
			castInts(t, src)
		}
	case []uint16:
		castInts(t, src)
	case []uint32:
		castInts(t, src)
	case []uint64:
		castInts(t, src)
	case []string:
		return out, t.parse(src)
	}
	return out, nil
}

func truthToInts(x []bool) []uint8 {
	out := make([]uint8, len(x))
	for i, v := range x {
		if v {
			out[i] = 1
		}
	}
	return out
}

// caster is a conversion whose target is known.
type caster struct {
	c       *Context
	out     *value.Tensor
	options castOptions
}

// castEach fills dst with f of src, in parallel.
func castEach[D, S any](t caster, dst []D, src []S, f func(S) D) {
	t.c.Pool.Do(len(dst), functionGrain, func(lo, hi int) {
		for i, v := range src[lo:hi] {
			dst[lo+i] = f(v)
		}
	})
}

func castFloats[S kernels.Float](t caster, src []S) {
	switch dst := t.out.Data.(type) {
	case []float32:
		castEach(t, dst, src, func(v S) float32 { return float32(v) })
	case []float64:
		castEach(t, dst, src, func(v S) float64 { return float64(v) })
	case []bool:
		castEach(t, dst, src, func(v S) bool { return v != 0 })
	case []int16:
		castEach(t, dst, src, func(v S) int16 { return floatToInt[int16](float64(v)) })
	case []int32:
		castEach(t, dst, src, func(v S) int32 { return floatToInt[int32](float64(v)) })
	case []int64:
		castEach(t, dst, src, func(v S) int64 { return floatToInt[int64](float64(v)) })
	case []uint32:
		castEach(t, dst, src, func(v S) uint32 { return floatToInt[uint32](float64(v)) })
	case []uint64:
		castEach(t, dst, src, func(v S) uint64 { return floatToInt[uint64](float64(v)) })
	case []int8:
		if unused := 8 - t.out.Type.Bits(); unused > 0 {
			castEach(t, dst, src, func(v S) int8 { return floatToInt[int8](math.Round(float64(v))) << unused >> unused })
			return
		}
		castEach(t, dst, src, func(v S) int8 { return floatToInt[int8](float64(v)) })
	case []uint16:
		switch t.out.Type {
		case onnxio.Float16:
			castEach(t, dst, src, func(v S) uint16 { return onnxio.Float32ToFloat16(float32(v)) })
		case onnxio.BFloat16:
			castEach(t, dst, src, func(v S) uint16 { return onnxio.Float32ToBFloat16(float32(v)) })
		default:
			castEach(t, dst, src, func(v S) uint16 { return floatToInt[uint16](float64(v)) })
		}
	case []uint8:
		integer := func(i int) uint8 { return floatToInt[uint8](float64(src[i])) }
		if bits := t.out.Type.Bits(); bits < 8 {
			mask := uint8(1<<bits - 1)
			integer = func(i int) uint8 { return floatToInt[uint8](math.Round(float64(src[i]))) & mask }
		}
		t.toEightBits(dst, func(i int) float64 { return float64(src[i]) }, integer)
	case []string:
		castEach(t, dst, src, func(v S) string { return formatFloat(float64(v)) })
	}
}

func castInts[S kernels.Integer](t caster, src []S) {
	switch dst := t.out.Data.(type) {
	case []float32:
		t.c.Pool.Do(len(dst), elementGrain, func(lo, hi int) { // common: spelt out, as a call for each element takes longer
			dst := dst[lo:hi]
			for i, v := range src[lo:hi] {
				dst[i] = float32(v)
			}
		})
	case []float64:
		castEach(t, dst, src, func(v S) float64 { return float64(v) })
	case []bool:
		castEach(t, dst, src, func(v S) bool { return v != 0 })
	case []int16:
		castEach(t, dst, src, func(v S) int16 { return int16(v) })
	case []int32:
		castEach(t, dst, src, func(v S) int32 { return int32(v) })
	case []int64:
		castEach(t, dst, src, func(v S) int64 { return int64(v) })
	case []uint32:
		castEach(t, dst, src, func(v S) uint32 { return uint32(v) })
	case []uint64:
		castEach(t, dst, src, func(v S) uint64 { return uint64(v) })
	case []int8:
		unused := 8 - t.out.Type.Bits()
		castEach(t, dst, src, func(v S) int8 { return int8(v) << unused >> unused })
	case []uint16:
		switch t.out.Type {
		case onnxio.Float16:
			castEach(t, dst, src, func(v S) uint16 { return onnxio.Float32ToFloat16(float32(v)) })
		case onnxio.BFloat16:
			castEach(t, dst, src, func(v S) uint16 { return onnxio.Float32ToBFloat16(float32(v)) })
		default:
			castEach(t, dst, src, func(v S) uint16 { return uint16(v) })
		}
	case []uint8:
		mask := uint8(1<<t.out.Type.Bits() - 1)
		t.toEightBits(dst, func(i int) float64 { return float64(src[i]) }, func(i int) uint8 { return uint8(src[i]) & mask })
	case []string:
		castEach(t, dst, src, func(v S) string { return fmt.Sprint(v) })
	}
}

// toEightBits fills a target of a small float, or of an unsigned integer of at most 8 bits.
func (t caster) toEightBits(dst []uint8, float func(i int) float64, integer func(i int) uint8) {
	f, ok := tinyFloats[t.out.Type]
	saturate := !t.options.wrapping
	switch {
	case ok && f.exponentOnly():
		mode := t.options.round
		if mode == "" {
			mode = "up"
		}
		t.fill(len(dst), func(i int) { dst[i] = encodeExponent(float32(float(i)), saturate, mode) })
	case ok:
		t.fill(len(dst), func(i int) { dst[i] = f.encode(float(i), saturate) })
	default:
		t.fill(len(dst), func(i int) { dst[i] = integer(i) })
	}
}

func (t caster) fill(n int, set func(i int)) {
	t.c.Pool.Do(n, functionGrain, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			set(i)
		}
	})
}

// floatToInt cuts the fraction off. Outside of the range it gives what x86 does.
func floatToInt[T kernels.Integer](x float64) T {
	least := int64(math.MinInt64)
	switch any(T(0)).(type) {
	case uint64:
		if x >= 1<<63 && x < 1<<64 {
			return T(uint64(x))
		}
	case int64, uint32:
	default:
		if !(x > math.MinInt32-1 && x < math.MaxInt32+1) {
			least = math.MinInt32
			return T(least)
		}
	}
	if !(x >= -1<<63 && x < 1<<63) {
		return T(least)
	}
	return T(int64(x))
}

// formatFloat writes a number with as many digits as ONNX Runtime writes, and infinities as ONNX reads them.
func formatFloat(x float64) string {
	switch {
	case x != x:
		return "NaN"
	case math.IsInf(x, 1):
		return "INF"
	case math.IsInf(x, -1):
		return "-INF"
	}
	return fmt.Sprintf("%.8g", x)
}

// parse reads numbers out of strings.
func (t caster) parse(src []string) error {
	switch t.out.Type {
	case onnxio.Bool, onnxio.Int8, onnxio.Int16, onnxio.Int32, onnxio.Int64,
		onnxio.Uint8, onnxio.Uint16, onnxio.Uint32, onnxio.Uint64:
		whole := make([]int64, len(src))
		for i, s := range src {
			v, err := parseWhole(s)
			if err != nil {
				return fmt.Errorf("element %d, %q, is no integer", i, s)
			}
			whole[i] = v
		}
		castInts(t, whole)
		return nil
	}
	numbers := make([]float64, len(src))
	width := 64
	if t.out.Type == onnxio.Float {
		width = 32
	}
	for i, s := range src {
		v, err := strconv.ParseFloat(s, width)
		if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range is infinity
			return fmt.Errorf("element %d, %q, is no number", i, s)
		}
		numbers[i] = v
	}
	castFloats(t, numbers)
	return nil
}

// parseWhole reads an integer; of a number with a fraction, the whole part. Beyond the signed range it gives the bits.
func parseWhole(s string) (int64, error) {
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return v, nil
	}
	if v, err := strconv.ParseUint(s, 10, 64); err == nil {
		return int64(v), nil
	}
	v, err := strconv.ParseFloat(s, 64)
	return floatToInt[int64](v), err
}
