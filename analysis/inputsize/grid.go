package inputsize

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
)

// Constants over cells. Such a constant is taken apart into series: one for each map (level) and each index that does not depend on the size (a coordinate, an anchor). A
// series is a function of row and column; it must be affine, to the rounding of its type. What its slope and its offset become at another size is told by
// comparing them with the extents:
//
//	cells       slope 1: rows and columns themselves, such as anchor points x + 0.5; slope and offset stay
//	pixels      slope = the stride: both stay; or picture / map, where that is no whole number
//	shares      slope = 1 / map: both go with 1 / map
//	normalised  slope = stride / picture, where the map is not that share of it: both go with 1 / picture
//	linspace    slope = span / (map - 1): first and last cell keep their values
//	constant    no slope: strides, scales and anchors in pixels stay; sizes of priors go with 1 / picture where centres are normalised
//
// A law counts only if the old content comes out of it again, bit for bit or to rounding.

// law is how a series goes with the size of the picture.
type law uint8

const (
	constant law = iota
	cells
	pixels
	shares
	normalised
	linspace
)

func (l law) String() string {
	return [...]string{"one number for each map", "positions in cells", "positions in pixels", "normalised positions", "normalised positions", "positions from edge to edge"}[l]
}

// level is one map: its rows and columns at both sizes.
type level struct {
	rows, columns Factor
}

// series is one function of row and column.
type series struct {
	level int
	inner int // index among what does not depend on the size
	value []float64
	fit
}

// fit is offset + byRow*row + byColumn*column.
type fit struct {
	offset, byRow, byColumn float64
}

// content is a constant over cells, taken apart.
type content struct {
	dims   []int64 // at the old size
	axes   []Axis
	levels []level
	inners int
	cell   func(axes []Axis, news bool, visit func(at, level, inner int, row, column int64))
	series map[[2]int]*series
	laws   []law // by inner index
	dtype  onnxio.DataType
	vs     []float64
}

// job is a constant that has to have an axis of cells, for some of its readers.
type job struct {
	value *graph.Value
	axes  []Axis
	uses  []graph.Use
}

func (j *job) fail(format string, args ...any) error {
	return &Error{Node: j.uses[0].Node, Tensor: j.value.FullName(), Reason: fmt.Sprintf(format, args...)}
}

// everyone reports whether all that read the value are among the job's readers.
func (j *job) everyone() bool {
	return len(j.uses) == len(j.value.Uses) && !j.value.Output && !j.value.Returned
}

// constants gives what was asked of constants its content at the new size.
func (k *walker) constants() error {
	var jobs []*job
	for _, d := range k.demands {
		found := false
		for _, j := range jobs {
			if j.value == d.value && slices.EqualFunc(j.axes, d.axes, Axis.equal) {
				j.uses = append(j.uses, d.use)
				found = true
			}
		}
		if !found {
			jobs = append(jobs, &job{d.value, d.axes, []graph.Use{d.use}})
		}
	}
	jobs = slices.DeleteFunc(jobs, k.filled)
	contents := make([]*content, len(jobs))
	for i, j := range jobs {
		t, err := k.content(j.value)
		if err != nil {
			return j.fail("it is computed from constants, has %v, and its content is not known: %v", describe(j.axes), err)
		}
		if contents[i], err = takeApart(t, j.axes); err == nil {
			err = contents[i].fitAll(k)
		}
		if err != nil {
			return j.fail("%v", err)
		}
	}
	across, shares := xAxis(contents), slices.ContainsFunc(contents, (*content).normalised)
	for i, j := range jobs {
		c := contents[i]
		raw, exact, err := c.renew(k, across, shares)
		if err != nil {
			return j.fail("%v", err)
		}
		g := plan.Grid{Name: j.value.FullName(), What: c.words(), Type: int32(c.dtype), Exact: exact, Data: raw}
		for _, a := range j.axes {
			g.Shape = append(g.Shape, a.New())
		}
		for _, l := range c.levels {
			g.Levels = append(g.Levels, plan.Level{Rows: [2]int64{l.rows.Old, l.rows.New}, Columns: [2]int64{l.columns.Old, l.columns.New}})
		}
		if !j.everyone() || j.value.Tensor == nil {
			g.Uses = readings(j.uses)
		}
		k.size.Grids = append(k.size.Grids, g)
	}
	return k.pictureConstants()
}

