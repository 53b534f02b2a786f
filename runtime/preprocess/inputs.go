package preprocess

// Which inputs a model needs, which of them takes the picture, and what the others are given.

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"onnxprune/analysis/option"
	"onnxprune/onnxio"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/value"
)

// Needed returns the graph inputs that have no initializer, and those that are given all the same.
func Needed(m *onnxio.Model, given func(name string) bool) []*onnxio.ValueInfo {
	held := map[string]bool{}
	for _, t := range m.Graph.Initializers {
		held[t.Name] = true
	}
	for _, t := range m.Graph.Sparse {
		held[t.Name()] = true
	}
	var out []*onnxio.ValueInfo
	for _, in := range m.Graph.Inputs {
		if !held[in.Name] || given(in.Name) {
			out = append(out, in)
		}
	}
	return out
}

func inputNamed(m *onnxio.Model, name string) *onnxio.ValueInfo {
	for _, in := range m.Graph.Inputs {
		if in.Name == name {
			return in
		}
	}
	return nil
}

func inputNames(m *onnxio.Model) string {
	var out []string
	for _, in := range Needed(m, func(string) bool { return false }) {
		out = append(out, fmt.Sprintf("%q", in.Name))
	}
	return strings.Join(out, ", ")
}

// findInput finds the input that takes the picture.
func (d *Decision) findInput(m *onnxio.Model) error {
	if d.Input != "" {
		if inputNamed(m, d.Input) == nil {
			return option.Errorf("the picture is to go into %q, but the model has no such input; it has %s", d.Input, inputNames(m))
		}
		return nil
	}
	var all, colour []string
	for _, in := range Needed(m, func(string) bool { return false }) {
		if in.Type == nil || in.Type.Kind != onnxio.KindTensor || strings.Contains(strings.ToLower(in.Name), "mask") {
			continue
		}
		shape := Declared(in.Type)
		if shape == nil {
			continue
		}
		if a, ok := AxesOf(in.Type.Elem, shape); ok {
			all = append(all, in.Name)
			if shape[a.Channels] == 3 {
				colour = append(colour, in.Name)
			}
		}
	}
	switch {
	case len(all) == 1:
		d.Input = all[0]
	case len(colour) == 1:
		d.Input = colour[0]
	case len(all) == 0:
		return &ModelError{fmt.Sprintf("no input of the model looks like a picture; it has %s. Say which takes the picture", inputNames(m))}
	default:
		return &ModelError{fmt.Sprintf("%d inputs look like pictures (%s): say which takes the picture", len(all), strings.Join(all, ", "))}
	}
	return nil
}

// declaredSize returns width, height and channels of the input that takes the picture, -1 where they are open.
func (d *Decision) declaredSize(m *onnxio.Model) (width, height, channels int) {
	in := inputNamed(m, d.Input)
	shape := Declared(in.Type)
	for k, e := range d.shapes[d.Input] {
		if k < len(shape) && shape[k] < 0 {
			shape[k] = int(e)
		}
	}
	if in.Type == nil || len(shape) < 3 {
		return -1, -1, -1
	}
	a, ok := AxesOf(in.Type.Elem, shape)
	if !ok {
		return -1, -1, -1
	}
	return shape[a.Width], shape[a.Height], shape[a.Channels]
}

// other says what an input beside the picture is given.
type other struct {
	what string
	fits func(name string, t *onnxio.Type) bool
	row  func(p detection.Placement, fit Fit) []float64 // for one picture; its last number is repeated
}

func named(words ...string) func(string, *onnxio.Type) bool {
	return func(name string, _ *onnxio.Type) bool {
		name = strings.ToLower(name)
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(name, w) })
	}
}

// The extent of picture that covers the whole input. A model that scales its boxes by it gives them in the picture's own pixels, however much of the input
// the picture covers: it is the picture's size where the picture is stretched over all of it.
func covered(p detection.Placement) (width, height float64) {
	return math.RoundToEven(float64(p.CanvasWidth) / p.ScaleX), math.RoundToEven(float64(p.CanvasHeight) / p.ScaleY)
}

// resized is the size of the picture on the input, as PaddleDetection says it (deploy/python/preprocess.py): its two-stage detectors clip
// boxes to it. Its others divide it by the scale and multiply boxes in 0..1 with the result, for which it has to be the input's size wherever the picture
// covers a part of the input only.
func resized(p detection.Placement, fit Fit) (height, width float64) {
	if fit == KeepRatio {
		return math.Round(p.ScaleY * float64(p.Height)), math.Round(p.ScaleX * float64(p.Width))
	}
	return float64(p.CanvasHeight), float64(p.CanvasWidth)
}

