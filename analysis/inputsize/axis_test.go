package inputsize

import (
	"testing"
)

// Factors as they are used in the tests: a map of 6 rows and 8 columns that becomes 9 and 12.
var (
	rows    = Factor{6, 9, Row}
	columns = Factor{8, 12, Column}
	small   = Piece{{3, 5, Row}, {4, 6, Column}}
)

func piece(fs ...Factor) Axis { return Axis{Piece(fs)} }

func n(k int64) Factor { return Factor{k, k, Fixed} }

func TestReshapesDistributeFactorsInTheirOrder(t *testing.T) {
	image := []Axis{fixed(1), fixed(12), {{rows}}, {{columns}}}
	levels := Axis{{rows, columns}, small}
	for _, c := range []struct {
		name string
		from []Axis
		to   []int64
		want []string // each axis as String writes it; nil: refused
	}{
		{"cells in a row", image, []int64{1, 12, 48}, []string{"1 -> 1", "12 -> 12", "6x8 -> 9x12"}},
		{"what is left", image, []int64{1, 12, -1}, []string{"1 -> 1", "12 -> 12", "6x8 -> 9x12"}},
		{"channels split into anchors", image, []int64{1, 3, 4, 6, 8}, []string{"1 -> 1", "3 -> 3", "4 -> 4", "6 -> 9", "8 -> 12"}},
		{"channels with rows", image, []int64{12 * 6, 8}, []string{"12x6 -> 12x9", "8 -> 12"}},
		{"all", image, []int64{-1}, []string{"12x6x8 -> 12x9x12"}},
		{"apart again", []Axis{{{rows, columns}}, fixed(2)}, []int64{6, 8, 2}, []string{"6 -> 9", "8 -> 12", "2 -> 2"}},
		{"anchors of cells", []Axis{{{rows}}, {{columns}}, fixed(6)}, []int64{96, 3}, []string{"6x8x2 -> 9x12x2", "3 -> 3"}},
		{"split and joined factors split elsewhere", []Axis{piece(n(34), n(4)), {{rows}}}, []int64{4, 34, 6}, []string{"4 -> 4", "34 -> 34", "6 -> 9"}},
		{"fixed factors of neighbouring axes", []Axis{fixed(6), fixed(4), {{rows}}}, []int64{8, 3, 6}, []string{"8 -> 8", "3 -> 3", "6 -> 9"}},
		{"several maps stay whole", []Axis{fixed(4), levels}, []int64{2, 2, 60}, []string{"2 -> 2", "2 -> 2", "6x8+3x4 -> 9x12+5x6"}},
		{"rows are not cut", image, []int64{1, 12, 3, 2, 8}, nil},
		{"rows do not mix with columns", image, []int64{1, 12, 8, 6}, nil},
		{"several maps are not cut", []Axis{levels}, []int64{2, 30}, nil},
		{"several maps do not join", []Axis{fixed(2), levels}, []int64{120}, nil},
		{"other numbers", image, []int64{1, 12, 47}, nil},
	} {
		got := regroup(c.from, c.to)
		if (got == nil) != (c.want == nil) || len(got) != len(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
			continue
		}
		for i := range got {
			if got[i].String() != c.want[i] {
				t.Errorf("%s: axis %d is %q, want %q", c.name, i, got[i], c.want[i])
			}
		}
	}
}

func TestPositionsLieBetweenMapsOrAtTheSameShare(t *testing.T) {
	levels := Axis{{rows, columns}, small} // 48+12 -> 108+30
	for _, c := range []struct {
		axis Axis
		at   int64
		want int64 // -1: refused
	}{
		{levels, 0, 0}, {levels, 48, 108}, {levels, 60, 138}, {levels, 24, -1}, {levels, 50, -1},
		{Axis{{rows}}, 2, 3}, {Axis{{rows}}, 4, 6}, {Axis{{rows}}, 6, 9}, {Axis{{rows}}, 3, -1}, // 3 of 6 would be 4.5 of 9
		{Axis{{rows}}, 1, -1}, // the first row is no share
		{fixed(10), 10, 10}, {fixed(10), 5, -1},
	} {
		got, ok := position(c.axis, c.at)
		if !ok {
			got = -1
		}
		if got != c.want {
			t.Errorf("position %d of %v: %d, want %d", c.at, c.axis, got, c.want)
		}
	}
}

func TestPartsOfAnAxisAreWholeMaps(t *testing.T) {
	levels := Axis{{rows, columns}, small}
	for _, c := range []struct {
		axis       Axis
		start, end int64
		want       string // "": refused
	}{
		{levels, 0, 48, "6x8 -> 9x12"}, {levels, 48, 60, "3x4 -> 5x6"}, {levels, 0, 60, "6x8+3x4 -> 9x12+5x6"},
		{levels, 0, 47, ""}, {levels, 40, 60, ""}, {levels, 60, 60, ""},
		{Axis{{rows}}, 0, 4, "4 -> 6"}, {Axis{{rows}}, 2, 6, "4 -> 6"}, {Axis{{rows}}, 0, 5, ""},
	} {
		got, ok := taken(c.axis, c.start, c.end)
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%d to %d of %v: %v %v, want %q", c.start, c.end, c.axis, got, ok, c.want)
		}
	}
}
