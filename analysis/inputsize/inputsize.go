// Package inputsize works out what has to change in a model for another size of its input picture.
//
// Exporters write the size of the picture into a model: into targets of Reshape, sizes of Resize, bounds of Slice, windows of pools, and into
// constants that hold something for every cell of a map: anchor points, priors, strides. The model is walked once with the new
// size. Every extent that depends on it is kept as what it is made of (an Axis: the cells of levels, row by row), so that a Reshape that
// names 6400 is known to mean 80 rows of 80 cells, and a constant of 8400 columns to be 80x80, 40x40 and 20x20 cells. Operands get their
// value at the new size; constants over cells are fitted by functions of row and column (a Grid), which must give the old content bit for bit or to rounding, and
// are computed anew.
//
// What can not be told is refused, with node, tensor and reason: a size that can not be followed is never guessed.
package inputsize

import (
	"errors"
	"fmt"
	"slices"

	"onnxprune/analysis/fold"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// Size is the extent of a picture in pixels.
type Size struct{ Width, Height int64 }

func (s Size) String() string { return fmt.Sprintf("%dx%d", s.Width, s.Height) }

// Error says why a model can not be brought to another input size.
type Error struct {
	Node   *graph.Node // nil where it is about an input
	Tensor string
	Reason string
}

func (e *Error) Error() string {
	switch {
	case e.Node == nil:
		return e.Reason
	case e.Tensor != "":
		return fmt.Sprintf("%s, %q: %s", e.Node.Title(), e.Tensor, e.Reason)
	}
	return e.Node.Title() + ": " + e.Reason
}

// Plan works out what changes in a model when its picture gets another size. The picture is the only input with four axes (or, where none
// has, with three), or those inputs that are named: several are a picture and what belongs to it, such as a mask, and must be of one
// size. A size that the input has already changes nothing.
func Plan(g *graph.Graph, names []string, to Size) (*plan.Size, error) {
	base, err := single(g)
	if err != nil {
		return nil, err
	}
	pictures, err := picturesOf(g, base, names)
	if err != nil {
		return nil, err
	}
	if to.Width < 1 || to.Height < 1 {
		return nil, &Error{Reason: fmt.Sprintf("input %q: %v is no size of a picture", pictures[0].Name, to)}
	}
	k := &walker{graph: g, base: base, fold: fold.New(g, base), axes: map[int][]Axis{}, constant: map[int]bool{}, decoded: map[int]bool{},
		reshaped: map[int][]int64{}, to: to, size: &plan.Size{}}
	inputs := map[*graph.Value][]shape.Dim{}
	for _, v := range g.Main.Inputs {
		if in := base.Of(v); !v.Constant() && in.Known {
			inputs[v] = in.Dims
		}
	}
	for i, v := range pictures {
		dims, from, err := k.enter(v)
		if err != nil {
			return nil, err
		}
		if i > 0 && from != k.from {
			return nil, &Error{Reason: fmt.Sprintf("inputs %q (%v) and %q (%v) are not of one size", pictures[0].Name, k.from, v.Name, from)}
		}
		k.from, inputs[v] = from, dims
		k.size.Inputs = append(k.size.Inputs, v.Name)
	}
	k.size.From, k.size.To = plan.Extent{Width: k.from.Width, Height: k.from.Height}, plan.Extent{Width: to.Width, Height: to.Height}
	if k.from == to {
		return k.size, nil
	}
	k.after, err = shape.Resized(g, inputs, k)
	var own *Error
	switch {
	case errors.As(err, &own): // it names the node by itself
		return nil, own
	case err != nil:
		return nil, &Error{Reason: fmt.Sprintf("the model does not work at %v: %v", to, err)}
	}
	if err := k.affordable(); err != nil {
		return nil, err
	}
	if err := k.constants(); err != nil {
		return nil, err
	}
	k.declared()
	k.metadata()
	return k.size, nil
}

// enter gives a picture input its axes, and returns its shape at the new size and its old size.
func (k *walker) enter(v *graph.Value) ([]shape.Dim, Size, error) {
	in := k.base.Of(v)
	h, w, err := pictureAxes(v, in)
	if err != nil {
		return nil, Size{}, err
	}
	axes, dims := make([]Axis, len(in.Dims)), slices.Clone(in.Dims)
	for a := range axes {
		if n, known := in.Fixed(a); known {
			axes[a] = fixed(n)
		}
	}
	oldH, _ := in.Fixed(h)
	oldW, _ := in.Fixed(w)
	axes[h], axes[w] = Axis{{{oldH, k.to.Height, Row}}}, Axis{{{oldW, k.to.Width, Column}}}
	dims[h], dims[w] = shape.Const(k.to.Height), shape.Const(k.to.Width)
	k.axes[v.ID] = axes
	return dims, Size{oldW, oldH}, nil
}

// maxElements of one value: larger ones can not be indexed by the 32 bits that runtimes use, and fit into no usual memory.
const maxElements = 1 << 31

// affordable refuses sizes at which a single value would have more than maxElements.
func (k *walker) affordable() error {
	for _, v := range k.graph.Values {
		n := int64(1)
		for a := range k.after.Of(v).Dims {
			d, known := k.after.Of(v).Fixed(a)
			if !known || d < 1 {
				n = 0
				break
			}
			if n *= min(d, maxElements); n > maxElements {
				return &Error{Reason: fmt.Sprintf("%v is too large: %q would have more than %d elements", k.to, v.FullName(), int64(maxElements))}
			}
		}
	}
	return nil
}

// Nearest returns sizes near to one that was refused at which Plan goes through: sides rounded down and up to multiples of the strides that
// maps have. None: it is not a matter of the size.
func Nearest(g *graph.Graph, names []string, to Size) []Size {
	var found []Size
	for _, stride := range []int64{8, 16, 32, 64, 128} {
		down := Size{to.Width / stride * stride, to.Height / stride * stride}
		up := Size{(to.Width + stride - 1) / stride * stride, (to.Height + stride - 1) / stride * stride}
		for _, s := range []Size{down, up} {
			if s == to || s.Width < 1 || s.Height < 1 || slices.Contains(found, s) {
				continue
			}
			if _, err := Plan(g, names, s); err == nil {
				found = append(found, s)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	return found
}

// pictureAxes finds height and width of a picture input: axes 2 and 3 of NCHW, 1 and 2 of NHWC.
func pictureAxes(v *graph.Value, in *shape.Info) (h, w int, err error) {
	fail := func(format string, args ...any) (int, int, error) {
		return 0, 0, &Error{Reason: fmt.Sprintf("input %q is %v: ", v.Name, in) + fmt.Sprintf(format, args...)}
	}
	if in.Rank() != 4 && in.Rank() != 3 {
		return fail("a picture has the axes NCHW, NHWC or HWC")
	}
	first := in.Rank() - 3
	c, known := in.Fixed(first)
	last, also := in.Fixed(in.Rank() - 1)
	switch {
	case known && (c == 1 || c == 3 || c == 4) || !also || last > 4:
		h, w = first+1, first+2
	default:
		h, w = first, first+1
	}
	for _, a := range []int{h, w} {
		if _, known := in.Fixed(a); !known {
			return fail("its height and width are open already: --input-shape fixes them for the costs, and nothing has to change in the file")
		}
	}
	return h, w, nil
}

// single infers a model with open batches of one: how many pictures there are at once does not matter here.
func single(g *graph.Graph) (*shape.Result, error) {
	base, err := shape.Infer(g, shape.Options{})
	if err != nil {
		return nil, err
	}
	fixed := map[string][]int64{}
	for _, v := range g.Main.Inputs {
		in := base.Of(v)
		if v.Constant() || in.Rank() < 1 {
			continue
		}
		if _, known := in.Fixed(0); known {
			continue
		}
		dims := []int64{1}
		for a := 1; a < in.Rank(); a++ {
			if n, known := in.Fixed(a); known {
				dims = append(dims, n)
			}
		}
		if len(dims) == in.Rank() {
			fixed[v.Name] = dims
		}
	}
	if len(fixed) == 0 {
		return base, nil
	}
	return shape.Infer(g, shape.Options{Inputs: fixed})
}

// picturesOf returns the inputs that a size is for.
func picturesOf(g *graph.Graph, base *shape.Result, names []string) ([]*graph.Value, error) {
	var all []string
	byName, byRank := map[string]*graph.Value{}, map[int][]*graph.Value{}
	for _, v := range g.Main.Inputs {
		if v.Constant() {
			continue
		}
		all = append(all, v.Name)
		byName[v.Name] = v
		byRank[base.Of(v).Rank()] = append(byRank[base.Of(v).Rank()], v)
	}
	var found []*graph.Value
	for _, name := range names {
		v := byName[name]
		if v == nil {
			return nil, &Error{Reason: fmt.Sprintf("the model has no input %q; it has %q", name, all)}
		}
		if !slices.Contains(found, v) {
			found = append(found, v)
		}
	}
	if len(names) > 0 {
		return found, nil
	}
	if found = byRank[4]; len(found) == 0 {
		found = byRank[3]
	}
	switch len(found) {
	case 0:
		return nil, &Error{Reason: fmt.Sprintf("no input looks like a picture (four axes, or three); the model has %q", all)}
	case 1:
		return found, nil
	}
	return nil, &Error{Reason: fmt.Sprintf("several inputs look like pictures, such as %q and %q: name each that gets the size, as NAME:WIDTHxHEIGHT", found[0].Name, found[1].Name)}
}

// declared lists the declared shapes that change.
func (k *walker) declared() {
	for _, v := range k.graph.Main.Declared() {
		t := v.Declared
		if t.Kind != onnxio.KindTensor || !t.HasShape {
			continue
		}
		was, is := k.base.Of(v), k.after.Of(v)
		sizes := map[int]int64{}
		for a, d := range t.Shape {
			old, known := was.Fixed(a)
			now, also := is.Fixed(a)
			if dims := k.reshaped[v.ID]; dims != nil {
				now, also = dims[a], true
			}
			if d.Known && known && also && d.Value == old && old != now {
				sizes[a] = now
			}
		}
		if len(sizes) > 0 {
			k.size.Values = append(k.size.Values, plan.Value{Name: v.Name, Size: sizes})
		}
	}
}

// metadata lists the entries of metadata_props that say the size. Ultralytics' exporter writes imgsz, as "[height, width]".
func (k *walker) metadata() {
	if k.graph.Model == nil {
		return
	}
	const key = "imgsz"
	is := fmt.Sprintf("[%d, %d]", k.to.Height, k.to.Width)
	if k.graph.Model.Metadata(key) == fmt.Sprintf("[%d, %d]", k.from.Height, k.from.Width) {
		k.size.Metadata = append(k.size.Metadata, plan.Entry{Key: key, Value: is})
	}
}
