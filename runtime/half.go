package runtime

// float16 and bfloat16. Operators that compute in float32 and round their result would lose three digits at every node.
// As ONNX Runtime does, a value stays in float32 while it goes from one such operator to the next, and is
// rounded where another kind of operator, a body or the caller reads it. Their weights are widened once, while
// compiling.

import (
	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// wideOps lists operators of the default domain that compute in float32 and whose first output is of the type of their
// first input.
var wideOps = setOf("Abs", "Add", "AveragePool", "BatchNormalization", "Ceil", "Celu", "Clip", "Conv", "ConvTranspose", "Div",
	"Elu", "Erf", "Exp", "Floor", "Gelu", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish",
	"InstanceNormalization", "LeakyRelu", "Log", "LogSoftmax", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mish", "Mul", "Neg",
	"PRelu", "Reciprocal", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Selu", "Sigmoid", "Softmax", "Softplus",
	"Softsign", "Sqrt", "Sub", "Sum", "Tanh")

func setOf(names ...string) map[string]bool {
	out := map[string]bool{}
	for _, n := range names {
		out[n] = true
	}
	return out
}

func isHalf(t onnxio.DataType) bool { return t == onnxio.Float16 || t == onnxio.BFloat16 }

// halfTensor returns v where it is a tensor of 16-bit floats.
func halfTensor(v value.Value) (*value.Tensor, bool) {
	t, ok := v.(*value.Tensor)
	return t, ok && isHalf(t.Type)
}

// widen fills dst with the elements of a tensor of 16-bit floats.
func widen(dst []float32, t *value.Tensor) {
	to := onnxio.Float16ToFloat32
	if t.Type == onnxio.BFloat16 {
		to = onnxio.BFloat16ToFloat32
	}
	for i, h := range value.Of[uint16](t) {
		dst[i] = to(h)
	}
}

// round fills a tensor of 16-bit floats.
func round(t *value.Tensor, src []float32) {
	to := onnxio.Float32ToFloat16
	if t.Type == onnxio.BFloat16 {
		to = onnxio.Float32ToBFloat16
	}
	for i, v := range src {
		value.Of[uint16](t)[i] = to(v)
	}
}

// wideGrain is how many elements are worth another thread.
const wideGrain = 16 << 10

// input returns what a step reads from a handle, and the 16-bit type that it stands for.
func (f *frame) input(s *step, h *handle) (value.Value, onnxio.DataType, error) {
	if h == nil {
		return nil, 0, nil
	}
	if !s.wide {
		v, err := f.rounded(h)
		return v, 0, err
	}
	if t, half := halfTensor(h.value); h.wide == nil && half {
		w, err := f.arena.memory.new(onnxio.Float, t.Shape)
		if err != nil {
			return nil, 0, err
		}
		f.ctx.Pool.Do(t.Len(), wideGrain, func(lo, hi int) {
			widen(value.Of[float32](w)[lo:hi], &value.Tensor{Type: t.Type, Data: value.Of[uint16](t)[lo:hi]})
		})
		h.wide, h.half = w, t.Type
	}
	if h.wide != nil {
		return h.wide, h.half, nil
	}
	return h.value, 0, nil
}

// rounded returns the value of a handle in its own type.
func (f *frame) rounded(h *handle) (value.Value, error) {
	if h.value == nil && h.wide != nil {
		t, err := f.arena.memory.new(h.half, h.wide.Shape)
		if err != nil {
			return nil, err
		}
		f.ctx.Pool.Do(t.Len(), wideGrain, func(lo, hi int) {
			round(&value.Tensor{Type: t.Type, Data: value.Of[uint16](t)[lo:hi]}, value.Of[float32](h.wide)[lo:hi])
		})
		h.value = t
	}
	return h.value, nil
}

// widenConstants replaces the 16-bit constants among a step's inputs, and returns the type of the first input where it is one.
func (c *compiler) widenConstants(refs []ref) (first onnxio.DataType, any bool) {
	for i, r := range refs {
		t, half := halfTensor(r.known)
		if !half {
			continue
		}
		w := c.wide[t]
		if w == nil {
			w = value.New(onnxio.Float, t.Shape...)
			widen(value.Of[float32](w), t)
			c.wide[t] = w
		}
		if refs[i].known = w; i == 0 {
			first = t.Type
		}
		any = true
	}
	return first, any
}
