package inputsize_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/inputsize"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// cell is one cell of a map, in a picture of a size.
type cell struct {
	row, column, rows, columns, stride, width, height float64
}

// eachCell visits the cells of maps of strides 8 and 16, one after the other.
func eachCell(size inputsize.Size, visit func(cell)) {
	for _, stride := range []int64{8, 16} {
		rows, columns := size.Height/stride, size.Width/stride
		for r := range rows {
			for c := range columns {
				visit(cell{float64(r), float64(c), float64(rows), float64(columns), float64(stride), float64(size.Width), float64(size.Height)})
			}
		}
	}
}

// content lists what a function gives for every cell.
func content(size inputsize.Size, f func(cell) []float64) []float32 {
	var out []float32
	eachCell(size, func(c cell) {
		for _, v := range f(c) {
			out = append(out, float32(v))
		}
	})
	return out
}

// cells are two maps of a picture, of strides 8 and 16, brought into rows of coordinates [1,cells,k].
func cells(b *testmodels.Builder, size inputsize.Size, k int) string {
	x := b.Input("x", onnxio.Float, 1, k, size.Height, size.Width)
	var levels []string
	for _, stride := range []int64{8, 16} {
		m := b.AveragePool(x, int(stride), int(stride))
		m = b.Reshape(m, 1, int64(k), size.Height/stride*(size.Width/stride))
		levels = append(levels, b.Transpose(m, 0, 2, 1))
	}
	return b.Concat(1, levels...)
}

func planned(t *testing.T, b *testmodels.Builder, to inputsize.Size) (*plan.Size, error) {
	t.Helper()
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	return inputsize.Plan(g, nil, to)
}

// What a constant holds at another size is what the same expression gives there, bit by bit.
func TestConstantsOverCellsFollowTheirExpression(t *testing.T) {
	from, to := inputsize.Size{Width: 64, Height: 32}, inputsize.Size{Width: 96, Height: 64}
	for _, c := range []struct {
		name, what string
		of         func(cell) []float64
	}{
		{"anchor points", "positions in cells", func(c cell) []float64 { return []float64{c.column + 0.5, c.row + 0.5} }},
		{"corners in pixels", "positions in pixels", func(c cell) []float64 { return []float64{c.column * c.stride, c.row * c.stride} }},
		{"centres in pixels", "positions in pixels", func(c cell) []float64 { return []float64{(c.row + 0.5) * c.stride, (c.column + 0.5) * c.stride} }},
		{"normalised centres", "normalised positions", func(c cell) []float64 { return []float64{(c.column + 0.5) / c.columns, (c.row + 0.5) / c.rows} }},
		{"edge to edge", "positions from edge to edge", func(c cell) []float64 { return []float64{2*c.column/(c.columns-1) - 1, 2*c.row/(c.rows-1) - 1} }},
		{"strides", "one number for each map", func(c cell) []float64 { return []float64{c.stride} }},
		{"priors", "normalised positions, one number for each map", func(c cell) []float64 {
			return []float64{(c.column + 0.5) / c.columns, (c.row + 0.5) / c.rows, 3 * c.stride / c.width, 3 * c.stride / c.height}
		}},
		{"boxes in pixels", "positions in pixels", func(c cell) []float64 {
			x, y := (c.column+0.5)*c.stride, (c.row+0.5)*c.stride
			return []float64{x - 10, y - 13, x + 10, y + 13}
		}},
	} {
		old := content(from, c.of)
		k := len(c.of(cell{rows: 2, columns: 2, stride: 1, width: 1, height: 1}))
		b := testmodels.New(17)
		x := cells(b, from, k)
		grid := b.ConstDims("grid", []int64{1, int64(len(old) / k), int64(k)}, old)
		b.Output(b.Add(x, grid), onnxio.Float, 1, len(old)/k, k)
		s, err := planned(t, b, to)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if len(s.Grids) != 1 || s.Grids[0].What != c.what || !s.Grids[0].Exact {
			t.Errorf("%s: found %+v", c.name, s.Grids)
			continue
		}
		var want []byte
		for _, v := range content(to, c.of) {
			want = binary.LittleEndian.AppendUint32(want, math.Float32bits(v))
		}
		if !bytes.Equal(s.Grids[0].Data, want) {
			t.Errorf("%s: the content at %v is not that of the expression", c.name, to)
		}
	}
}

func TestConstantsOverCellsThatFollowNoLawAreRefused(t *testing.T) {
	from := inputsize.Size{Width: 64, Height: 32}
	for _, c := range []struct {
		name, why string
		of        func(cell) float64
	}{
		{"learned", "is learned for every cell", func(c cell) float64 { return math.Sin(7*c.row + 3*c.column + c.stride) }},
		{"sum of row and column", "row and column at once", func(c cell) float64 { return c.row + c.column }},
		{"no known slope", "neither one cell, nor a stride", func(c cell) float64 { return 0.3 * c.column }},
		{"another law for each level", "neither one cell, nor a stride", func(c cell) float64 {
			if c.stride == 8 {
				return c.column
			}
			return c.column * c.stride
		}},
	} {
		b := testmodels.New(17)
		x := cells(b, from, 1)
		old := content(from, func(at cell) []float64 { return []float64{c.of(at)} })
		b.Output(b.Mul(x, b.ConstDims("grid", []int64{1, int64(len(old)), 1}, old)), onnxio.Float, 1, len(old), 1)
		_, err := planned(t, b, inputsize.Size{Width: 96, Height: 64})
		if err == nil || !strings.Contains(err.Error(), c.why) || !strings.Contains(err.Error(), `"grid"`) {
			t.Errorf("%s: %v, want it to say %q and to name the constant", c.name, err, c.why)
		}
	}
}

