package verify

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// tolerance is what differences are judged by.
type tolerance struct{ rtol, atol float64 }

// judge compares one value of both models. Floats are compared within the tolerance, slice by slice (slices.go); integers, bools and strings must be
// equal. Where the reference is not a number nothing can be required: a masked channel that is infinite is one there (0 * inf),
// and gone in the pruned model. Where it is infinite the other must be so too.
func (l tolerance) judge(name string, want, got value.Value) Output {
	o := Output{Name: name, Cosine: 1, Axis: -1}
	switch w := want.(type) {
	case *value.Tensor:
		g, ok := got.(*value.Tensor)
		if !ok || g == nil {
			return o.problem("it is %s, the reference gives %v", describe(got), w)
		}
		return l.tensors(o, w, g)
	case *value.Sequence:
		g, ok := got.(*value.Sequence)
		if !ok || len(g.Items) != len(w.Items) {
			return o.problem("it is %s, the reference gives %v", describe(got), w)
		}
		o.Pass = true
		for i := range w.Items {
			if item := l.judge(name, w.Items[i], g.Items[i]); i == 0 || worse(item, o) {
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
		return l.judge(name, w.Value, g.Value)
	}
	return o.problem("the reference gives no value")
}

func describe(v value.Value) string {
	if v == nil {
		return "missing"
	}
	return v.String()
}

// problem is what does not pass for a reason beside the size of differences: no noise explains it.
func (o Output) problem(format string, args ...any) Output {
	o.Pass, o.hard, o.Problem = false, true, fmt.Sprintf(format, args...)
	return o
}

func (l tolerance) tensors(o Output, want, got *value.Tensor) Output {
	o.Shape = want.Shape
	switch {
	case want.Type != got.Type:
		return o.problem("it has type %v, the reference gives %v", got.Type, want.Type)
	case !slices.Equal(want.Shape, got.Shape):
		return o.problem("it has the shape %v, the reference gives %v", got.Shape, want.Shape)
	}
	o.integral = !want.Type.IsFloat() && want.Type != onnxio.Complex64 && want.Type != onnxio.Complex128
	switch w := want.Data.(type) {
	case []float32:
		return numbers(l, o, sliced(want.Shape, w), want.Type, w, got.Data.([]float32))
	case []string:
		for i, g := range got.Data.([]string) {
			if g != w[i] {
				return o.problem("element %d is %q, the reference gives %q", i, g, w[i])
			}
		}
		o.Pass = true
		return o
	}
	ws, ok1 := float64s(want)
	gs, ok2 := float64s(got)
	if !ok1 || !ok2 {
		return o.problem("values of type %v can not be compared", want.Type)
	}
	s := whole(len(ws))
	if want.Type.IsFloat() && len(ws) == want.Len() {
		s = sliced(want.Shape, ws)
	}
	return numbers(l, o, s, want.Type, ws, gs)
}

// float64s returns the elements of a tensor as float64, complex ones as pairs; elements that ONNX stores in 8 bits or
// less and that are no integers by their bits.
func float64s(t *value.Tensor) ([]float64, bool) {
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

// relShare is the share of its slice's range that an element of the reference must reach for its relative difference to count.
const relShare = 1e-3

// numbers fills in the figures.
func numbers[T float32 | float64](l tolerance, o Output, s slicing, t onnxio.DataType, ws, gs []T) Output {
	var sum, dot, ww, gg float64
	finite, compared, odd, unequal := 0, 0, -1, -1
	of := ranges(s, ws)
	most := make([]float64, s.n) // by slice: the largest difference beyond the type's own step
	k, left := 0, s.inner        // the slice, and how many elements of it follow
	for i := range ws {
		if left == 0 {
			if k++; k == s.n {
				k = 0
			}
			left = s.inner
		}
		left--
		w, g := float64(ws[i]), float64(gs[i])
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
		dot += w * g
		ww += w * w
		gg += g * g
		if w == g {
			continue
		}
		d := math.Abs(g - w)
		if unequal < 0 {
			unequal = i
		}
		o.MaxAbs = max(o.MaxAbs, d)
		sum += d
		most[k] = max(most[k], d-step(t, w))
		if a := math.Abs(w); a >= relShare*of[k] && a > 0 {
			o.MaxRel = max(o.MaxRel, d/a)
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
	o.slice(l, s, of, most)
	switch {
	case odd >= 0:
		return o.problem("element %d is %v, the reference gives %v", odd, gs[odd], ws[odd])
	case len(ws) > 0 && finite+compared == 0:
		o.nothing = true
		return o.problem("the reference gives no number at all (every element is NaN): nothing can be proven with these inputs")
	case o.integral && unequal >= 0:
		return o.problem("element %d is %v, the reference gives %v", unequal, gs[unequal], ws[unequal])
	}
	return o
}

// slice finds the slice that is furthest from passing, and what it takes to pass.
func (o *Output) slice(l tolerance, s slicing, of, most []float64) {
	o.Axis, o.ranges, o.most = s.axis, of, most
	top, worst := slices.Max(of), -1.0
	for k, d := range most {
		o.NeedATol = max(o.NeedATol, d)
		over := max(0, d-l.atol)
		base := of[k]
		if base == 0 { // a share of nothing is nothing: told as one of the whole
			base = top
		}
		if over > 0 && base > 0 {
			o.NeedRTol = max(o.NeedRTol, over/base)
		}
		// by how much what is allowed is missed; where nothing is allowed, by how much of the smallest number that counts
		if miss := over / max(l.rtol*of[k], math.SmallestNonzeroFloat64); miss > worst {
			worst, o.Slice, o.Range = miss, k, of[k]
		}
	}
	o.settle(l)
}

// settle decides whether it passes: no slice differs by more than its range and the measured noise allow.
func (o *Output) settle(l tolerance) {
	if o.hard {
		return
	}
	o.Pass, o.Problem, o.Noise = true, "", 0
	for k, d := range o.most {
		allowed, floor := l.atol+l.rtol*o.ranges[k], o.floor(k)
		switch {
		case d > max(allowed, floor):
			o.Pass = false
		case d > allowed:
			o.Noise = max(o.Noise, floor)
		}
	}
	if !o.Pass && slices.Max(o.ranges) == 0 {
		o.Problem = fmt.Sprintf("the reference is zero everywhere, it is up to %.3g", o.MaxAbs)
	}
}
