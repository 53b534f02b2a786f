package shape

import (
	"encoding/binary"
	"math"

	"onnxprune/onnxio"
)

// The arithmetic of single elements. Numbers are computed in the type of their tensor; what depends on a
// symbol is computed exactly, as a polynomial over a constant denominator: Cast(H) * 0.5 is H/2, and its
// Floor is floor(H/2). Where float32 would round such a product, the extents are too large to matter.

// maxSmall bounds the elements that are decoded of types which hardly ever hold sizes.
const maxSmall = 64

// decode returns the elements of a small constant; nil where it is large, or of a type that holds no sizes.
func decode(t *onnxio.Tensor) []Num {
	n, limit := t.Len(), int64(maxNums)
	switch t.DataType {
	case onnxio.Int64, onnxio.Int32, onnxio.Bool, onnxio.Uint32, onnxio.Uint64:
	case onnxio.Int8, onnxio.Uint8, onnxio.Int16, onnxio.Uint16, onnxio.Float, onnxio.Double, onnxio.Float16, onnxio.BFloat16:
		limit = maxSmall
	default:
		return nil
	}
	if n > limit {
		return nil
	}
	raw, err := t.Raw()
	if err != nil {
		return nil // the rules do without; whoever needs the elements reports it
	}
	out := make([]Num, n)
	if t.DataType == onnxio.Double {
		for i := range out {
			out[i] = FloatNum(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		}
		return out
	}
	if t.DataType.IsFloat() {
		fs, err := t.Float32s()
		if err != nil {
			return nil
		}
		for i, f := range fs {
			out[i] = FloatNum(float64(f))
		}
		return out
	}
	vs, err := t.Ints()
	if err != nil {
		return nil
	}
	for i, v := range vs {
		out[i] = IntNum(Const(v))
	}
	return out
}

// rational returns n as a polynomial over a positive constant.
func (n Num) rational() (Dim, int64, bool) {
	switch n.kind {
	case numDim:
		return n.dim, 1, true
	case numRatio:
		return n.dim, n.by, true
	case numFloat:
		for by := int64(1); by <= 1<<12; by *= 2 {
			if f := n.f * float64(by); f == math.Trunc(f) && math.Abs(f) < 1<<40 {
				return Const(int64(f)), by, true
			}
		}
	}
	return Dim{}, 0, false
}

// quotient returns d/by in lowest terms.
func quotient(d Dim, by int64) Num {
	if by < 0 {
		d, by = d.Mul(Const(-1)), -by
	}
	g := gcd(by, magnitudeInt(d.n))
	for _, t := range d.terms {
		g = gcd(g, magnitudeInt(t.coef))
	}
	if g > 1 {
		d, _ = d.divConst(g)
		by /= g
	}
	switch {
	case by == 1:
		return IntNum(d)
	case d.constant():
		return FloatNum(float64(d.n) / float64(by))
	}
	return Num{kind: numRatio, dim: d, by: by}
}

func magnitudeInt(a int64) int64 {
	if a < 0 {
		return -a
	}
	return a
}

// fixedInt returns n as a plain integer.
func (n Num) fixedInt() (int64, bool) {
	if n.kind != numDim {
		return 0, false
	}
	return n.dim.Const()
}

// stored returns what becomes of n in a tensor of that type: floats are rounded, integers that do not fit are unknown.
func (n Num) stored(t onnxio.DataType) Num {
	f, ok := n.Float()
	if !ok {
		return n
	}
	switch t {
	case onnxio.Float:
		if math.Abs(f) >= 1<<24 || n.kind == numFloat {
			return FloatNum(float64(float32(f)))
		}
		return n
	case onnxio.Float16:
		return FloatNum(float64(onnxio.Float16ToFloat32(onnxio.Float32ToFloat16(float32(f)))))
	case onnxio.BFloat16:
		return FloatNum(float64(onnxio.BFloat16ToFloat32(onnxio.Float32ToBFloat16(float32(f)))))
	case onnxio.Double, onnxio.Int64:
		return n
	case onnxio.Bool:
		return boolNum(f != 0)
	}
	if lo, hi, ok := intRange(t); ok {
		if v, ok := n.fixedInt(); ok && v >= lo && v <= hi {
			return n
		}
	}
	return Num{}
}

// intRange returns the least and the greatest number of an integer type.
func intRange(t onnxio.DataType) (lo, hi int64, ok bool) {
	switch t {
	case onnxio.Int8, onnxio.Int16, onnxio.Int32, onnxio.Int64, onnxio.Int4, onnxio.Int2:
		b := t.Bits() - 1
		return -1 << b, 1<<b - 1, true
	case onnxio.Uint8, onnxio.Uint16, onnxio.Uint32, onnxio.Uint4, onnxio.Uint2:
		return 0, 1<<t.Bits() - 1, true
	case onnxio.Uint64:
		return 0, math.MaxInt64, true
	}
	return 0, 0, false
}

func isInteger(t onnxio.DataType) bool {
	_, _, ok := intRange(t)
	return ok
}

func boolNum(b bool) Num {
	if b {
		return IntNum(Const(1))
	}
	return IntNum(Const(0))
}

// binaryNum is an operation on two elements of a tensor type.
type binaryNum func(a, b Num, t onnxio.DataType) Num

func addNum(a, b Num, t onnxio.DataType) Num {
	return arithmetic(a, b, Dim.Add, func(x, y float64) float64 { return x + y })
}

func subNum(a, b Num, t onnxio.DataType) Num {
	return arithmetic(a, b, Dim.Sub, func(x, y float64) float64 { return x - y })
}

func arithmetic(a, b Num, exact func(Dim, Dim) Dim, float func(x, y float64) float64) Num {
	if a.kind == numDim && b.kind == numDim {
		return IntNum(exact(a.dim, b.dim))
	}
	if x, ok := a.Float(); ok {
		if y, ok := b.Float(); ok {
			return FloatNum(float(x, y))
		}
	}
	x, m, ok := a.rational()
	y, n, fine := b.rational()
	if !ok || !fine || m > 1<<24 || n > 1<<24 {
		return Num{}
	}
	return quotient(exact(x.Mul(Const(n)), y.Mul(Const(m))), m*n)
}

func mulNum(a, b Num, t onnxio.DataType) Num {
	if a.kind == numDim && b.kind == numDim {
		return IntNum(a.dim.Mul(b.dim))
	}
	if x, ok := a.Float(); ok {
		if y, ok := b.Float(); ok {
			return FloatNum(x * y)
		}
	}
	x, m, ok := a.rational()
	y, n, fine := b.rational()
	if !ok || !fine || m > 1<<24 || n > 1<<24 {
		return Num{}
	}
	return quotient(x.Mul(y), m*n)
}

func divNum(a, b Num, t onnxio.DataType) Num {
	if isInteger(t) {
		return divInteger(a, b)
	}
	if x, ok := a.Float(); ok {
		if y, ok := b.Float(); ok {
			return FloatNum(x / y)
		}
	}
	x, m, ok := a.rational()
	y, n, fine := b.rational()
	if !ok || !fine || m > 1<<24 || n > 1<<24 {
		return Num{}
	}
	if k, ok := y.Const(); ok && k != 0 && magnitudeInt(k) < 1<<24 {
		return quotient(x.Mul(Const(n)), m*k)
	}
	if q, ok := x.Mul(Const(n)).DivExact(y); ok {
		return quotient(q, m)
	}
	return Num{}
}

// divInteger truncates as C does; extents are not negative, so of them it takes the floor.
func divInteger(a, b Num) Num {
	x, ok := a.Int()
	y, fine := b.Int()
	if !ok || !fine || y.is(0) {
		return Num{}
	}
	if x.constant() && y.constant() {
		if y.n == -1 {
			return IntNum(x.Mul(Const(-1)))
		}
		return IntNum(Const(x.n / y.n))
	}
	return IntNum(x.FloorDiv(y))
}

// modNum takes the divisor's sign, as Mod does with fmod=0.
func modNum(a, b Num, t onnxio.DataType) Num {
	x, ok := a.Int()
	y, fine := b.Int()
	if !ok || !fine || y.is(0) {
		return Num{}
	}
	if x.constant() && y.constant() {
		return IntNum(Const(modInt(x.n, y.n)))
	}
	if k, ok := y.Const(); ok && k < 0 {
		return Num{}
	}
	return IntNum(x.Mod(y))
}

// remainderNum takes the dividend's sign, as C's fmod does.
func remainderNum(a, b Num, t onnxio.DataType) Num {
	x, ok := a.Float()
	y, fine := b.Float()
	if !ok || !fine || y == 0 {
		return Num{}
	}
	return FloatNum(math.Mod(x, y))
}

func powNum(a, b Num, t onnxio.DataType) Num {
	if n, ok := b.fixedInt(); ok && a.kind == numDim && n >= 0 && n <= 8 {
		out := Const(1)
		for range n {
			out = out.Mul(a.dim)
		}
		return IntNum(out)
	}
	x, ok := a.Float()
	y, fine := b.Float()
	if !ok || !fine || isInteger(t) {
		return Num{}
	}
	return FloatNum(math.Pow(x, y))
}

func minNum(a, b Num, t onnxio.DataType) Num {
	return arithmetic(a, b, Dim.Min, math.Min)
}

func maxNum(a, b Num, t onnxio.DataType) Num {
	return arithmetic(a, b, Dim.Max, math.Max)
}

// castNum converts an element to another type.
func castNum(n Num, to onnxio.DataType) Num {
	switch {
	case to == onnxio.Bool:
		if s, ok := compareNums(n, IntNum(Const(0))); ok {
			return boolNum(s != 0)
		}
		return Num{}
	case isInteger(to):
		switch n.kind {
		case numRatio:
			return IntNum(n.dim.FloorDiv(Const(n.by)))
		case numFloat:
			if math.IsNaN(n.f) || math.Abs(n.f) >= 1<<62 {
				return Num{}
			}
			n = IntNum(Const(int64(n.f)))
		}
		return n.stored(to)
	case to.IsFloat():
		return n.stored(to)
	}
	return Num{}
}