// Sides of the picture are told from other numbers by what they meet: boxes, not maps.
func TestSidesOfThePictureInBoxes(t *testing.T) {
	from := inputsize.Size{Width: 64, Height: 32}
	build := func(ops ...func(b *testmodels.Builder, x string) string) *testmodels.Builder {
		b := testmodels.New(17)
		x := cells(b, from, 4)
		for _, op := range ops {
			x = op(b, x)
		}
		b.Output(x, onnxio.Float)
		return b
	}
	scale := func(vs ...float32) func(b *testmodels.Builder, x string) string {
		return func(b *testmodels.Builder, x string) string { return b.Mul(x, b.Const(vs)) }
	}
	for _, c := range []struct {
		name string
		b    *testmodels.Builder
		to   inputsize.Size
		want []float32 // of the one constant that changes; nil: none changes
		why  string    // why it is refused
	}{
		{"scaled to pixels", build(scale(64, 32, 64, 32)), inputsize.Size{Width: 96, Height: 64}, []float32{96, 64, 96, 64}, ""},
		{"shares", build(scale(1./64, 1./32, 1./64, 1./32)), inputsize.Size{Width: 128, Height: 64}, []float32{1. / 128, 1. / 64, 1. / 128, 1. / 64}, ""},
		{"clipped", build(func(b *testmodels.Builder, x string) string {
			return b.Node("Clip", []string{x, b.Const(float32(0)), b.Const(float32(63))})
		}), inputsize.Size{Width: 96, Height: 64}, []float32{95}, ""},
		{"behind a choice of the best", build(func(b *testmodels.Builder, x string) string {
			best := b.NodeN("TopK", []string{b.Squeeze(b.ReduceMax(x, 2), 2), b.Const([]int64{5})}, 2)[1]
			return b.Gather(b.Squeeze(x, 0), b.Squeeze(best, 0), 0)
		}, scale(64, 32, 64, 32)), inputsize.Size{Width: 96, Height: 64}, []float32{96, 64, 96, 64}, ""},
		{"other numbers", build(scale(10, 10, 5, 5)), inputsize.Size{Width: 96, Height: 64}, nil, ""},
		{"variances beside a side", build(scale(64, 32, 5, 5)), inputsize.Size{Width: 96, Height: 64}, nil, ""},
	} {
		s, err := planned(t, c.b, c.to)
		switch {
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
			continue
		case c.want == nil && len(s.Grids) == 0:
			continue
		case len(s.Grids) != 1:
			t.Errorf("%s: %d constants change", c.name, len(s.Grids))
			continue
		}
		var want []byte
		for _, v := range c.want {
			want = binary.LittleEndian.AppendUint32(want, math.Float32bits(v))
		}
		if !bytes.Equal(s.Grids[0].Data, want) {
			t.Errorf("%s: the constant becomes %v, want %v", c.name, s.Grids[0].Data, want)
		}
	}

	// On maps the same number is none of the picture's sides.
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, from.Height, from.Width)
	b.Output(b.AveragePool(b.Div(x, b.Const(float32(64))), 8, 8), onnxio.Float)
	if s, err := planned(t, b, inputsize.Size{Width: 96, Height: 64}); err != nil || len(s.Grids) != 0 {
		t.Errorf("a normalisation by 64: %v, %+v", err, s)
	}

	// In a square picture it can not be told which side is meant.
	b = testmodels.New(17)
	x = cells(b, inputsize.Size{Width: 64, Height: 64}, 4)
	b.Output(b.Mul(x, b.Const(float32(64))), onnxio.Float)
	if _, err := planned(t, b, inputsize.Size{Width: 96, Height: 64}); err == nil || !strings.Contains(err.Error(), "square") {
		t.Errorf("a side of a square picture at 96x64: %v", err)
	}
	if s, err := planned(t, b, inputsize.Size{Width: 96, Height: 96}); err != nil || len(s.Grids) != 1 {
		t.Errorf("a side of a square picture at 96x96: %v", err)
	}
}

func TestSizesThatCanNotBeAreRefused(t *testing.T) {
	build := func() *testmodels.Builder {
		b := testmodels.New(17)
		x := b.Input("x", onnxio.Float, 1, 3, 64, 64)
		small := b.Upsample(b.MaxPool(x, 16, 16), 2)
		b.Output(b.Add(b.MaxPool(x, 8, 8), small), onnxio.Float, 1, 3, 8, 8)
		return b
	}
	g, err := graph.Build(build().Model())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		names []string
		to    inputsize.Size
		why   string
	}{
		{nil, inputsize.Size{Width: 0, Height: 64}, "no size of a picture"},
		{nil, inputsize.Size{Width: 64, Height: -32}, "no size of a picture"},
		{[]string{"picture"}, inputsize.Size{Width: 32, Height: 32}, `no input "picture"; it has ["x"]`},
		{nil, inputsize.Size{Width: 72, Height: 64}, "9"}, // 4.5 cells of stride 16
		{nil, inputsize.Size{Width: 1 << 20, Height: 1 << 20}, "too large"},
	} {
		_, err := inputsize.Plan(g, c.names, c.to)
		var own *inputsize.Error
		if !errors.As(err, &own) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%v: %v, want it to say %q", c.to, err, c.why)
		}
	}
	near := inputsize.Nearest(g, nil, inputsize.Size{Width: 72, Height: 64})
	if !slices.Equal(near, []inputsize.Size{{Width: 64, Height: 64}, {Width: 80, Height: 64}}) {
		t.Errorf("near to 72x64 are %v, want 64x64 and 80x64", near)
	}
}
