package evaluation

import (
	"fmt"
	"slices"
	"time"

	"onnxprune/runtime/dataset"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/heads"
	"onnxprune/runtime/value"
)

// Reader reads a model's outputs in terms of a data set.
type Reader struct {
	Head    *heads.Head      // nil: the outputs are compared as they are, and mean nothing
	Classes *dataset.Mapping // nil: classes are the model's own
	Raw     []string         // outputs that are kept for a comparison element by element
}

// Reading is what a model says about a picture.
type Reading struct {
	Found  []detection.Detection // classes are those of the data set
	Scores []float64             // of the model's classes
	Raw    [][]float32

	Preprocess, Inference, Postprocess time.Duration
}

// Read reads the outputs of one run. Detections of classes that the data set does not have are left out.
func (r *Reader) Read(outputs map[string]value.Value, at detection.Placement) (*Reading, error) {
	start := time.Now()
	out := &Reading{}
	var err error
	switch {
	case r.Head == nil:
	case r.Head.Task == heads.Classification:
		if out.Scores, err = r.Head.Classify(outputs); err != nil {
			return nil, err
		}
	default:
		if out.Found, err = r.Head.Detect(outputs, at); err != nil {
			return nil, err
		}
		if r.Classes != nil {
			for i := range out.Found {
				out.Found[i].Class = r.Classes.Set(out.Found[i].Class)
			}
			out.Found = slices.DeleteFunc(out.Found, func(d detection.Detection) bool { return d.Class < 0 })
		}
	}
	for _, name := range r.Raw {
		t, ok := outputs[name].(*value.Tensor)
		if !ok {
			return nil, fmt.Errorf("the model has no output tensor %q", name)
		}
		vs, err := numbers(t)
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", name, err)
		}
		out.Raw = append(out.Raw, vs)
	}
	out.Postprocess = time.Since(start)
	return out, nil
}

// numbers returns a tensor's elements as float32.
func numbers(t *value.Tensor) ([]float32, error) {
	if d, ok := t.Data.([]float32); ok {
		return d, nil
	}
	wide, ok := t.Floats()
	if !ok {
		ints, isInt := t.Ints()
		if !isInt {
			return nil, fmt.Errorf("%v holds no numbers", t)
		}
		for _, v := range ints {
			wide = append(wide, float64(v))
		}
	}
	out := make([]float32, len(wide))
	for i, v := range wide {
		out[i] = float32(v)
	}
	return out, nil
}

// label returns the model's class of a data set's class, -1 for none.
func (r *Reader) label(class int) int {
	if r.Classes == nil || class < 0 || len(r.Classes.ToModel) == 0 {
		return class
	}
	if class >= len(r.Classes.ToModel) {
		return -1
	}
	return r.Classes.ToModel[class]
}
