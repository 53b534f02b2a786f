package shape

import (
	"fmt"
	"hash/fnv"
)

// Quotients, remainders, minima and maxima of dimensions. They stay polynomials where that is exact; else they
// are opaque symbols, brought to one form first, so that a stride of 2 taken twice is the same
// symbol as a stride of 4 taken once: floor(floor(H/2)/2) = floor(H/4).

// FloorDiv returns the largest integer not above d / n. For n = 0 the result is an opaque symbol.
func (d Dim) FloorDiv(n Dim) Dim {
	by, ok := n.Const()
	if !ok {
		if q, ok := d.DivExact(n); ok {
			return q
		}
		return opaque("floordiv", d, n)
	}
	switch {
	case by == 1:
		return d
	case by == 0:
		return opaque("floordiv", d, n)
	case by < 0:
		if by == -by {
			return opaque("floordiv", d, n)
		}
		return d.Mul(Const(-1)).FloorDiv(Const(-by))
	}
	if len(d.terms) == 0 {
		return Const(floorInt(d.n, by))
	}
	// d = by*whole + rest, where every coefficient of rest lies in [0, by)
	whole, rest := Dim{n: floorInt(d.n, by)}, Dim{n: modInt(d.n, by)}
	g := by
	for _, t := range d.terms {
		if q := floorInt(t.coef, by); q != 0 {
			whole.terms = append(whole.terms, term{q, t.factors})
		}
		if r := modInt(t.coef, by); r != 0 {
			rest.terms = append(rest.terms, term{r, t.factors})
			g = gcd(g, r)
		}
	}
	if len(rest.terms) == 0 {
		return whole
	}
	if g > 1 { // floor((g*a + c) / (g*m)) = floor((a + floor(c/g)) / m)
		reduced := Dim{n: rest.n / g}
		for _, t := range rest.terms {
			reduced.terms = append(reduced.terms, term{t.coef / g, t.factors})
		}
		return whole.Add(reduced.FloorDiv(Const(by / g)))
	}
	if f := rest.soleFloor(); f != nil { // floor((floor(x/m) + c) / n) = floor((x + c*m) / (m*n))
		if m, ok := mulInt(f.by, by); ok {
			return whole.Add(f.of.Add(Const(rest.n).Mul(Const(f.by))).FloorDiv(Const(m)))
		}
	}
	return whole.Add(floorOf(rest, by))
}

// soleFloor returns the quotient when d is one floor symbol plus a constant.
func (d Dim) soleFloor() *ratio {
	if len(d.terms) == 1 && d.terms[0].coef == 1 && len(d.terms[0].factors) == 1 && d.terms[0].factors[0].pow == 1 {
		return d.terms[0].factors[0].sym.floor
	}
	return nil
}

func floorOf(d Dim, by int64) Dim {
	s := newOpaque(fmt.Sprintf("floor(%s/%d)", grouped(d), by), d)
	s.floor = &ratio{d, by}
	if low, ok := d.least(); ok {
		s.least = floorInt(low, by)
	} else if d.nonNegative() {
		s.least = 0
	}
	return ofSymbol(s)
}

// grouped writes d so that it can stand as an operand.
func grouped(d Dim) string {
	if len(d.terms) == 0 || len(d.terms) == 1 && d.n == 0 && d.terms[0].coef == 1 && len(d.terms[0].factors) == 1 {
		return d.String()
	}
	return "(" + d.String() + ")"
}

// CeilDiv returns the smallest integer not below d / n.
func (d Dim) CeilDiv(n Dim) Dim {
	if q, ok := d.DivExact(n); ok {
		return q
	}
	if by, ok := n.Const(); ok && by <= 0 {
		return d.Mul(Const(-1)).FloorDiv(n).Mul(Const(-1))
	}
	return d.Add(n).Sub(Const(1)).FloorDiv(n)
}

// Mod returns d - n*floor(d/n).
func (d Dim) Mod(n Dim) Dim {
	if n.is(0) {
		return opaque("mod", d, n)
	}
	return d.Sub(n.Mul(d.FloorDiv(n)))
}

// Max returns the greater of d and e.
func (d Dim) Max(e Dim) Dim {
	switch {
	case d.Sub(e).nonNegative():
		return d
	case e.Sub(d).nonNegative():
		return e
	}
	return opaque("max", d, e)
}

