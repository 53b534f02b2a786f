package feed

// What a model leaves open of its inputs' shapes is settled here. Extents that the caller or a file gives come first, and give
// every other extent of the same name the same size. Then: the first axis is a batch of 1; the height and width of
// a picture are the first of sides with which the model's shapes do not contradict one another (networks with fixed
// anchors fit one size only); what is left is a length, long for what is read as a sequence, 1 otherwise.

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
)

// sides are heights and widths to try for pictures whose size is open, the usual one first.
var sides = []int{320, 640, 416, 512, 608, 224, 256, 300, 192, 128, 96, 64, 48, 32}

// maxElements is how large a value inside of a model may become at a size that is chosen: attention over all places of a picture grows with the
// fourth power of its side.
const maxElements = 16 << 20

// attentionWeight is what an element of a product or a softmax counts for: it costs more than others.
const attentionWeight = 8

// choice is a way to settle what a model leaves open.
type choice struct {
	height, width int  // of pictures; 0: the first of sides that fits
	parts         bool // other inputs with the extents of the first picture are 1/2, 1/4, … of it, as states and feature maps are
	sequence      int  // tokens, where the length of a sequence is open
}

// choices are tried in this order, until the model runs.
var choices = [...]choice{{sequence: 8}, {sequence: 16, parts: true}, {32, 160, false, 32}, {16, 160, false, 64}, {48, 160, false, 128}, {64, 160, false, 4},
	{64, 64, false, 256}, {224, 224, false, 2}, {640, 640, false, 512}, {512, 512, true, 1}}

// Choices is the number of ways to settle what a model leaves open.
const Choices = len(choices)

const (
	audioWindow   = 512 // samples: what voice models at 16 kHz read at a time
	openRegions   = 3   // boxes, where the number of regions is open
	maxOpenExtent = 1 << 24
)

// settled holds inputs with their shapes known.
type settled struct {
	model  *onnxio.Model
	ins    []*onnxio.ValueInfo
	shapes [][]int    // of the tensor, or of the elements of a sequence; -1 while an extent is open
	notes  [][]string // what was decided, in words
	chosen []bool     // extents of it were chosen here
	given  []bool     // its shape comes from a file or the caller
	choice choice
	names  map[string]int
	height int // of the first picture, for inputs that tell it
	width  int
}

// settle works out the shapes of all inputs. given are those that come from files.
func settle(m *onnxio.Model, ins []*onnxio.ValueInfo, given []Input, opt Options) (*settled, error) {
	if err := known("shape", ins, slices.Sorted(maps.Keys(opt.Shapes))); err != nil {
		return nil, err
	}
	if opt.Choice < 0 || opt.Choice >= len(choices) {
		return nil, fmt.Errorf("there is no choice %d of what is left open", opt.Choice)
	}
	s := &settled{model: m, ins: ins, shapes: make([][]int, len(ins)), notes: make([][]string, len(ins)), names: map[string]int{},
		chosen: make([]bool, len(ins)), given: make([]bool, len(ins)), choice: choices[opt.Choice]}
	for i, in := range ins {
		if err := s.declared(i, given[i].Value, opt.Shapes[in.Name]); err != nil {
			return nil, fmt.Errorf("input %q: %w", in.Name, err)
		}
		s.given[i] = given[i].Value != nil || opt.Shapes[in.Name] != nil
		s.chosen[i] = slices.Contains(s.shapes[i], -1)
	}
	s.share()
	for i := range ins {
		s.openBatch(i)
	}
	s.share()
	s.openPictures()
	s.share()
	for i := range ins {
		s.openLengths(i)
	}
	s.parts()
	for i := range ins {
		if p, ok := s.picture(i); ok && s.height == 0 {
			s.height, s.width = s.shapes[i][p.Height], s.shapes[i][p.Width]
		}
	}
	return s, nil
}

// tensorType looks through sequences and optionals.
func tensorType(t *onnxio.Type) *onnxio.Type {
	for t != nil && (t.Kind == onnxio.KindSequence || t.Kind == onnxio.KindOptional) {
		t = t.Of
	}
	return t
}

