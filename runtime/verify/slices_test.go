package verify

import (
	"math"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// filled makes a tensor whose elements are those of f, by index.
func filled(f func(at []int) float64, shape ...int) *value.Tensor {
	t := value.New(onnxio.Float, shape...)
	at := make([]int, len(shape))
	for i := range t.Data.([]float32) {
		rest := i
		for k := len(shape) - 1; k >= 0; k-- {
			at[k] = rest % shape[k]
			rest /= shape[k]
		}
		t.Data.([]float32)[i] = float32(f(at))
	}
	return t
}

func TestUnlikeQuantitiesHaveRangesOfTheirOwn(t *testing.T) {
	wave := func(at []int) float64 { return 0.5 + 0.5*math.Sin(float64(7*at[len(at)-1]+3*at[0])) }
	column := func(axis int) func(at []int) float64 {
		return func(at []int) float64 {
			if at[axis] < 4 {
				return 640 * wave(at)
			}
			return 0.9 * wave(at)
		}
	}
	for _, c := range []struct {
		title string
		t     *value.Tensor
		axis  int
	}{
		{"boxes and scores by row", filled(column(1), 1, 84, 2000), 1},
		{"boxes and scores by column", filled(column(2), 1, 2000, 85), 2},
		{"boxes and scores of three anchors", filled(column(4), 1, 3, 10, 10, 85), 4},
		{"detections", filled(column(1), 20, 6), 1},
		{"quiet channels of a map", filled(func(at []int) float64 { return wave(at) * math.Pow(0.5, float64(at[1])) }, 1, 8, 20, 20), 1},
		{"logits: one number is no range", filled(column(1), 1, 1000), -1},
		{"a scalar", filled(func([]int) float64 { return 1 }), -1},
		{"nothing", filled(nil, 0, 84), -1},
	} {
		o := tolerance{1e-5, 0}.judge("y", c.t, c.t)
		if o.Axis != c.axis || !o.Pass {
			t.Errorf("%s: taken apart along axis %d, want %d; pass %v", c.title, o.Axis, c.axis, o.Pass)
		}
	}
	scores := filled(column(1), 1, 84, 2000)
	wrong := value.Clone(scores).(*value.Tensor)
	wrong.Data.([]float32)[50*2000+7] += 1e-4 // of 640 that is next to nothing, of a score it is not
	if o := (tolerance{1e-5, 0}).judge("y", scores, wrong); o.Pass || o.Slice != 50 || o.Range > 0.9 || o.NeedRTol < 1e-4 {
		t.Errorf("a score that is wrong: %+v", o)
	}
}

func TestAStepOfASmallTypeIsAllowed(t *testing.T) {
	half := func(vs ...float32) *value.Tensor {
		x := value.New(onnxio.Float16, len(vs))
		for i, v := range vs {
			x.Data.([]uint16)[i] = onnxio.Float32ToFloat16(v)
		}
		return x
	}
	ulp := float32(math.Ldexp(1, -10)) // of 1 in float16
	for _, c := range []struct {
		want, got float32
		pass      bool
	}{{1, 1 + ulp, true}, {1, 1 + 2*ulp, false}, {100, 100 + 64*ulp, true}, {100, 100 + 128*ulp, false}} {
		if o := (tolerance{1e-5, 0}).judge("y", half(c.want), half(c.got)); o.Pass != c.pass {
			t.Errorf("%v for %v: pass is %v, want %v", c.got, c.want, o.Pass, c.pass)
		}
	}
	if bf := step(onnxio.BFloat16, 3); bf != math.Ldexp(1, -6) {
		t.Errorf("the step of bfloat16 at 3 is %v, want 2^-6", bf)
	}
	if f := step(onnxio.Float, 3); f != 0 {
		t.Errorf("float32 is given a step of %v", f)
	}
}

func TestMeasuredNoiseRaisesWhatIsAllowed(t *testing.T) {
	l := tolerance{1e-5, 0}
	a, b := filled(func(at []int) float64 { return 1 }, 1, 2, 4), filled(func(at []int) float64 { return 1 + float64(at[1])*1e-4 }, 1, 2, 4)
	for _, c := range []struct {
		noise float64
		pass  bool
	}{{2e-5, true}, {1e-5, false}, {0, false}} {
		o := l.judge("y", a, b)
		if o.Pass {
			t.Fatal("it passes without noise")
		}
		o.measured(l, l.judge("y", a, filled(func([]int) float64 { return 1 + c.noise }, 1, 2, 4)))
		if o.Pass != c.pass || c.pass != (o.Noise > 0) {
			t.Errorf("with noise of %v: pass is %v, want %v; noise %v", c.noise, o.Pass, c.pass, o.Noise)
		}
	}
}