// Min returns the lesser of d and e.
func (d Dim) Min(e Dim) Dim {
	switch {
	case d.Sub(e).nonNegative():
		return e
	case e.Sub(d).nonNegative():
		return d
	}
	return opaque("min", d, e)
}

// nonNegative reports whether d >= 0 is certain, given that extents of inputs are at least 1, invented
// extents at least 0, and floor(x/n) at most x/n.
func (d Dim) nonNegative() bool { return d.certain(4) }

// certain is nonNegative with a bound on how many symbols are looked into.
func (d Dim) certain(depth int) bool {
	if low, ok := d.least(); ok && low >= 0 {
		return true
	}
	if depth == 0 {
		return false
	}
	for _, t := range d.terms {
		if len(t.factors) != 1 || t.factors[0].pow != 1 {
			continue
		}
		s := t.factors[0].sym
		rest := d.Sub(Dim{terms: []term{t}})
		switch {
		case s.floor != nil && t.coef < 0: // by times d is at least this
			return rest.Mul(Const(s.floor.by)).Add(s.floor.of.Mul(Const(t.coef))).certain(depth - 1)
		case s.pick != nil:
			first := rest.Add(s.pick.a.Mul(Const(t.coef))).certain(depth - 1)
			second := func() bool { return rest.Add(s.pick.b.Mul(Const(t.coef))).certain(depth - 1) }
			if (t.coef > 0) == s.pick.greater { // at least as much as with either operand
				return first || second()
			}
			return first && second()
		}
	}
	return false
}

// least returns a number that d is never below; ok is false where there is none, or none is known.
func (d Dim) least() (low int64, ok bool) {
	low = d.n
	for _, t := range d.terms {
		if t.coef < 0 {
			return 0, false
		}
		product := t.coef
		for _, f := range t.factors {
			if f.sym.least < 0 {
				return 0, false
			}
			for range f.pow {
				if product, ok = mulInt(product, f.sym.least); !ok {
					return 0, false
				}
			}
		}
		if low, ok = addInt(low, product); !ok {
			return 0, false
		}
	}
	return low, true
}

// opaque returns the symbol for an operation that is no polynomial, or too large to be kept as one.
func opaque(op string, d, e Dim) Dim {
	var name string
	switch op {
	case "add":
		name = d.String() + "+" + grouped(e)
	case "mul":
		name = grouped(d) + "*" + grouped(e)
	case "floordiv":
		name = "floor(" + grouped(d) + "/" + grouped(e) + ")"
	default: // max, min, mod
		a, b := d.String(), e.String()
		if a > b && op != "mod" {
			a, b = b, a
		}
		name = op + "(" + a + ", " + b + ")"
	}
	if op == "add" || op == "mul" {
		name = "(" + name + ")"
	}
	s := newOpaque(name, d, e)
	s.least = leastOf(op, d, e)
	if op == "max" || op == "min" {
		s.pick = &choice{op == "max", d, e}
	}
	return ofSymbol(s)
}

// leastOf returns a lower bound of an opaque operation; -1 where none is known.
func leastOf(op string, d, e Dim) int64 {
	a, okA := d.least()
	b, okB := e.least()
	positive := okA && okB && a >= 0 && b >= 0
	switch {
	case op == "max" && okA && okB:
		return max(a, b, -1)
	case op == "max" && (okA && a >= 0):
		return a
	case op == "max" && (okB && b >= 0):
		return b
	case op == "min" && positive:
		return min(a, b)
	case op != "max" && positive:
		return 0
	}
	return -1
}

// newOpaque makes a symbol that is known by its expression; an expression that is too long is known by its hash.
func newOpaque(name string, args ...Dim) *symbol {
	if len(name) > maxName {
		h := fnv.New128a()
		h.Write([]byte(name))
		name = fmt.Sprintf("expression %x", h.Sum(nil))
	}
	s := &symbol{name: name, least: -1}
	for _, a := range args {
		s.born = max(s.born, a.newest())
	}
	return s
}

// newest returns the deepest birth among the symbols of d.
func (d Dim) newest() int {
	born := 0
	for _, t := range d.terms {
		for _, f := range t.factors {
			born = max(born, f.sym.born)
		}
	}
	return born
}

func floorInt(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

func modInt(a, b int64) int64 {
	return a - b*floorInt(a, b)
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
