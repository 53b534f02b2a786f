package verify

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// judge compares one value of both models. Floats are compared within the tolerance; integers, bools and strings must be
// equal. Where the reference is not a number nothing can be required: a masked channel that is infinite is one there (0 * inf),
// and gone in the pruned model. Where it is infinite the other must be so too.
func judge(name string, want, got value.Value, rtol, atol float64) Output {
	o := Output{Name: name, Cosine: 1}
	switch w := want.(type) {
	case *value.Tensor:
		g, ok := got.(*value.Tensor)
		if !ok || g == nil {
			return o.problem("it is %s, the reference gives %v", describe(got), w)
		}
		return o.tensors(w, g, rtol, atol)
	case *value.Sequence:
		g, ok := got.(*value.Sequence)
		if !ok || len(g.Items) != len(w.Items) {
			return o.problem("it is %s, the reference gives %v", describe(got), w)
		}
		o.Pass = true
		for i := range w.Items {
			if item := judge(name, w.Items[i], g.Items[i], rtol, atol); i == 0 || worse(item, o) {
				o = item
			}
		}
		return o
	case *value.Optional:
		g, ok := got.(*value.Optional)
		switch {
		case !ok || (g.Value == nil) != (w.Value == nil):
			return o.problem("it is %s, the reference gives %v", describe(got), w)
		case w.Value == nil:
			o.Pass = true
			return o
		}
		return judge(name, w.Value, g.Value, rtol, atol)
	}
	return o.problem("the reference gives no value")
}

func describe(v value.Value) string {
	if v == nil {
		return "missing"
	}
	return v.String()
}

func (o Output) problem(format string, args ...any) Output {
	o.Pass, o.Problem = false, fmt.Sprintf(format, args...)
	return o
}

func (o Output) tensors(want, got *value.Tensor, rtol, atol float64) Output {
	o.Shape = want.Shape
	switch {
	case want.Type != got.Type:
		return o.problem("it has type %v, the reference gives %v", got.Type, want.Type)
	case !slices.Equal(want.Shape, got.Shape):
		return o.problem("it has the shape %v, the reference gives %v", got.Shape, want.Shape)
	}
	o.integral = !want.Type.IsFloat() && want.Type != onnxio.Complex64 && want.Type != onnxio.Complex128
	if ws, ok := want.Data.([]string); ok {
		for i, g := range got.Data.([]string) {
			if g != ws[i] {
				return o.problem("element %d is %q, the reference gives %q", i, g, ws[i])
			}
		}
		o.Pass = true
		return o
	}
	ws, gs, ok := numbers(want, got)
	if !ok {
		return o.problem("values of type %v can not be compared", want.Type)
	}
	return o.numbers(ws, gs, rtol, atol)
}

// numbers returns the elements of both tensors as float64, complex ones as pairs; elements that ONNX stores in 8 bits or
// less and that are no integers are compared by their bits.
func numbers(want, got *value.Tensor) (ws, gs []float64, ok bool) {
	each := func(t *value.Tensor) ([]float64, bool) {
		switch d := t.Data.(type) {
		case []complex64:
			out := make([]float64, 0, 2*len(d))
			for _, v := range d {
				out = append(out, float64(real(v)), float64(imag(v)))
			}
			return out, true
		case []complex128:
			out := make([]float64, 0, 2*len(d))
			for _, v := range d {
				out = append(out, real(v), imag(v))
			}
			return out, true
		case []uint8:
			out := make([]float64, len(d))
			for i, v := range d {
				out[i] = float64(v)
			}
			return out, true
		}
		return t.Floats()
	}
	ws, ok = each(want)
	if !ok {
		return nil, nil, false
	}
	gs, ok = each(got)
	return ws, gs, ok
}

// numbers fills in the figures.
func (o Output) numbers(ws, gs []float64, rtol, atol float64) Output {
	var sum, dot, ww, gg float64
	finite, compared, odd := 0, 0, -1
	unequal := -1
	for i, w := range ws {
		g := gs[i]
		switch {
		case math.IsNaN(w):
			continue
		case math.IsInf(w, 0):
			if g != w && odd < 0 {
				odd = i
			}
			compared++
			continue
		case math.IsNaN(g) || math.IsInf(g, 0):
			if odd < 0 {
				odd = i
			}
			continue
		}
		finite++
		o.Range = max(o.Range, math.Abs(w))
		d := math.Abs(g - w)
		if d > 0 && unequal < 0 {
			unequal = i
		}
		o.MaxAbs = max(o.MaxAbs, d)
		sum += d
		dot += w * g
		ww += w * w
		gg += g * g
	}
	for i, w := range ws {
		if d := math.Abs(gs[i] - w); math.Abs(w) > 0 && math.Abs(w) >= rtol*o.Range && d <= math.MaxFloat64 {
			o.MaxRel = max(o.MaxRel, d/math.Abs(w))
		}
	}
	if finite > 0 {
		o.Mean = sum / float64(finite)
	}
	if ww > 0 && gg > 0 {
		o.Cosine = min(1, dot/math.Sqrt(ww)/math.Sqrt(gg))
	} else if ww != gg {
		o.Cosine = 0
	}
	o.NeedATol = o.MaxAbs
	if over := o.MaxAbs - atol; over > 0 && o.Range > 0 {
		o.NeedRTol = over / o.Range
	}
	switch {
	case odd >= 0:
		return o.problem("element %d is %v, the reference gives %v", odd, gs[odd], ws[odd])
	case len(ws) > 0 && finite+compared == 0:
		return o.problem("the reference gives no number at all (every element is NaN): nothing can be proven with these inputs")
	case o.integral && unequal >= 0:
		return o.problem("element %d is %v, the reference gives %v", unequal, gs[unequal], ws[unequal])
	case o.Range == 0 && o.MaxAbs > atol:
		return o.problem("the reference is zero everywhere, it is up to %.3g", o.MaxAbs)
	}
	o.Pass = o.MaxAbs <= atol+rtol*o.Range
	return o
}
