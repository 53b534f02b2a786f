package shape

import "onnxprune/onnxio"

// Comparisons and logic of single elements: decided only where they are certain for every value that the symbols
// can have.

// sign returns the sign of a - b where it is certain.
func compareNums(a, b Num) (sign int, ok bool) {
	x, fine := a.Float()
	y, both := b.Float()
	if fine && both {
		switch {
		case x != x || y != y:
			return 0, false
		case x < y:
			return -1, true
		case x > y:
			return 1, true
		}
		return 0, true
	}
	p, m, ok := a.rational()
	q, n, fine := b.rational()
	if !ok || !fine || m > 1<<24 || n > 1<<24 {
		return 0, false
	}
	d := p.Mul(Const(n)).Sub(q.Mul(Const(m)))
	switch {
	case d.is(0):
		return 0, true
	case d.Sub(Const(1)).nonNegative():
		return 1, true
	case Const(-1).Sub(d).nonNegative():
		return -1, true
	}
	return 0, false
}

func equalNum(a, b Num, _ onnxio.DataType) Num {
	if s, ok := compareNums(a, b); ok {
		return boolNum(s == 0)
	}
	return Num{}
}

// lessNum decides a < b. It is certain also where only a >= b or a < b is.
func lessNum(a, b Num, _ onnxio.DataType) Num {
	if s, ok := compareNums(a, b); ok {
		return boolNum(s < 0)
	}
	x, ok := a.Int()
	y, fine := b.Int()
	if ok && fine && x.Sub(y).nonNegative() {
		return boolNum(false)
	}
	return Num{}
}

func greaterNum(a, b Num, t onnxio.DataType) Num { return lessNum(b, a, t) }

func lessOrEqualNum(a, b Num, t onnxio.DataType) Num { return notNum(lessNum(b, a, t)) }

func greaterOrEqualNum(a, b Num, t onnxio.DataType) Num { return notNum(lessNum(a, b, t)) }

func notNum(a Num) Num {
	if v, ok := a.fixedInt(); ok {
		return boolNum(v == 0)
	}
	return Num{}
}

func andNum(a, b Num, _ onnxio.DataType) Num {
	x, ok := a.fixedInt()
	y, fine := b.fixedInt()
	switch {
	case ok && x == 0, fine && y == 0:
		return boolNum(false)
	case ok && fine:
		return boolNum(true)
	}
	return Num{}
}

func orNum(a, b Num, _ onnxio.DataType) Num {
	x, ok := a.fixedInt()
	y, fine := b.fixedInt()
	switch {
	case ok && x != 0, fine && y != 0:
		return boolNum(true)
	case ok && fine:
		return boolNum(false)
	}
	return Num{}
}

func xorNum(a, b Num, _ onnxio.DataType) Num {
	x, ok := a.fixedInt()
	y, fine := b.fixedInt()
	if !ok || !fine {
		return Num{}
	}
	return boolNum((x != 0) != (y != 0))
}