// declared takes over what the model, the caller or a file says of an input's shape.
func (s *settled) declared(i int, v value.Value, want []int64) error {
	t := tensorType(s.ins[i].Type)
	if t == nil || t.Kind != onnxio.KindTensor {
		return fmt.Errorf("its type is %v: only tensors, sequences and optionals of tensors can be fed", s.ins[i].Type)
	}
	if x, ok := v.(*value.Tensor); ok {
		s.shapes[i] = slices.Clone(x.Shape)
	} else if t.HasShape {
		s.shapes[i] = make([]int, len(t.Shape))
		for k, d := range t.Shape {
			s.shapes[i][k] = -1
			if n, fixed := d.Extent(); fixed {
				s.shapes[i][k] = int(n)
			}
		}
	}
	if want != nil {
		if t.HasShape && len(want) != len(t.Shape) {
			return fmt.Errorf("a shape with %d axes is given, but the model declares %v", len(want), t)
		}
		if !t.HasShape && v == nil {
			s.shapes[i] = slices.Repeat([]int{-1}, len(want))
		}
		for k, d := range want {
			switch {
			case d < 0 || v != nil:
			case d > maxOpenExtent:
				return fmt.Errorf("the extent %d of axis %d is too large", d, k)
			case s.shapes[i][k] >= 0 && s.shapes[i][k] != int(d):
				return fmt.Errorf("the extent %d is given for axis %d, but the model declares %v", d, k, t)
			default:
				s.shapes[i][k] = int(d)
			}
		}
	}
	if !t.HasShape && v == nil && want == nil {
		s.shapes[i] = []int{-1}
		s.notes[i] = append(s.notes[i], "its shape is not declared: one axis was taken")
	}
	return nil
}

// share gives extents of the same name the same size.
func (s *settled) share() {
	each := func(f func(d onnxio.Dim, n *int)) {
		for i, in := range s.ins {
			t := tensorType(in.Type)
			for k := range min(len(t.Shape), len(s.shapes[i])) {
				if isName(t.Shape[k].Param) {
					f(t.Shape[k], &s.shapes[i][k])
				}
			}
		}
	}
	each(func(d onnxio.Dim, n *int) {
		if _, seen := s.names[d.Param]; !seen && *n >= 0 {
			s.names[d.Param] = *n
		}
	})
	each(func(d onnxio.Dim, n *int) {
		if size, seen := s.names[d.Param]; seen && *n < 0 {
			*n = size
		}
	})
}

// isName reports whether a dimension's text is a name. Exporters write "?" and the like for what they do not know: two of those need not be
// the same.
func isName(param string) bool {
	return !slices.Contains([]string{"", "?", "-1", "*", "None", "none"}, param)
}

// openBatch makes an open first axis a batch of one, where it is one.
func (s *settled) openBatch(i int) {
	sh := s.shapes[i]
	if len(sh) == 0 || sh[0] >= 0 || len(sh) == 1 || isRegions(s.ins[i].Name) {
		return
	}
	if p, ok := s.picture(i); ok && (p.Height == 0 || p.Width == 0) {
		return
	}
	sh[0] = 1
}

// openPictures settles height and width of pictures.
func (s *settled) openPictures() {
	var open []int
	for i := range s.ins {
		if p, ok := s.picture(i); ok && (s.shapes[i][p.Height] < 0 || s.shapes[i][p.Width] < 0 || s.shapes[i][p.Channels] < 0) {
			open = append(open, i)
		}
	}
	if len(open) == 0 {
		return
	}
	before := make([][]int, len(s.shapes))
	for i := range s.shapes {
		before[i] = slices.Clone(s.shapes[i])
	}
	try := func(height, width int) {
		for i := range s.shapes {
			s.shapes[i] = slices.Clone(before[i])
		}
		for _, i := range open {
			p, _ := s.picture(i)
			sh := s.shapes[i]
			if sh[p.Channels] < 0 {
				sh[p.Channels] = s.channels(i)
			}
			if sh[p.Height] < 0 {
				sh[p.Height] = height
			}
			if sh[p.Width] < 0 {
				sh[p.Width] = width
			}
		}
	}
	height, width := s.choice.height, s.choice.width
	if height == 0 {
		height = s.side(try)
		width = height
	}
	try(height, width)
	for _, i := range open {
		p, _ := s.picture(i)
		var what []string
		for _, a := range []struct {
			axis int
			name string
		}{{p.Channels, "channels"}, {p.Height, "height"}, {p.Width, "width"}} {
			if before[i][a.axis] < 0 {
				what = append(what, fmt.Sprintf("%s %d", a.name, s.shapes[i][a.axis]))
			}
		}
		note := "the model leaves its size open, taken: " + strings.Join(what, ", ")
		if s.choice.height == 0 && height != sides[0] {
			note += fmt.Sprintf(" (%d does not fit the model, or makes it very large)", sides[0])
		}
		s.notes[i] = append(s.notes[i], note)
	}
}

// side returns the first side that fits, and at which no value gets too large if there is one.
func (s *settled) side(try func(height, width int)) int {
	g, err := graph.Build(s.model)
	if err != nil {
		return sides[0]
	}
	large := 0
	for _, n := range sides {
		try(n, n)
		switch fits, elements := s.fits(g); {
		case fits && elements <= maxElements:
			return n
		case fits && (large == 0 || n < large):
			large = n
		}
	}
	if large > 0 {
		return large
	}
	return sides[0]
}

