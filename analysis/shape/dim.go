package shape

import (
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// Dim is an integer polynomial over symbols (batch, H, W, ...) in canonical form. The zero Dim is the
// number 0. A Dim is immutable; two Dims are compared by Equal.
//
// What is no polynomial (a quotient that does not come out, a minimum) becomes an opaque symbol
// whose name is the expression, so that the same expression is the same symbol everywhere.
type Dim struct {
	n     int64
	terms []term // without the constant, in descending order of their monomials
}

// term is coef times the product of its factors; coef is never 0 and there is at least one factor.
type term struct {
	coef    int64
	factors []factor // by ascending name of the symbol
}

type factor struct {
	sym *symbol
	pow int
}

// symbol is an unknown that stands for an integer. Symbols are the same when their names are.
type symbol struct {
	name  string
	born  int     // 0: of the graph's inputs; else 1 + depth of the scope where inference had to invent it
	least int64   // it is never below this; negative where that is not known
	floor *ratio  // for floor(of/by)
	pick  *choice // for max(a, b) and min(a, b)
}

// ratio is the quotient that a floor symbol stands for.
type ratio struct {
	of Dim
	by int64
}

// choice is the greater or the lesser of two.
type choice struct {
	greater bool
	a, b    Dim
}

// Limits that keep hostile models from growing polynomials or names without bound.
const (
	maxTerms  = 64
	maxDegree = 32
	maxName   = 160
)

// Const returns the number n.
func Const(n int64) Dim { return Dim{n: n} }

// Symbol returns the symbol of that name.
func Symbol(name string) Dim { return ofSymbol(&symbol{name: name, least: 1}) }

func ofSymbol(s *symbol) Dim {
	return Dim{terms: []term{{1, []factor{{s, 1}}}}}
}

// Const returns the number that d is; ok is false when d depends on a symbol.
func (d Dim) Const() (n int64, ok bool) { return d.n, len(d.terms) == 0 }

// is reports whether d is the number n.
func (d Dim) is(n int64) bool { return d.n == n && len(d.terms) == 0 }

func (d Dim) constant() bool { return len(d.terms) == 0 }

// Equal reports whether d and e are the same polynomial. Different polynomials may still turn out to be
// the same number.
func (d Dim) Equal(e Dim) bool {
	if d.n != e.n || len(d.terms) != len(e.terms) {
		return false
	}
	for i := range d.terms {
		if d.terms[i].coef != e.terms[i].coef || compareFactors(d.terms[i].factors, e.terms[i].factors) != 0 {
			return false
		}
	}
	return true
}

// compareFactors orders monomials by degree, then lexicographically (graded lexicographic order,
// which multiplication respects: polynomial division needs that).
func compareFactors(a, b []factor) int {
	if len(a) == 1 && len(b) == 1 && a[0].sym == b[0].sym {
		return a[0].pow - b[0].pow
	}
	da, db := 0, 0
	for _, f := range a {
		da += f.pow
	}
	for _, f := range b {
		db += f.pow
	}
	if da != db {
		return da - db
	}
	for i := range min(len(a), len(b)) {
		if a[i].sym != b[i].sym {
			if c := strings.Compare(b[i].sym.name, a[i].sym.name); c != 0 {
				return c // the earlier name is the greater monomial
			}
		}
		if c := a[i].pow - b[i].pow; c != 0 {
			return c
		}
	}
	return len(a) - len(b)
}

// Add returns d + e.
func (d Dim) Add(e Dim) Dim {
	n, ok := addInt(d.n, e.n)
	if !ok {
		return opaque("add", d, e)
	}
	if len(e.terms) == 0 {
		return Dim{n, d.terms}
	}
	if len(d.terms) == 0 {
		return Dim{n, e.terms}
	}
	out := Dim{n: n, terms: make([]term, 0, len(d.terms)+len(e.terms))}
	i, j := 0, 0
	for i < len(d.terms) && j < len(e.terms) {
		a, b := d.terms[i], e.terms[j]
		switch c := compareFactors(a.factors, b.factors); {
		case c > 0:
			out.terms = append(out.terms, a)
			i++
		case c < 0:
			out.terms = append(out.terms, b)
			j++
		default:
			s, ok := addInt(a.coef, b.coef)
			if !ok {
				return opaque("add", d, e)
			}
			if s != 0 {
				out.terms = append(out.terms, term{s, a.factors})
			}
			i++
			j++
		}
	}
	out.terms = append(append(out.terms, d.terms[i:]...), e.terms[j:]...)
	if len(out.terms) > maxTerms {
		return opaque("add", d, e)
	}
	return out
}

// Sub returns d - e.
func (d Dim) Sub(e Dim) Dim {
	if len(e.terms) == 0 && e.n != -e.n {
		return d.Add(Const(-e.n))
	}
	return d.Add(e.Mul(Const(-1)))
}

// Mul returns d * e.
func (d Dim) Mul(e Dim) Dim {
	if len(d.terms) == 0 && len(e.terms) == 0 {
		if n, ok := mulInt(d.n, e.n); ok {
			return Const(n)
		}
		return opaque("mul", d, e)
	}
	if d.is(1) {
		return e
	}
	if e.is(1) {
		return d
	}
	if len(d.terms)*len(e.terms) > maxTerms*4 || d.degree()+e.degree() > maxDegree {
		return opaque("mul", d, e)
	}
	n, ok := mulInt(d.n, e.n)
	out := Dim{n: n}
	add := func(a, b term) {
		c, fine := mulInt(a.coef, b.coef)
		if ok = ok && fine; ok && c != 0 {
			out = out.Add(Dim{terms: []term{{c, mulFactors(a.factors, b.factors)}}})
		}
	}
	for _, a := range d.terms {
		add(a, term{coef: e.n})
		for _, b := range e.terms {
			add(a, b)
		}
	}
	for _, b := range e.terms {
		add(term{coef: d.n}, b)
	}
	if !ok {
		return opaque("mul", d, e)
	}
	return out
}

// degree returns the greatest degree among the monomials of d.
func (d Dim) degree() int {
	if len(d.terms) == 0 {
		return 0
	}
	n := 0
	for _, f := range d.terms[0].factors { // the order is by degree
		n += f.pow
	}
	return n
}

func mulFactors(a, b []factor) []factor {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	out := make([]factor, 0, len(a)+len(b))
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch c := compareSymbols(a[i].sym, b[j].sym); {
		case c < 0:
			out = append(out, a[i])
			i++
		case c > 0:
			out = append(out, b[j])
			j++
		default:
			out = append(out, factor{a[i].sym, a[i].pow + b[j].pow})
			i++
			j++
		}
	}
	return append(append(out, a[i:]...), b[j:]...)
}

