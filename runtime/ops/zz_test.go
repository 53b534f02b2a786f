package ops

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"runtime/debug"
	"context"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

type limited struct{}

func (limited) New(t onnxio.DataType, shape []int) (*value.Tensor, error) {
	n, err := value.CheckedCount(shape)
	if err != nil { return nil, err }
	if n > 1<<20 { return nil, fmt.Errorf("limit") }
	d := value.Make(t, n)
	if d == nil { return nil, fmt.Errorf("type") }
	return &value.Tensor{Type: t, Shape: append([]int{}, shape...), Data: d}, nil
}

func TestZZ(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	fx := func(shape ...int) *value.Tensor {
		v := value.New(onnxio.Float, shape...)
		d := v.Data.([]float32)
		for i := range d { d[i] = float32(r.NormFloat64() * 2)
			switch r.IntN(60) { case 0: d[i] = float32(math.NaN()); case 1: d[i] = float32(math.Inf(1)); case 2: d[i] = float32(math.Inf(-1)); case 3: d[i] = 1e20; case 4: d[i] = -1e30 } }
		return v
	}
	pick := func(vs ...string) string { return vs[r.IntN(len(vs))] }
	ok, bad := map[string]int{}, map[string]int{}
	for range 60000 {
		var c nodeCase
		h, w := r.IntN(5), 1+r.IntN(5)
		switch r.IntN(7) {
		case 0, 1:
			c = nodeCase{op: "Resize", opset: 19, attrs: attributes(s("mode", pick("nearest", "linear", "cubic")), a("antialias", int64(r.IntN(2))), a("exclude_outside", int64(r.IntN(2))),
				s("coordinate_transformation_mode", pick("half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize", "pytorch_half_pixel", "half_pixel_symmetric", "tf_half_pixel_for_nn")),
				s("nearest_mode", pick("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")), s("keep_aspect_ratio_policy", pick("stretch", "not_larger", "not_smaller")))}
			if r.IntN(2) == 0 { c.in = inputs(fx(1, 2, h, w), fx(8), vector[float32](1, 1, float32(r.NormFloat64()+1), float32(r.NormFloat64()+1))) } else { c.in = inputs(fx(1, 2, h, w), fx(8), nil, i64s(1, 2, int64(r.IntN(8)), int64(r.IntN(8)))) }
		case 2:
			c = nodeCase{op: "GridSample", opset: 20, attrs: attributes(s("mode", pick("nearest", "linear", "cubic")), s("padding_mode", pick("zeros", "border", "reflection")), a("align_corners", int64(r.IntN(2)))), in: inputs(fx(1, 2, h, w), fx(1, 3, 2, 2))}
		case 3:
			c = nodeCase{op: "RoiAlign", opset: 16, attrs: attributes(s("mode", pick("avg", "max")), a("sampling_ratio", int64(r.IntN(3))), a("output_height", int64(r.IntN(3))), a("output_width", 2)), in: inputs(fx(1, 2, h, w), fx(1, 4), i64s(0))}
		case 4:
			c = nodeCase{op: "MaxRoiPool", opset: 7, attrs: attributes(is("pooled_shape", 2, 3)), in: inputs(fx(2, 2, h, w), fx(2, 5))}
		case 5:
			c = nodeCase{op: "NonMaxSuppression", opset: 11, in: inputs(fx(1, 9, 4), fx(1, 2, 9), i64s(5), vector[float32](0.2), vector[float32](-1))}
		case 6:
			c = nodeCase{op: "TopK", opset: 11, attrs: attributes(a("largest", int64(r.IntN(2)))), in: inputs(fx(3, 40), i64s(int64(r.IntN(41)))), outputs: 2}
		}
		func() {
			defer func() {
				if e := recover(); e != nil {
					bad[c.op]++
					if bad[c.op] < 3 { fmt.Println("PANIC", c.op, c.in, e, string(debug.Stack())) }
				}
			}()
			n := NewNode("", c.op, c.opset, c.attrs)
			for _, v := range c.in { n.Inputs = append(n.Inputs, v != nil) }
			n.Outputs = []bool{true, true}[:max(c.outputs, 1)]
			k, err := Build(n)
			if err != nil { fmt.Println(err); return }
			if _, err := k.Run(&Context{Context: context.Background(), Alloc: limited{}}, c.in); err == nil { ok[c.op]++ }
		}()
	}
	fmt.Println(ok, bad)
	// mangled images
	for _, kind := range []string{"jpeg_rgb", "bmp_rgb", "pnm_rgb", "tiff_rgb"} {
		_ = kind
	}
}