// others are tried in order.
var others = []other{
	{"width and height of the picture", named("orig_target_size"), // RT-DETR, D-FINE: tools/inference
		func(p detection.Placement, _ Fit) []float64 { w, h := covered(p); return []float64{w, h} }},
	{"height and width of the picture on the input", named("im_shape", "img_shape", "image_shape"), func(p detection.Placement, fit Fit) []float64 {
		h, w := resized(p, fit)
		return []float64{h, w}
	}},
	{"height, width and scale of the picture on the input", named("im_info", "img_info"), func(p detection.Placement, fit Fit) []float64 {
		h, w := resized(p, fit)
		return []float64{h, w, p.ScaleY}
	}},
	{"height and width of the picture", named("im_size", "img_size", "image_size", "target_size", "orig_size", "original_size", "origin_shape"),
		func(p detection.Placement, _ Fit) []float64 { w, h := covered(p); return []float64{h, w} }},
	{"vertical and horizontal scale", named("scale_factor", "im_scale"), func(p detection.Placement, _ Fit) []float64 { return []float64{p.ScaleY, p.ScaleX} }},
	{"0.5, as a threshold of overlap", named("iou_thr", "nms_thr"), func(detection.Placement, Fit) []float64 { return []float64{0.5} }},
	{"0.01, as a threshold of scores", named("conf_thr", "score_thr", "confidence_thr"), func(detection.Placement, Fit) []float64 { return []float64{0.01} }},
	{"100, as a limit of detections", named("max_det", "max_output", "topk", "top_k"), func(detection.Placement, Fit) []float64 { return []float64{100} }},
}

// sizes are the inputs by which a model brings its boxes to the picture's pixels itself.
var sizes = named("orig_target_size", "im_size", "img_size", "image_size", "target_size", "orig_size", "original_size", "origin_shape", "scale_factor", "im_scale")

// maxOther bounds the elements of inputs beside the picture.
const maxOther = 16

// otherFor finds what an input beside the picture is given.
func otherFor(in *onnxio.ValueInfo) (*other, error) {
	t := in.Type
	if t != nil && t.Kind == onnxio.KindTensor {
		for i, o := range others {
			if o.fits(in.Name, t) && count(Declared(t)) <= maxOther {
				return &others[i], nil
			}
		}
	}
	return nil, &ModelError{fmt.Sprintf("input %q (%v) does not follow from a picture: give it a value", in.Name, t)}
}

// count multiplies a shape's extents; open ones count 1.
func count(shape []int) int {
	n := 1
	for _, d := range shape {
		if d >= 0 {
			n *= d
		}
		if n > 1<<20 {
			break
		}
	}
	return n
}

// row makes a tensor of a declared type out of the numbers for one picture.
func row(t *onnxio.Type, numbers []float64) (*value.Tensor, error) {
	shape := Declared(t)
	if shape == nil {
		shape = []int{1, len(numbers)}
	}
	for k, d := range shape {
		if d < 0 {
			shape[k] = 1
			if k == len(shape)-1 && k > 0 {
				shape[k] = len(numbers)
			}
		}
	}
	return filled(t.Elem, shape, func(k int) float64 { return numbers[min(k, len(numbers)-1)] })
}

// constant makes a tensor of a declared type that holds one number.
func constant(in *onnxio.ValueInfo, x float64) (value.Value, error) {
	if in.Type == nil || in.Type.Kind != onnxio.KindTensor || count(Declared(in.Type)) > 1<<16 {
		return nil, fmt.Errorf("it takes %v, not a number", in.Type)
	}
	return row(in.Type, []float64{x})
}

func filled(elem onnxio.DataType, shape []int, at func(int) float64) (*value.Tensor, error) {
	t := value.New(elem, shape...)
	switch d := t.Data.(type) {
	case []float32:
		for k := range d {
			d[k] = float32(at(k))
		}
	case []float64:
		for k := range d {
			d[k] = at(k)
		}
	case []int32:
		for k := range d {
			d[k] = int32(at(k))
		}
	case []int64:
		for k := range d {
			d[k] = int64(at(k))
		}
	case []bool:
		for k := range d {
			d[k] = at(k) != 0
		}
	case []uint8:
		for k := range d {
			d[k] = uint8(at(k))
		}
	default:
		return nil, fmt.Errorf("elements of type %v are not made from numbers", elem)
	}
	return t, nil
}

// ModelError says that a model's inputs can not be made from pictures.
type ModelError struct{ Msg string }

func (e *ModelError) Error() string { return e.Msg }
