package shape_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"onnxprune/analysis/shape"
)

// The algebra of dimensions, by hand; then quotients against arithmetic on numbers put in for the symbols.

var (
	h = shape.Symbol("H")
	w = shape.Symbol("W")
	n = shape.Symbol("N")
)

func num(v int64) shape.Dim { return shape.Const(v) }

func TestDimAlgebra(t *testing.T) {
	for _, c := range []struct {
		name string
		got  shape.Dim
		want string
	}{
		{"numbers add", num(2).Add(num(3)), "5"},
		{"the same symbol is one symbol", h.Sub(shape.Symbol("H")), "0"},
		{"terms are sorted", w.Add(h).Add(num(1)), "H+W+1"},
		{"products commute", w.Mul(h).Sub(h.Mul(w)), "0"},
		{"a square of a sum", h.Add(num(1)).Mul(h.Add(num(1))), "H^2+2*H+1"},
		{"a difference of squares", h.Add(w).Mul(h.Sub(w)), "H^2-W^2"},
		{"zero times a symbol", h.Mul(num(0)), "0"},
		{"negative coefficients", num(3).Sub(h.Mul(num(2))), "-2*H+3"},
		{"floor of a multiple is exact", h.Mul(num(6)).FloorDiv(num(3)), "2*H"},
		{"floor takes out what divides", h.Mul(num(4)).Add(num(7)).FloorDiv(num(4)), "H+1"},
		{"floor stays where nothing divides", h.Add(num(1)).FloorDiv(num(2)), "floor((H+1)/2)"},
		{"a stride of two with padding", h.Sub(num(1)).FloorDiv(num(2)).Add(num(1)), "floor((H+1)/2)"},
		{"two strides of two are one of four", h.FloorDiv(num(2)).FloorDiv(num(2)), "floor(H/4)"},
		{"rounding up twice is rounding up once", h.CeilDiv(num(2)).CeilDiv(num(2)), "floor((H+3)/4)"},
		{"common factors go", h.Mul(num(2)).Add(num(1)).FloorDiv(num(4)), "floor(H/2)"},
		{"floor of a negative number", num(-7).FloorDiv(num(2)), "-4"},
		{"ceiling of a negative number", num(-7).CeilDiv(num(2)), "-3"},
		{"division by a negative number", num(7).FloorDiv(num(-2)), "-4"},
		{"a remainder", h.Mul(num(4)).Add(num(6)).Mod(num(4)), "2"},
		{"a quotient of polynomials", n.Mul(h).Mul(w).FloorDiv(h.Mul(w)), "N"},
		{"a quotient that does not come out", h.FloorDiv(w), "floor(H/W)"},
		{"the greater of two sums", h.Add(num(1)).Max(h), "H+1"},
		{"the lesser of a half and a whole", h.FloorDiv(num(2)).Min(h), "floor(H/2)"},
		{"the greater of two symbols", h.Max(w), "max(H, W)"},
		{"max has no order", w.Max(h).Sub(h.Max(w)), "0"},
		{"an extent is at least one", h.Max(num(1)), "H"},
	} {
		if got := c.got.String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestDimDivisionIsExactOrRefused(t *testing.T) {
	for _, c := range []struct {
		name string
		d, e shape.Dim
		want string // "" for refused
	}{
		{"a number by a number", num(12), num(4), "3"},
		{"a number that does not divide", num(12), num(5), ""},
		{"by zero", h, num(0), ""},
		{"zero by a symbol", num(0), h, "0"},
		{"a product by its factor", n.Mul(num(256)).Mul(h).Mul(w), num(64).Mul(w), "4*H*N"},
		{"a square of a sum by the sum", h.Add(num(1)).Mul(h.Add(num(1))), h.Add(num(1)), "H+1"},
		{"a difference of squares by the sum", h.Mul(h).Sub(w.Mul(w)), h.Add(w), "H-W"},
		{"a sum that does not divide", h.Mul(h).Add(num(1)), h.Add(num(1)), ""},
		{"a half by a half", h.FloorDiv(num(2)).Mul(num(6)), h.FloorDiv(num(2)), "6"},
		{"a coefficient that does not divide", h.Mul(num(3)), h.Mul(num(2)), ""},
	} {
		q, ok := c.d.DivExact(c.e)
		switch {
		case ok && c.want == "":
			t.Errorf("%s: got %v, want none", c.name, q)
		case !ok && c.want != "":
			t.Errorf("%s: got none, want %s", c.name, c.want)
		case ok && q.String() != c.want:
			t.Errorf("%s: got %v, want %s", c.name, q, c.want)
		}
	}
}

// TestDimQuotientsHoldForNumbers builds the same expression of numbers and of symbols minus what they stand for, and
// compares: FloorDiv, CeilDiv, Mod, Max and Min of a polynomial a*x+b, where x is a multiple of the divisor, are
// exact whatever a and b are.
func TestDimQuotientsHoldForNumbers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		a, b, by := r.Int64N(41)-20, r.Int64N(41)-20, r.Int64N(12)+1
		x := h.Mul(num(by))
		d := x.Mul(num(a)).Add(num(b))
		floor := int64(math.Floor(float64(b) / float64(by)))
		ceil := int64(math.Ceil(float64(b) / float64(by)))
		if got, want := d.FloorDiv(num(by)), h.Mul(num(a)).Add(num(floor)); !got.Equal(want) {
			t.Fatalf("floor((%v)/%d) = %v, want %v", d, by, got, want)
		}
		if got, want := d.CeilDiv(num(by)), h.Mul(num(a)).Add(num(ceil)); !got.Equal(want) {
			t.Fatalf("ceil((%v)/%d) = %v, want %v", d, by, got, want)
		}
		if got, want := d.Mod(num(by)), num(b-by*floor); !got.Equal(want) {
			t.Fatalf("(%v) mod %d = %v, want %v", d, by, got, want)
		}
	}
}

// TestDimsStaySmall: expressions that grow without bound, as a hostile model could write them, end in opaque symbols.
func TestDimsStaySmall(t *testing.T) {
	d := h.Add(w)
	for i := range 200 {
		d = d.Mul(d.Add(n)).Add(shape.Symbol("S").FloorDiv(num(int64(i + 2)))).Max(w)
	}
	if len(d.String()) > 20000 {
		t.Errorf("the expression has %d letters", len(d.String()))
	}
	big := num(math.MaxInt64)
	for _, d := range []shape.Dim{big.Add(big), big.Mul(big), num(math.MinInt64).Sub(num(1)), num(math.MinInt64).Mul(num(-1)), num(math.MinInt64).FloorDiv(num(-1))} {
		if v, ok := d.Const(); ok {
			t.Errorf("an overflow came out as %d", v)
		}
	}
}