func readings(uses []graph.Use) []plan.Use {
	var out []plan.Use
	for _, u := range uses {
		out = append(out, plan.Use{Node: u.Node.Path, Input: u.Input})
	}
	return out
}

// content returns the tensor of a constant, or what is computed from constants alone.
func (k *walker) content(v *graph.Value) (*onnxio.Tensor, error) {
	if v.Tensor != nil {
		return v.Tensor, nil
	}
	if !k.fold.Can(v) {
		return nil, fmt.Errorf("%s can not be worked out", v.Producer.Title())
	}
	t, err := k.fold.Of(v)
	if err != nil {
		return nil, err
	}
	return t.Proto(v.Name), nil
}

// filled changes the shape that a ConstantOfShape is given, where all its readers want that: its content is one number for all cells.
func (k *walker) filled(j *job) bool {
	n := j.value.Producer
	if n == nil || n.Op != "ConstantOfShape" || n.Domain != "" || n.InBody() || !j.everyone() {
		return false
	}
	was, ok := k.base.Of(n.Inputs[0]).Ints()
	if !ok || len(was) != len(j.axes) {
		return false
	}
	is := make([]int64, len(was))
	for a := range is {
		is[a] = j.axes[a].New()
	}
	x := &visit{walker: k, now: k.after, node: n}
	x.setOperand(0, was, is)
	k.reshaped[j.value.ID] = is
	return true
}

// takeApart reads a constant as series over the cells of its axes.
func takeApart(t *onnxio.Tensor, axes []Axis) (*content, error) {
	c := &content{dims: t.Dims, axes: axes, dtype: t.DataType, series: map[[2]int]*series{}}
	var err error
	if c.vs, err = numbers(t); err != nil {
		return nil, err
	}
	maps := [][2]Factor{} // per combination of pieces
	index := map[[2]Factor]int{}
	inners := map[string]int{}
	visit := func(at int, key string, rows, columns Factor, row, column int64) {
		m := [2]Factor{rows, columns}
		if _, ok := index[m]; !ok {
			index[m] = len(maps)
			maps = append(maps, m)
			c.levels = append(c.levels, level{rows, columns})
		}
		if _, ok := inners[key]; !ok {
			inners[key] = len(inners)
		}
		id := [2]int{index[m], inners[key]}
		s := c.series[id]
		if s == nil {
			s = &series{level: id[0], inner: id[1], value: make([]float64, rows.Old*columns.Old)}
			c.series[id] = s
		}
		s.value[row*columns.Old+column] = c.vs[at]
	}
	if err := walkCells(axes, false, visit); err != nil {
		return nil, err
	}
	c.inners = len(inners)
	c.cell = func(axes []Axis, news bool, f func(at, level, inner int, row, column int64)) {
		_ = walkCells(axes, news, func(at int, key string, rows, columns Factor, row, column int64) { // it was walked before
			f(at, index[[2]Factor{rows, columns}], inners[key], row, column)
		})
	}
	return c, nil
}