func compareSymbols(a, b *symbol) int {
	if a == b {
		return 0
	}
	return strings.Compare(a.name, b.name)
}

// DivExact returns d / e when e divides d as polynomials over the integers.
func (d Dim) DivExact(e Dim) (Dim, bool) {
	if e.is(0) {
		return Dim{}, false
	}
	if len(e.terms) == 0 {
		return d.divConst(e.n)
	}
	lead, rest, quotient := e.terms[0], d, Dim{}
	for steps := 0; !rest.is(0); steps++ {
		if len(rest.terms) == 0 || steps > maxTerms {
			return Dim{}, false
		}
		top := rest.terms[0]
		if top.coef%lead.coef != 0 {
			return Dim{}, false
		}
		fs, ok := divFactors(top.factors, lead.factors)
		if !ok {
			return Dim{}, false
		}
		q := Const(top.coef / lead.coef)
		if len(fs) > 0 {
			q = Dim{terms: []term{{top.coef / lead.coef, fs}}}
		}
		quotient = quotient.Add(q)
		rest = rest.Sub(q.Mul(e))
	}
	return quotient, true
}

func (d Dim) divConst(n int64) (Dim, bool) {
	if d.n%n != 0 {
		return Dim{}, false
	}
	out := Dim{n: d.n / n}
	for _, t := range d.terms {
		if t.coef%n != 0 {
			return Dim{}, false
		}
		out.terms = append(out.terms, term{t.coef / n, t.factors})
	}
	return out, true
}

// divFactors divides one monomial by another.
func divFactors(a, b []factor) ([]factor, bool) {
	var out []factor
	j := 0
	for _, f := range a {
		if j < len(b) && compareSymbols(f.sym, b[j].sym) == 0 {
			if f.pow < b[j].pow {
				return nil, false
			}
			if f.pow > b[j].pow {
				out = append(out, factor{f.sym, f.pow - b[j].pow})
			}
			j++
			continue
		}
		out = append(out, f)
	}
	return out, j == len(b)
}

// String writes the polynomial, such as "2*H*W+1".
func (d Dim) String() string {
	if len(d.terms) == 0 {
		return strconv.FormatInt(d.n, 10)
	}
	var b strings.Builder
	for i, t := range d.terms {
		switch {
		case t.coef == 1:
			if i > 0 {
				b.WriteByte('+')
			}
		case t.coef == -1:
			b.WriteByte('-')
		default:
			if i > 0 && t.coef > 0 {
				b.WriteByte('+')
			}
			b.WriteString(strconv.FormatInt(t.coef, 10))
			b.WriteByte('*')
		}
		for k, f := range t.factors {
			if k > 0 {
				b.WriteByte('*')
			}
			b.WriteString(f.sym.name)
			if f.pow > 1 {
				b.WriteByte('^')
				b.WriteString(strconv.Itoa(f.pow))
			}
		}
	}
	if d.n > 0 {
		b.WriteByte('+')
	}
	if d.n != 0 {
		b.WriteString(strconv.FormatInt(d.n, 10))
	}
	return b.String()
}

// bornInside reports whether d depends on a symbol that inference invented at the given depth of
// scopes or deeper; depth 0 asks for any invented symbol.
func (d Dim) bornInside(depth int) bool {
	return slices.ContainsFunc(d.terms, func(t term) bool {
		return slices.ContainsFunc(t.factors, func(f factor) bool {
			return f.sym.born > depth
		})
	})
}

func addInt(a, b int64) (int64, bool) {
	s := a + b
	return s, (s > a) == (b > 0)
}

func mulInt(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 || lo > 1<<62 {
		return 0, false
	}
	return a * b, true
}

func magnitude(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}