// parts makes other inputs with the height and width of the first picture smaller, where the choice says so.
func (s *settled) parts() {
	if !s.choice.parts {
		return
	}
	var of preprocess.Axes
	first := -1
	for i := range s.ins {
		if p, ok := s.picture(i); ok {
			first, of = i, p
			break
		}
	}
	if first < 0 {
		return
	}
	name := func(i, axis int) string {
		if t := tensorType(s.ins[i].Type); axis < len(t.Shape) && !t.Shape[axis].Known && isName(t.Shape[axis].Param) {
			return t.Shape[axis].Param
		}
		return ""
	}
	height, width := name(first, of.Height), name(first, of.Width)
	share := 1
	for i := range s.ins {
		var smaller []int
		for k := range s.shapes[i] {
			if n := name(i, k); i != first && !s.given[i] && n != "" && (n == height || n == width) {
				smaller = append(smaller, k)
			}
		}
		if smaller == nil {
			continue
		}
		share *= 2
		for _, k := range smaller {
			s.shapes[i][k] = max(1, s.shapes[i][k]/share)
		}
		s.notes[i] = append(s.notes[i], fmt.Sprintf("height and width are open: 1/%d of those of %s was taken", share, s.ins[first].Name))
	}
}

// fits reports whether the shapes that are settled so far contradict the model, and how many elements its largest value has, as far as that is known.
func (s *settled) fits(g *graph.Graph) (fits bool, largest int64) {
	inputs := map[string][]int64{}
	for i, in := range s.ins {
		dims := make([]int64, len(s.shapes[i]))
		for k, d := range s.shapes[i] {
			dims[k] = int64(d)
		}
		if in.Type.Kind == onnxio.KindTensor && !slices.Contains(dims, -1) {
			inputs[in.Name] = dims
		}
	}
	shapes, err := shape.Infer(g, shape.Options{Inputs: inputs})
	if err != nil {
		return false, 0
	}
	for _, v := range g.Values {
		elements := int64(1)
		in := shapes.Of(v)
		for k := range in.Dims {
			if n, known := in.Fixed(k); known && n > 0 && elements <= maxElements {
				elements *= n
			}
		}
		if p := v.Producer; p != nil && (p.Op == "MatMul" || p.Op == "Softmax") {
			elements *= attentionWeight
		}
		if in.Known && v.Producer != nil {
			largest = max(largest, elements)
		}
	}
	return true, largest
}

// channels returns how many channels the convolution that reads an input takes; 3 where none does.
func (s *settled) channels(i int) int {
	for _, n := range s.model.Graph.Nodes {
		if n.OpType != "Conv" || len(n.Inputs) < 2 || n.Inputs[0] != s.ins[i].Name {
			continue
		}
		for _, w := range s.model.Graph.Initializers {
			if w.Name == n.Inputs[1] && len(w.Dims) > 1 {
				if g := n.Attribute("group"); g != nil {
					return int(w.Dims[1] * g.I)
				}
				return int(w.Dims[1])
			}
		}
	}
	return 3
}

// openLengths settles what is left.
func (s *settled) openLengths(i int) {
	t := tensorType(s.ins[i].Type)
	audio := s.has("sr", "sample_rate", "sampling_rate") && len(s.shapes[i]) == 2 && t.Elem.IsFloat()
	for k, d := range s.shapes[i] {
		if d >= 0 {
			continue
		}
		n := 1
		switch {
		case k < len(t.Shape) && isName(t.Shape[k].Param) && s.names[t.Shape[k].Param] > 0:
			n = s.names[t.Shape[k].Param]
		case k == 0 && isRegions(s.ins[i].Name):
			n = openRegions
		case audio:
			n = audioWindow
		case !t.Elem.IsFloat() && k > 0, k < len(t.Shape) && named(t.Shape[k].Param, "seq", "length", "time", "tokens"):
			n = s.choice.sequence
		}
		s.shapes[i][k] = n
		if k < len(t.Shape) && isName(t.Shape[k].Param) {
			s.names[t.Shape[k].Param] = n
		}
		s.notes[i] = append(s.notes[i], fmt.Sprintf("axis %d is open: %d was taken", k, n))
	}
}

// has reports whether the model has an input of one of the names.
func (s *settled) has(names ...string) bool {
	return slices.ContainsFunc(s.ins, func(in *onnxio.ValueInfo) bool { return slices.Contains(names, in.Name) })
}

// named reports whether a name contains one of the words.
func named(name string, words ...string) bool {
	name = strings.ToLower(name)
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(name, w) })
}

func isRegions(name string) bool { return named(name, "roi", "box", "proposal") }

// picture reports whether an input looks like a picture (or a batch or sequence of them), and which axes are which.
func (s *settled) picture(i int) (preprocess.Axes, bool) {
	return preprocess.AxesOf(tensorType(s.ins[i].Type).Elem, s.shapes[i])
}
