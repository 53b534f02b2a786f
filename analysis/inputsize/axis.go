package inputsize

import (
	"fmt"
	"slices"
	"strings"
)

// Kind says what a factor of an extent counts.
type Kind uint8

// The kinds of factors.
const (
	Fixed  Kind = iota // something that does not depend on the input's size: channels, anchors, coordinates
	Row                // rows of a map
	Column             // columns of a map
	Open               // something that depends on the input's size in a way that only numbers tell
)

func (k Kind) String() string { return [...]string{"", "rows", "columns", "open"}[k] }

// Factor is one factor of an extent, at the old and at the new input size.
type Factor struct {
	Old, New int64
	Kind     Kind
}

// Piece is a product of factors, the slowest first: the cells of one map, row by row, perhaps with the anchors of each cell.
type Piece []Factor

// Axis is an extent as the sum of pieces, one behind the other: the cells of several levels.
type Axis []Piece

func fixed(n int64) Axis { return Axis{{{n, n, Fixed}}} }

func (p Piece) old() int64 {
	n := int64(1)
	for _, f := range p {
		n *= f.Old
	}
	return n
}

func (p Piece) new() int64 {
	n := int64(1)
	for _, f := range p {
		n *= f.New
	}
	return n
}

// Old is the extent at the old size.
func (a Axis) Old() int64 {
	n := int64(0)
	for _, p := range a {
		n += p.old()
	}
	return n
}

// New is the extent at the new size.
func (a Axis) New() int64 {
	n := int64(0)
	for _, p := range a {
		n += p.new()
	}
	return n
}

// Varies reports whether the axis depends on the input's size.
func (a Axis) Varies() bool {
	for _, p := range a {
		for _, f := range p {
			if f.Kind != Fixed {
				return true
			}
		}
	}
	return false
}

// single returns the one factor that depends on the size, of an axis that is a single piece with nothing but that and ones.
func (a Axis) single() (Factor, bool) {
	if len(a) != 1 {
		return Factor{}, false
	}
	p := a[0].plain()
	if len(p) != 1 {
		return Factor{}, false
	}
	return p[0], true
}

// plain drops factors of one and joins fixed neighbours.
func (p Piece) plain() Piece {
	var out Piece
	for _, f := range p {
		switch {
		case f.Kind == Fixed && f.Old == 1:
		case f.Kind == Fixed && len(out) > 0 && out[len(out)-1].Kind == Fixed:
			last := &out[len(out)-1]
			last.Old, last.New = last.Old*f.Old, last.New*f.New
		default:
			out = append(out, f)
		}
	}
	return out
}

// equal reports whether two axes are the same cells in the same order.
func (a Axis) equal(b Axis) bool {
	return slices.EqualFunc(a, b, func(x, y Piece) bool { return slices.Equal(x.plain(), y.plain()) })
}

// String writes an axis as its pieces at both sizes: "80x80+40x40 -> 72x72+36x36".
func (a Axis) String() string {
	side := func(of func(Factor) int64) string {
		var ps []string
		for _, p := range a {
			var fs []string
			for _, f := range p.plain() {
				fs = append(fs, fmt.Sprint(of(f)))
			}
			if fs == nil {
				fs = []string{"1"}
			}
			ps = append(ps, strings.Join(fs, "x"))
		}
		return strings.Join(ps, "+")
	}
	return side(func(f Factor) int64 { return f.Old }) + " -> " + side(func(f Factor) int64 { return f.New })
}

// varies reports whether any of the axes does.
func varies(axes []Axis) bool { return slices.ContainsFunc(axes, Axis.Varies) }

// regroup distributes the factors of some axes, in row-major order, over a row-major shape of other extents: what a Reshape does. An
// extent of -1 takes what is left. Axes of several pieces stay whole. It returns nil where the new extents cut through a factor that
// depends on the size, or through pieces.
func regroup(from []Axis, to []int64) []Axis {
	parts := flat(from)
	free := -1
	known, total := int64(1), int64(1)
	for k, n := range to {
		if n < 0 {
			free = k
			continue
		}
		known *= n
	}
	for _, a := range from {
		total *= a.Old()
	}
	to = slices.Clone(to)
	if free >= 0 {
		if known == 0 || total%known != 0 {
			return nil
		}
		to[free] = total / known
	}
	out := make([]Axis, len(to))
	at := 0
	left := int64(1) // what is still to be used of a fixed part that was split
	for k, n := range to {
		if n == 1 {
			out[k] = fixed(1)
			continue
		}
		var piece Piece
		for n > 1 {
			for left == 1 && at < len(parts) && parts[at].Old() == 1 {
				at++
			}
			if left == 1 && at == len(parts) {
				return nil
			}
			if left > 1 {
				g := gcd(left, n)
				if g == 1 || (g != left && g != n) {
					return nil
				}
				piece = append(piece, Factor{g, g, Fixed})
				left, n = left/g, n/g
				continue
			}
			part := parts[at]
			at++
			whole := part.Old()
			switch {
			case !part.Varies():
				left = whole
			case len(part) > 1:
				if n != whole || piece != nil {
					return nil
				}
				out[k], n = part, 1
			default:
				if n%whole != 0 {
					return nil
				}
				piece = append(piece, part[0]...)
				n /= whole
			}
		}
		if out[k] == nil {
			out[k] = Axis{piece}
		}
	}
	for ; at < len(parts); at++ {
		if parts[at].Old() != 1 {
			return nil
		}
	}
	if left != 1 {
		return nil
	}
	return out
}

// flat lists the factors of axes one by one, each as an axis of its own. An axis of several pieces is one entry, and so are fixed
// factors that follow one another: they count the same whatever they were split into before.
func flat(axes []Axis) []Axis {
	var out []Axis
	var run Piece
	end := func() {
		for _, f := range run.plain() {
			out = append(out, Axis{{f}})
		}
		run = nil
	}
	for _, a := range axes {
		if len(a) != 1 {
			end()
			out = append(out, a)
			continue
		}
		run = append(run, a[0]...)
	}
	end()
	return out
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
