package inputsize

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// fitAll fits every series and finds its law.
func (c *content) fitAll(k *walker) error {
	c.laws = make([]law, c.inners)
	for inner := range c.inners {
		for l := range c.levels {
			s := c.series[[2]int{l, inner}]
			if s == nil {
				continue
			}
			if err := c.fitSeries(s); err != nil {
				return err
			}
		}
		found, err := c.lawOf(inner, k)
		if err != nil {
			return err
		}
		c.laws[inner] = found
	}
	return nil
}

// fitSeries finds the affine function through three corners, and checks it on all cells.
func (c *content) fitSeries(s *series) error {
	l := c.levels[s.level]
	rows, columns := l.rows.Old, l.columns.Old
	at := func(r, col int64) float64 { return s.value[r*columns+col] }
	s.offset = at(0, 0)
	if rows > 1 {
		s.byRow = (at(rows-1, 0) - s.offset) / float64(rows-1)
	}
	if columns > 1 {
		s.byColumn = (at(0, columns-1) - s.offset) / float64(columns-1)
	}
	most := 0.0
	for _, v := range s.value {
		most = max(most, math.Abs(v))
	}
	limit := 4 * precision(c.dtype) * most
	for r := range rows {
		for col := range columns {
			want := s.offset + s.byRow*float64(r) + s.byColumn*float64(col)
			if d := math.Abs(at(r, col) - want); !(d <= limit) {
				return fmt.Errorf("its content over the %dx%d cells of a map is no linear function of row and column: it is learned for every cell, as position embeddings are", columns, rows)
			}
		}
	}
	for _, b := range []*float64{&s.byRow, &s.byColumn} { // a slope within rounding is none
		if math.Abs(*b)*float64(max(rows, columns)) <= limit {
			*b = 0
		}
	}
	return nil
}

// side is what a series goes along: its slope, the extent of the map and of the picture.
type side struct {
	slope    float64
	map_     Factor
	picture  float64 // at the old size
	picture2 float64 // at the new size
}

func (c *content) sideOf(s *series, k *walker) (side, bool, error) {
	l := c.levels[s.level]
	switch {
	case s.byRow != 0 && s.byColumn != 0:
		return side{}, false, fmt.Errorf("it goes with row and column at once, which no known grid does")
	case s.byRow != 0:
		return side{s.byRow, l.rows, float64(k.from.Height), float64(k.to.Height)}, true, nil
	case s.byColumn != 0:
		return side{s.byColumn, l.columns, float64(k.from.Width), float64(k.to.Width)}, true, nil
	}
	return side{}, false, nil
}

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-4*max(math.Abs(a), math.Abs(b)) }

// lawOf finds the one law that the series of an index follow on all levels.
func (c *content) lawOf(inner int, k *walker) (law, error) {
	var fits []law
	all := []law{cells, pixels, shares, normalised, linspace}
	sloped := false
	for l := range c.levels {
		s := c.series[[2]int{l, inner}]
		if s == nil {
			continue
		}
		d, ok, err := c.sideOf(s, k)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		if d.map_.Kind == Open {
			return 0, fmt.Errorf("it goes along an axis of %d of which it is not known whether it counts rows or columns", d.map_.Old)
		}
		var here []law
		n, stride := float64(d.map_.Old), math.Round(d.picture/float64(d.map_.Old))
		for _, w := range all {
			ok := false
			switch w {
			case cells:
				ok = near(d.slope, 1)
			case pixels:
				ok = near(d.slope*n, d.picture) || near(d.slope, stride)
			case shares:
				ok = near(d.slope*n, 1)
			case normalised:
				ok = near(d.slope*d.picture, stride)
			case linspace:
				span := math.Abs(d.slope * (n - 1))
				ok = n > 1 && (near(span, 1) || near(span, 2))
			}
			if ok {
				here = append(here, w)
			}
		}
		if !sloped {
			fits, sloped = here, true
			continue
		}
		fits = slices.DeleteFunc(fits, func(w law) bool { return !slices.Contains(here, w) })
	}
	switch {
	case !sloped:
		return constant, nil
	case len(fits) == 0:
		return 0, fmt.Errorf("it goes linearly with rows or columns, but its slope is neither one cell, nor a stride, nor a share of the picture")
	}
	return fits[0], nil
}

