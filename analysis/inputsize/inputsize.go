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
	"fmt"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// Size is the extent of a picture in pixels.
type Size struct{ Width, Height int64 }

func (s Size) String() string { return fmt.Sprintf("%dx%d", s.Width, s.Height) }

// Options of Plan.
type Options struct {
	// Evaluate computes a value that depends on constants alone. Nil: such values are not looked into.
	Evaluate func(v *graph.Value) (*onnxio.Tensor, error)
	// Interpolate allows what is learned for every cell (position embeddings) to be interpolated, which is not exact.
	Interpolate bool
}

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

// Plan works out what changes in a model when a picture input gets another size; name may be "" where only one input looks like a picture. A size
// that the input has already changes nothing.
func Plan(g *graph.Graph, name string, to Size, opt Options) (*plan.Size, error) {
	base, err := single(g)
	if err != nil {
		return nil, err
	}
	input, err := picture(g, base, name)
	if err != nil {
		return nil, err
	}
	h, w, err := pictureAxes(input, base.Of(input))
	if err != nil {
		return nil, err
	}
	in := base.Of(input)
	oldH, _ := in.Fixed(h)
	oldW, _ := in.Fixed(w)
	if to.Width < 1 || to.Height < 1 {
		return nil, &Error{Reason: fmt.Sprintf("input %q: %v is no size of a picture", input.Name, to)}
	}
	k := &walker{graph: g, base: base, opt: opt, axes: map[int][]Axis{}, constant: map[int]bool{}, wanted: map[int][]Axis{},
		from: Size{oldW, oldH}, to: to, size: &plan.Size{Input: input.Name}}
	k.size.From, k.size.To = plan.Extent{Width: oldW, Height: oldH}, plan.Extent{Width: to.Width, Height: to.Height}
	axes := make([]Axis, len(in.Dims))
	dims := slices.Clone(in.Dims)
	for a := range axes {
		if n, known := in.Fixed(a); known {
			axes[a] = fixed(n)
		}
	}
	axes[h], axes[w] = Axis{{{oldH, to.Height, Row}}}, Axis{{{oldW, to.Width, Column}}}
	dims[h], dims[w] = shape.Const(to.Height), shape.Const(to.Width)
	k.axes[input.ID] = axes
	inputs := map[*graph.Value][]shape.Dim{}
	for _, v := range g.Main.Inputs {
		if in := base.Of(v); !v.Constant() && in.Known {
			inputs[v] = in.Dims
		}
	}
	inputs[input] = dims
	k.after, err = shape.Resized(g, inputs, k)
	if err != nil {
		return nil, err
	}
	if err := k.grids(); err != nil {
		return nil, err
	}
	k.declared()
	return k.size, nil
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

// picture returns the input that a size is for: the one of that name, or the only one that looks like a picture.
func picture(g *graph.Graph, base *shape.Result, name string) (*graph.Value, error) {
	var found []*graph.Value
	var names []string
	for _, v := range g.Main.Inputs {
		if v.Constant() {
			continue
		}
		names = append(names, v.Name)
		if name != "" && v.Name == name {
			return v, nil
		}
		if in := base.Of(v); in.Rank() == 4 {
			found = append(found, v)
		}
	}
	switch {
	case name != "":
		return nil, &Error{Reason: fmt.Sprintf("the model has no input %q; it has %q", name, names)}
	case len(found) == 0:
		return nil, &Error{Reason: fmt.Sprintf("no input looks like a picture (four axes); the model has %q", names)}
	case len(found) > 1:
		return nil, &Error{Reason: fmt.Sprintf("several inputs look like pictures, %q: name one, as NAME:WIDTHxHEIGHT", []string{found[0].Name, found[1].Name})}
	}
	return found[0], nil
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
			if d.Known && known && also && d.Value == old && old != now {
				sizes[a] = now
			}
		}
		if len(sizes) > 0 {
			k.size.Values = append(k.size.Values, plan.Value{Name: v.Name, Size: sizes})
		}
	}
}
