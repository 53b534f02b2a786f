package preprocess

import (
	"fmt"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/picture"
	"onnxprune/runtime/value"
)

// Preprocessor makes a model's inputs from pictures. Its methods may be called from many goroutines.
type Preprocessor struct {
	decision Decision
	input    *onnxio.ValueInfo
	shape    []int // of the input, -1 where it is open
	others   []given
	fixed    map[string]value.Value
}

// given is an input beside the picture that follows from the picture's placement.
type given struct {
	in *onnxio.ValueInfo
	*other
}

// Prepared is a picture as a model's inputs.
type Prepared struct {
	Inputs    map[string]value.Value
	Placement detection.Placement // of the picture on the input
	From      string              // what was done, in words
}

// New prepares the making of inputs as it was decided. Inputs that neither the picture nor Options.Values give are errors.
func New(m *onnxio.Model, d *Decision) (*Preprocessor, error) {
	p := &Preprocessor{decision: *d, input: inputNamed(m, d.Input), fixed: map[string]value.Value{}}
	for _, e := range d.shapes[d.Input] {
		p.shape = append(p.shape, int(e))
	}
	if _, err := d.Recipe.canvas(p.input.Type, p.shape); err != nil {
		return nil, &ModelError{fmt.Sprintf("input %q: %v", d.Input, err)}
	}
	for _, in := range Needed(m, func(name string) bool { return d.values[name] != nil }) {
		switch {
		case in.Name == d.Input:
		case d.values[in.Name] != nil:
			p.fixed[in.Name] = d.values[in.Name]
		case isMask(in):
			p.others = append(p.others, given{in, nil})
		default:
			o, err := otherFor(in)
			if err != nil {
				return nil, err
			}
			if sizes(in.Name, in.Type) && (d.Recipe.Fit == Letterbox || d.Recipe.Fit == Crop) {
				return nil, &Error{Msg: fmt.Sprintf("the model scales its boxes by its input %q, which leaves no room for a picture that is moved: use fit=letterbox-top-left or fit=stretch, not %s",
					in.Name, d.Recipe.Fit)}
			}
			p.others = append(p.others, given{in, o})
		}
	}
	return p, nil
}

// isMask reports whether an input says pixel by pixel what is picture and what is filled.
func isMask(in *onnxio.ValueInfo) bool {
	return in.Type != nil && in.Type.Kind == onnxio.KindTensor && len(in.Type.Shape) >= 3 && strings.Contains(strings.ToLower(in.Name), "mask")
}

// Decision returns how the inputs are made, and why.
func (p *Preprocessor) Decision() *Decision { return &p.decision }

// Shrunk returns a preprocessor that brings each picture to a smaller size inside of the same input: Recipe.Shrink.
func (p *Preprocessor) Shrunk(factor float64) *Preprocessor {
	q := *p
	q.decision.Recipe.Shrink = factor
	return &q
}

// Bytes returns how much memory the inputs of a picture of that size take.
func (p *Preprocessor) Bytes(width, height int) int64 {
	c, err := p.decision.Recipe.canvas(p.input.Type, p.shape)
	if err != nil {
		return 0
	}
	l := p.decision.Recipe.arrange(width, height, c.shape[c.Width], c.shape[c.Height])
	return int64(l.canvasW) * int64(l.canvasH) * int64(c.shape[c.Channels]) * int64(c.elem.Bits()) / 8
}

// Make makes the inputs for one picture.
func (p *Preprocessor) Make(pic *picture.Picture) (*Prepared, error) {
	t, placement, from, err := p.decision.Recipe.Tensor(pic, p.input.Type, p.shape)
	if err != nil {
		return nil, fmt.Errorf("input %q: %w", p.input.Name, err)
	}
	s := &Prepared{map[string]value.Value{p.input.Name: t}, placement, from}
	for name, v := range p.fixed {
		s.Inputs[name] = v
	}
	for _, o := range p.others {
		var v *value.Tensor
		if o.other == nil {
			v, err = mask(o.in, placement)
		} else {
			v, err = row(o.in.Type, o.row(placement, p.decision.Recipe.Fit))
		}
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", o.in.Name, err)
		}
		s.Inputs[o.in.Name] = v
	}
	return s, nil
}

// mask says which pixels of the input are picture: 1 where they are, as DETR's pixel_mask does. A mask of floats hides what is 1, so it is 0
// there.
func mask(in *onnxio.ValueInfo, p detection.Placement) (*value.Tensor, error) {
	shape := Declared(in.Type)
	n := len(shape)
	for k, d := range []int{p.CanvasHeight, p.CanvasWidth} {
		if shape[n-2+k] < 0 {
			shape[n-2+k] = d
		}
	}
	for k := range shape[:n-2] {
		shape[k] = max(shape[k], 1)
	}
	if _, err := value.CheckedCount(shape); err != nil {
		return nil, err
	}
	h, w := shape[n-2], shape[n-1]
	return filled(in.Type.Elem, shape, func(k int) float64 {
		x, y := (float64(k%w)+0.5)*float64(p.CanvasWidth)/float64(w), (float64(k/w%h)+0.5)*float64(p.CanvasHeight)/float64(h)
		right, bottom := p.OffsetX+p.ScaleX*float64(p.Width), p.OffsetY+p.ScaleY*float64(p.Height)
		seen := x >= p.OffsetX && x <= right && y >= p.OffsetY && y <= bottom
		if seen != in.Type.Elem.IsFloat() {
			return 1
		}
		return 0
	})
}