// normalised reports whether something in a constant is a share of the picture.
func (c *content) normalised() bool {
	return slices.Contains(c.laws, normalised) || slices.Contains(c.laws, shares)
}

// words says what a constant holds.
func (c *content) words() string {
	var names []string
	for _, l := range c.laws {
		if !slices.Contains(names, l.String()) {
			names = append(names, l.String())
		}
	}
	return strings.Join(names, ", ")
}

// xAxis returns the parity of the indices that go with columns, where centres tell it: coordinates come in pairs. -1: not told.
func xAxis(list []*content) int {
	x := -1
	for _, c := range list {
		for inner := range c.inners {
			for l := range c.levels {
				s := c.series[[2]int{l, inner}]
				if s == nil || s.byRow == 0 && s.byColumn == 0 {
					continue
				}
				is := inner % 2
				if s.byRow != 0 {
					is = 1 - is
				}
				if x >= 0 && x != is {
					return -1
				}
				x = is
			}
		}
	}
	return x
}

// renew computes the content at the new size. exact says that the old content came out of the same expression bit for bit.
func (c *content) renew(k *walker, x int, normal bool) (raw []byte, exact bool, err error) {
	for _, form := range forms {
		if c.reproduces(form, k, x, normal) {
			return c.write(form, k, x, normal), true, nil
		}
	}
	worst := 0.0
	c.cell(c.axes, false, func(at, l, inner int, row, column int64) {
		v, e := c.at(plainForm, k, x, normal, false, l, inner, row, column)
		if e != nil {
			err = e
		}
		worst = max(worst, math.Abs(v-c.vs[at])/max(math.Abs(c.vs[at]), 1e-30))
	})
	switch {
	case err != nil:
		return nil, false, err
	case worst > 16*precision(c.dtype):
		return nil, false, fmt.Errorf("its function of row and column gives the old content only to %.2g", worst)
	}
	return c.write(plainForm, k, x, normal), false, nil
}

func (c *content) reproduces(f form, k *walker, x int, normal bool) bool {
	same := true
	c.cell(c.axes, false, func(at, l, inner int, row, column int64) {
		if !same {
			return
		}
		v, err := c.at(f, k, x, normal, false, l, inner, row, column)
		same = err == nil && v == c.vs[at]
	})
	return same
}

func (c *content) write(f form, k *walker, x int, normal bool) []byte {
	n := int64(1)
	for _, a := range c.axes {
		n *= a.New()
	}
	vs := make([]float64, n)
	c.cell(c.axes, true, func(at, l, inner int, row, column int64) {
		vs[at], _ = c.at(f, k, x, normal, true, l, inner, row, column)
	})
	return encode(vs, c.dtype)
}

// form is an order of operations by which exporters come to position * stride / picture; all but the first round to float32 in between.
type form func(position, stride, picture float64) float64

func plainForm(p, s, n float64) float64 { return p * s / n }

var forms = []form{
	plainForm,
	func(p, s, n float64) float64 { return float64(float32(p) / float32(n/s)) },
	func(p, s, n float64) float64 { return float64(float32(p) * float32(s/n)) },
	func(p, s, n float64) float64 { return float64(float32(p*s) / float32(n)) },
	func(p, s, n float64) float64 { return float64(float32(p) * (float32(s) / float32(n))) },
	func(p, s, n float64) float64 { return float64(float32(p) / (float32(n) / float32(s))) },
}

