package feed

// Elements by chance: a table of what inputs of certain names, types and shapes are good for, read from top to bottom.

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// recipe is how inputs of a certain kind are made.
type recipe struct {
	from string
	fits func(s *settled, i int) bool
	fill func(s *settled, i int, r *rand.Rand) func(k int) float64 // the k-th element
}

// recipes are tried in order; the last ones fit everything.
var recipes = []recipe{
	{"height and width of the picture", func(s *settled, i int) bool {
		return s.called(i, "im_size", "img_size", "image_size", "im_shape", "img_shape", "image_shape", "im_info", "img_info",
			"target_size", "orig_size", "original_size", "origin_shape") && s.count(i) > 0 && s.count(i) <= 4*s.rows(i)
	}, pictureSize},
	{"ones, as a scale", func(s *settled, i int) bool { return s.called(i, "scale") && s.count(i) <= 4*s.rows(i) }, always(1)},
	{"a sampling rate of 16000", func(s *settled, i int) bool {
		return slices.Contains([]string{"sr", "sample_rate", "sampling_rate"}, strings.ToLower(s.ins[i].Name))
	}, always(16000)},
	{"zeros, as a mask that hides nothing", func(s *settled, i int) bool { return s.called(i, "mask") && s.elem(i).IsFloat() }, always(0)},
	{"ones, as a mask that hides nothing", func(s *settled, i int) bool { return s.called(i, "mask") }, always(1)},
	{"0.5, as a threshold of overlap", func(s *settled, i int) bool {
		return s.called(i, "iou", "nms_thr") && s.count(i) == 1 && s.elem(i).IsFloat()
	}, always(0.5)},
	{"0.1, as a threshold of scores", func(s *settled, i int) bool {
		return s.called(i, "conf", "score") && s.called(i, "thr") && s.count(i) == 1 && s.elem(i).IsFloat()
	}, always(0.1)},
	{"20, as a limit", func(s *settled, i int) bool {
		return s.called(i, "max_", "topk", "top_k") && s.count(i) == 1 && !s.elem(i).IsFloat()
	}, always(20)},
	{"random boxes in the picture", func(s *settled, i int) bool {
		sh := s.shapes[i]
		return isRegions(s.ins[i].Name) && s.elem(i).IsFloat() && len(sh) > 0 && (sh[len(sh)-1] == 4 || sh[len(sh)-1] == 5)
	}, boxes},
	{"random, like a picture in 0..255", func(s *settled, i int) bool {
		_, ok := s.picture(i)
		return ok && s.elem(i) == onnxio.Uint8
	}, painted(255, 0)},
	{"random, like a picture in -128..127", func(s *settled, i int) bool {
		_, ok := s.picture(i)
		return ok && s.elem(i) == onnxio.Int8
	}, painted(255, -128)},
	{"random, like a picture in 0..1", func(s *settled, i int) bool {
		_, ok := s.picture(i)
		return ok
	}, painted(1, 0)},
	{"positions", func(s *settled, i int) bool { return s.called(i, "position") && !s.elem(i).IsFloat() }, func(s *settled, i int, _ *rand.Rand) func(int) float64 {
		last := max(1, s.last(i))
		return func(k int) float64 { return float64(k % last) }
	}},
	{"zeros, as token types", func(s *settled, i int) bool { return s.called(i, "token_type", "segment") && !s.elem(i).IsFloat() }, always(0)},
	{"random tokens in 1..9", func(s *settled, i int) bool { return s.called(i, "ids", "token") && !s.elem(i).IsFloat() }, integers(1, 9)},
	{"3", func(s *settled, i int) bool { return !s.elem(i).IsFloat() && !isComplex(s.elem(i)) && s.count(i) == 1 }, always(3)},
	{"random integers in 0..3", func(s *settled, i int) bool { return !s.elem(i).IsFloat() && !isComplex(s.elem(i)) }, integers(0, 3)},
	{"random in -1..1", func(*settled, int) bool { return true }, func(_ *settled, _ int, r *rand.Rand) func(int) float64 {
		return func(int) float64 { return 2*r.Float64() - 1 }
	}},
}

func (s *settled) elem(i int) onnxio.DataType         { return tensorType(s.ins[i].Type).Elem }
func (s *settled) called(i int, words ...string) bool { return named(s.ins[i].Name, words...) }
func (s *settled) count(i int) int                    { return value.Count(s.shapes[i]) }
func isComplex(t onnxio.DataType) bool                { return t == onnxio.Complex64 || t == onnxio.Complex128 }
func always(v float64) func(*settled, int, *rand.Rand) func(int) float64 {
	return func(*settled, int, *rand.Rand) func(int) float64 { return func(int) float64 { return v } }
}

func integers(low, high int) func(*settled, int, *rand.Rand) func(int) float64 {
	return func(_ *settled, _ int, r *rand.Rand) func(int) float64 {
		return func(int) float64 { return float64(low + r.IntN(high-low+1)) }
	}
}