// walkCells visits every element of a tensor with the map and the cell that it belongs to; key tells apart what does not depend on the size.
func walkCells(axes []Axis, news bool, visit func(at int, key string, rows, columns Factor, row, column int64)) error {
	one := Factor{1, 1, Fixed}
	extent := func(f Factor) int64 {
		if news {
			return f.New
		}
		return f.Old
	}
	at := 0
	var walk func(k int, key []byte, rows, columns Factor, row, column int64) error
	walk = func(k int, key []byte, rows, columns Factor, row, column int64) error {
		if k == len(axes) {
			visit(at, string(key), rows, columns, row, column)
			at++
			return nil
		}
		for _, piece := range axes[k] {
			var factors func(i int, key []byte, rows, columns Factor, row, column int64) error
			factors = func(i int, key []byte, rows, columns Factor, row, column int64) error {
				if i == len(piece) {
					return walk(k+1, key, rows, columns, row, column)
				}
				f := piece[i]
				for n := range extent(f) {
					var err error
					switch f.Kind {
					case Row:
						if rows != one {
							return fmt.Errorf("it has rows along two axes, as a table of pairs of positions has: that is learned for one size")
						}
						err = factors(i+1, key, f, columns, n, column)
					case Column:
						if columns != one {
							return fmt.Errorf("it has columns along two axes, as a table of pairs of positions has: that is learned for one size")
						}
						err = factors(i+1, key, rows, f, row, n)
					case Open:
						if rows != one {
							return fmt.Errorf("what its axis of %d is made of is not known", f.Old)
						}
						err = factors(i+1, key, f, columns, n, column)
					default:
						err = factors(i+1, binary.AppendUvarint(key, uint64(n)), rows, columns, row, column)
					}
					if err != nil {
						return err
					}
				}
				return nil
			}
			if err := factors(0, key, rows, columns, row, column); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(0, nil, one, one, 0, 0)
}

// numbers returns the elements of a constant.
func numbers(t *onnxio.Tensor) ([]float64, error) {
	switch t.DataType {
	case onnxio.Float, onnxio.Float16, onnxio.BFloat16:
		fs, err := t.Float32s()
		out := make([]float64, len(fs))
		for i, f := range fs {
			out[i] = float64(f)
		}
		return out, err
	case onnxio.Double:
		raw, err := t.Raw()
		out := make([]float64, len(raw)/8)
		for i := range out {
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		}
		return out, err
	case onnxio.Int64, onnxio.Int32, onnxio.Bool, onnxio.Uint8, onnxio.Int8, onnxio.Int16, onnxio.Uint16, onnxio.Uint32:
		is, err := t.Ints()
		out := make([]float64, len(is))
		for i, n := range is {
			out[i] = float64(n)
		}
		return out, err
	}
	return nil, fmt.Errorf("constants of %v over cells are not read", t.DataType)
}

// rounded returns what a number becomes in the constant's type.
func rounded(f float64, t onnxio.DataType) float64 {
	switch t {
	case onnxio.Float:
		return float64(float32(f))
	case onnxio.Float16:
		return float64(onnxio.Float16ToFloat32(onnxio.Float32ToFloat16(float32(f))))
	case onnxio.BFloat16:
		return float64(onnxio.BFloat16ToFloat32(onnxio.Float32ToBFloat16(float32(f))))
	case onnxio.Double:
		return f
	}
	return math.Round(f)
}

// encode writes numbers in the constant's type, little-endian.
func encode(vs []float64, t onnxio.DataType) []byte {
	var b []byte
	for _, f := range vs {
		switch t {
		case onnxio.Float:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(f)))
		case onnxio.Float16:
			b = binary.LittleEndian.AppendUint16(b, onnxio.Float32ToFloat16(float32(f)))
		case onnxio.BFloat16:
			b = binary.LittleEndian.AppendUint16(b, onnxio.Float32ToBFloat16(float32(f)))
		case onnxio.Double:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
		default:
			n := uint64(int64(f))
			for range max(1, t.Bits()/8) {
				b = append(b, byte(n))
				n >>= 8
			}
		}
	}
	return b
}

// precision is the relative distance of neighbours in a type.
func precision(t onnxio.DataType) float64 {
	switch t {
	case onnxio.Float:
		return 0x1p-23
	case onnxio.Float16:
		return 0x1p-10
	case onnxio.BFloat16:
		return 0x1p-7
	case onnxio.Double:
		return 0x1p-52
	}
	return 0
}