// snapped returns the fraction of small denominator that a measured number stands for, where it is one to rounding.
func snapped(f, tolerance float64) float64 {
	for _, by := range []float64{1, 2, 4, 8, 16, 3, 10, 100} {
		if r := math.Round(f*by) / by; math.Abs(r-f) <= tolerance*max(1, math.Abs(f)) {
			return r
		}
	}
	return f
}

// at computes one element.
func (c *content) at(f form, k *walker, x int, normal, news bool, l, inner int, row, column int64) (float64, error) {
	s := c.series[[2]int{l, inner}]
	v, err := c.value(f, s, k, x, normal, news, inner, row, column)
	return rounded(v, c.dtype), err
}

func (c *content) value(f form, s *series, k *walker, x int, normal, news bool, inner int, row, column int64) (float64, error) {
	fine := 64 * precision(c.dtype)
	d, sloped, err := c.sideOf(s, k)
	if err != nil {
		return 0, err
	}
	p := float64(row)
	if s.byColumn != 0 {
		p = float64(column)
	}
	lv := c.levels[s.level]
	if c.laws[inner] != constant && !sloped { // a map of one row or column: which way it goes is told by the other levels
		if d, err = c.lonely(inner, lv, k); err != nil {
			return 0, err
		}
	}
	picture := d.picture
	if news {
		picture = d.picture2
	}
	switch c.laws[inner] {
	case cells, pixels:
		if !sloped {
			return s.offset, nil
		}
		slope := snapped(d.slope, fine)
		o := snapped(s.offset/slope, fine)
		if news && c.laws[inner] == pixels && slope != math.Round(slope) { // the picture is spread over the map
			slope *= (d.picture2 / float64(d.map_.New)) / (d.picture / float64(d.map_.Old))
		}
		return (p + o) * slope, nil
	case shares:
		n, o := float64(d.map_.Old), s.offset*float64(d.map_.Old)
		if news {
			n = float64(d.map_.New)
		}
		return f(p+snapped(o, 4*fine), 1, n), nil
	case normalised:
		if !sloped {
			return f(1, snapped(s.offset*d.picture, fine), picture), nil
		}
		stride := snapped(d.slope*d.picture, fine)
		return f(p+snapped(s.offset/d.slope, 4*fine), stride, picture), nil
	case linspace:
		n := float64(d.map_.Old)
		span := snapped(d.slope*(n-1), fine)
		if news {
			n = float64(d.map_.New)
		}
		return snapped(s.offset, fine) + p*span/(n-1), nil
	}
	if !normal || !c.floats() {
		return s.offset, nil
	}
	old, now := float64(k.from.Width), float64(k.to.Width)
	isX := inner%2 == x
	if ratio := old / now; ratio != float64(k.from.Height)/float64(k.to.Height) && x < 0 {
		return 0, fmt.Errorf("it holds sizes in shares of the picture, and it can not be told which go with its width and which with its height: keep the picture's proportions")
	}
	if !isX {
		old, now = float64(k.from.Height), float64(k.to.Height)
	}
	picture = old
	if news {
		picture = now
	}
	return f(1, snapped(s.offset*old, fine), picture), nil
}

func (c *content) floats() bool { return precision(c.dtype) > 0 }

// lonely returns the side along which an index goes on the levels that have more than one row or column.
func (c *content) lonely(inner int, l level, k *walker) (side, error) {
	for other := range c.levels {
		s := c.series[[2]int{other, inner}]
		if s == nil {
			continue
		}
		d, ok, err := c.sideOf(s, k)
		if err != nil || !ok {
			continue
		}
		d.map_ = l.rows
		if s.byColumn != 0 {
			d.map_ = l.columns
		}
		d.slope = 0
		if d.map_.New != 1 && c.laws[inner] != shares {
			return d, fmt.Errorf("a map of a single cell would get %d: its slope is not known", d.map_.New)
		}
		return d, nil
	}
	return side{}, nil
}