// last is the extent of the last axis, rows the number of such rows.
func (s *settled) last(i int) int {
	if sh := s.shapes[i]; len(sh) > 0 {
		return sh[len(sh)-1]
	}
	return 1
}

func (s *settled) rows(i int) int { return s.count(i) / max(1, s.last(i)) }

// pictureSize is height, width, and 1 for what follows (a scale). A model without a picture that is recognised gets 320.
func pictureSize(s *settled, i int, _ *rand.Rand) func(int) float64 {
	h, w := s.height, s.width
	if h == 0 {
		h, w = sides[0], sides[0]
	}
	row := []float64{float64(h), float64(w), 1, 1}
	last := max(1, s.last(i))
	return func(k int) float64 { return row[min(k%last, 3)] }
}

// boxes are x0, y0, x1, y1 in pixels, behind the index of the picture where rows have five elements.
func boxes(s *settled, i int, r *rand.Rand) func(int) float64 {
	h, w := float64(s.height), float64(s.width)
	if s.height == 0 {
		h, w = float64(sides[0]), float64(sides[0])
	}
	all := make([]float64, 0, s.count(i))
	for len(all) < s.count(i) {
		if s.last(i) == 5 {
			all = append(all, 0)
		}
		x, y := r.Float64()*0.6*w, r.Float64()*0.6*h
		all = append(all, x, y, x+(0.1+0.3*r.Float64())*w, y+(0.1+0.3*r.Float64())*h)
	}
	return func(k int) float64 { return all[k] }
}

// random makes the i-th input. Its numbers depend on the seed and the input's name alone.
func (s *settled) random(i int, seed uint64) (value.Value, string, error) {
	h := fnv.New64a()
	h.Write([]byte(s.ins[i].Name))
	r := rand.New(rand.NewPCG(seed, h.Sum64()))
	return s.make(i, s.ins[i].Type, r)
}

// make makes a value of a declared type.
func (s *settled) make(i int, t *onnxio.Type, r *rand.Rand) (value.Value, string, error) {
	switch t.Kind {
	case onnxio.KindSequence:
		const items = 2
		out := &value.Sequence{Elem: t.Of}
		from := ""
		for range items {
			v, f, err := s.make(i, t.Of, r)
			if err != nil {
				return nil, "", err
			}
			out.Items, from = append(out.Items, v), f
		}
		return out, fmt.Sprintf("a sequence of %d: each %s", items, from), nil
	case onnxio.KindOptional:
		v, from, err := s.make(i, t.Of, r)
		return &value.Optional{Elem: t.Of, Value: v}, from, err
	}
	if _, err := value.CheckedCount(s.shapes[i]); err != nil {
		return nil, "", err
	}
	x := value.New(t.Elem, s.shapes[i]...)
	switch d := x.Data.(type) {
	case []string:
		for k := range d {
			d[k] = "a"
		}
		return x, `"a"`, nil
	case []bool:
		for k := range d {
			d[k] = k%2 == 0
		}
		return x, "true and false by turns", nil
	case []complex64:
		for k := range d {
			d[k] = complex(2*r.Float32()-1, 2*r.Float32()-1)
		}
		return x, "random in -1..1", nil
	case []complex128:
		for k := range d {
			d[k] = complex(2*r.Float64()-1, 2*r.Float64()-1)
		}
		return x, "random in -1..1", nil
	case nil:
		return nil, "", fmt.Errorf("its element type %v does not exist", t.Elem)
	}
	for _, c := range recipes {
		if c.fits(s, i) {
			element := c.fill(s, i, r)
			if !set(x, element) {
				return nil, "", fmt.Errorf("elements of type %v are not made by chance; give a file", t.Elem)
			}
			return x, c.from, nil
		}
	}
	return nil, "", fmt.Errorf("internal error: no recipe") // the last one fits everything
}

// set fills a tensor of any type of numbers from 8 bits on (and integers below).
func set(x *value.Tensor, element func(k int) float64) bool {
	switch d := x.Data.(type) {
	case []float32:
		fill(d, element)
	case []float64:
		fill(d, element)
	case []int8:
		fill(d, element)
	case []int16:
		fill(d, element)
	case []int32:
		fill(d, element)
	case []int64:
		fill(d, element)
	case []uint32:
		fill(d, element)
	case []uint64:
		fill(d, element)
	case []uint8:
		if x.Type != onnxio.Uint8 && x.Type != onnxio.Uint4 && x.Type != onnxio.Uint2 {
			return false
		}
		fill(d, element)
	case []uint16:
		narrow := func(f float32) uint16 { return uint16(f) }
		switch x.Type {
		case onnxio.Float16:
			narrow = onnxio.Float32ToFloat16
		case onnxio.BFloat16:
			narrow = onnxio.Float32ToBFloat16
		}
		for k := range d {
			d[k] = narrow(float32(element(k)))
		}
	default:
		return false
	}
	return true
}

func fill[T float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint32 | uint64](d []T, element func(int) float64) {
	for k := range d {
		d[k] = T(element(k))
	}
}
