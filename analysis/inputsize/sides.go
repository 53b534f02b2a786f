package inputsize

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
)

// Decoded boxes are brought into pixels, clipped to the picture or divided by its size, by constants that hold the picture's width and height.
// They have no axis of cells, so only their numbers tell what they are. Each of their numbers must be a side of the picture, and they must meet
// values that are computed from cells in a row; numbers of layers before that, such as the 128 of a normalisation, are none.

// sideUse is one reading of a constant that holds sides of the picture.
type sideUse struct {
	use   graph.Use
	value *graph.Value
	forms []sideForm
	wide  []bool // by element: it goes with the width
}

// sideForm is how a side is written, as a function of it.
type sideForm uint8

const (
	noSide  sideForm = iota
	whole            // the side in pixels
	last             // the last pixel: side - 1
	inverse          // 1 / side
)

func (f sideForm) of(side float64) float64 {
	switch f {
	case last:
		return side - 1
	case inverse:
		return 1 / side
	}
	return side
}

// sideForms are those that an operator's constant can have.
var sideForms = map[string][]sideForm{"Mul": {whole, inverse}, "Div": {whole}, "Min": {whole, last}, "Max": {whole, last}, "Clip": {whole, last}}

// maxSides is how many numbers such a constant has at most: x0, y0, x1, y1.
const maxSides = 4

// decode notes which outputs are computed from cells in a row.
func (x *visit) decode() {
	from := false
	for _, list := range [][]*graph.Value{x.node.Inputs, x.node.Captures} {
		from = from || slices.ContainsFunc(list, func(v *graph.Value) bool { return v != nil && x.decoded[v.ID] })
	}
	for _, o := range x.node.Outputs {
		if o != nil && (from || slices.ContainsFunc(x.walker.axes[o.ID], Axis.inRow)) {
			x.decoded[o.ID] = true
		}
	}
}

// inRow reports whether an axis holds the cells of a map one behind the other, or perhaps does.
func (a Axis) inRow() bool {
	for _, p := range a {
		rows, columns := false, false
		for _, f := range p {
			rows, columns = rows || f.Kind == Row || f.Kind == Open, columns || f.Kind == Column || f.Kind == Open
		}
		if rows && columns || len(a) > 1 && (rows || columns) {
			return true
		}
	}
	return false
}

// arithmetic are the operators by which a model computes with its sizes as numbers.
var arithmetic = map[string]bool{"Add": true, "Sub": true, "Mul": true, "Div": true, "Mod": true, "Min": true, "Max": true, "Equal": true, "Less": true,
	"Greater": true, "LessOrEqual": true, "GreaterOrEqual": true}

// sizeArithmetic refuses a side of the picture that is written down where the model computes with numbers that depend on the size: the pad
// that is missing to 640. Whether it is the size or a number beside it can not be told.
func (x *visit) sizeArithmetic() error {
	o := x.node.Output(0)
	if !arithmetic[x.node.Op] || x.node.Domain != "" || o == nil || x.base.Of(o).Rank() > 1 || varies(x.of(o)) {
		return nil
	}
	for i, v := range x.node.Inputs {
		if v == nil || !x.isConstant(v) {
			continue
		}
		for _, n := range x.base.Of(v).Nums {
			if f, known := n.Float(); known && (f == float64(x.from.Width) || f == float64(x.from.Height)) && f > 1 {
				return x.fail(i, "it is %v, a side of the picture, in a computation of sizes, and it can not be told whether it goes with the picture", f)
			}
		}
	}
	return nil
}

// pictureSides finds constants of the node that hold sides of the picture.
func (x *visit) pictureSides() error {
	forms := sideForms[x.node.Op]
	if forms == nil || x.node.Domain != "" || !slices.ContainsFunc(x.node.Inputs, func(v *graph.Value) bool { return v != nil && x.decoded[v.ID] }) {
		return nil
	}
	for _, name := range []string{"min", "max"} {
		if a := x.node.Attr(name); a != nil && x.node.Op == "Clip" {
			if form, _, _ := x.side(float64(a.F), onnxio.Float, forms); form != noSide {
				return x.fail(-1, "its attribute %s is %v, a side of the picture, and such attributes are not changed: bring the model to opset 11", name, a.F)
			}
		}
	}
	for i, v := range x.node.Inputs {
		if v == nil || v.Tensor == nil || !x.isConstant(v) || !v.Tensor.DataType.IsFloat() {
			continue
		}
		if n := count(v.Tensor.Dims); n < 1 || n > maxSides {
			continue
		}
		vs, err := numbers(v.Tensor)
		if err != nil {
			return x.fail(i, "%v", err)
		}
		if err := x.noteSides(i, v, vs, forms); err != nil {
			return err
		}
	}
	return nil
}

// noteSides notes an operand all of whose numbers are sides. Where width and height are the same number it can not be told which one is
// meant, so the picture must stay square.
func (x *visit) noteSides(input int, v *graph.Value, vs []float64, forms []sideForm) error {
	u := sideUse{use: graph.Use{Node: x.node, Input: input}, value: v}
	for _, n := range vs {
		form, w, h := x.side(n, v.Tensor.DataType, forms)
		if form == noSide {
			return nil
		}
		if w && h && x.to.Width != x.to.Height {
			return x.fail(input, "it is %v, and it can not be told which is the picture's width and which its height: choose a square size", vs)
		}
		u.forms, u.wide = append(u.forms, form), append(u.wide, w)
	}
	if x.node.InBody() {
		return x.fail(input, "it is %v, a side of the picture, inside control flow", vs)
	}
	x.walker.sides = append(x.walker.sides, u)
	return nil
}

// side returns the form in which a number is the width or the height of the old picture.
func (x *visit) side(n float64, t onnxio.DataType, forms []sideForm) (form sideForm, w, h bool) {
	for _, f := range forms {
		w, h = n == rounded(f.of(float64(x.from.Width)), t), n == rounded(f.of(float64(x.from.Height)), t)
		if w || h {
			return f, w, h
		}
	}
	return noSide, false, false
}

// pictureConstants gives the constants that hold sides their numbers at the new size. Readers that take such a number for something
// else keep the old one.
func (k *walker) pictureConstants() error {
	done := map[*graph.Value]bool{}
	for _, s := range k.sides {
		if done[s.value] {
			continue
		}
		done[s.value] = true
		j := &job{value: s.value}
		for _, other := range k.sides {
			if other.value != s.value {
				continue
			}
			if !slices.Equal(other.forms, s.forms) {
				return j.failAt(other.use, "its readers take it for different things")
			}
			j.uses = append(j.uses, other.use)
		}
		t := s.value.Tensor
		vs := make([]float64, len(s.forms))
		for i, f := range s.forms {
			side := k.to.Height
			if s.wide[i] {
				side = k.to.Width
			}
			vs[i] = rounded(f.of(float64(side)), t.DataType)
		}
		old, err := numbers(t)
		if err != nil {
			return err
		}
		if slices.Equal(old, vs) {
			continue
		}
		g := plan.Grid{Name: s.value.FullName(), What: "sides of the picture", Type: int32(t.DataType), Shape: slices.Clone(t.Dims), Exact: true, Data: encode(vs, t.DataType)}
		if !j.everyone() {
			g.Uses = readings(j.uses)
		}
		k.size.Grids = append(k.size.Grids, g)
	}
	return nil
}

func (j *job) failAt(u graph.Use, format string, args ...any) error {
	return &Error{Node: u.Node, Tensor: j.value.FullName(), Reason: fmt.Sprintf(format, args...)}
}

func count(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		n *= min(max(d, 0), math.MaxInt32)
	}
	return n
}
