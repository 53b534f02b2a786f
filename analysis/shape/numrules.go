package shape

import (
	"math"

	"onnxprune/onnxio"
)

// How whole small tensors are computed, element by element, with broadcasting.

// fixedShape returns the extents of a tensor when all are numbers and the tensor is small enough to track.
func (in *Info) fixedShape() ([]int, bool) {
	if !in.Known {
		return nil, false
	}
	total := int64(1)
	out := make([]int, len(in.Dims))
	for i, d := range in.Dims {
		n, ok := d.Const()
		if !ok || n < 0 || n > maxNums {
			return nil, false
		}
		if total *= n; total > maxNums {
			return nil, false
		}
		out[i] = int(n)
	}
	return out, true
}

// size returns the product of extents.
func size(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// spread returns, for every element of a tensor of shape to, which element of a tensor of shape from
// broadcasting puts there.
func spread(from, to []int) []int {
	out := make([]int, size(to))
	if size(from) == 1 {
		return out
	}
	strides := make([]int, len(to))
	step := 1
	for i := len(from) - 1; i >= 0; i-- {
		if from[i] != 1 {
			strides[len(to)-len(from)+i] = step
		}
		step *= from[i]
	}
	walk(to, strides, func(i, at int) { out[i] = at })
	return out
}

// walk visits the elements of a tensor in row-major order, with the offset that strides give.
func walk(shape, strides []int, visit func(i, at int)) {
	if size(shape) == 0 {
		return
	}
	index := make([]int, len(shape))
	at := 0
	for i := 0; ; i++ {
		visit(i, at)
		a := len(shape) - 1
		for ; a >= 0; a-- {
			index[a]++
			at += strides[a]
			if index[a] < shape[a] {
				break
			}
			at -= strides[a] * shape[a]
			index[a] = 0
		}
		if a < 0 {
			return
		}
	}
}

// stridesOf returns the row-major strides of a shape.
func stridesOf(shape []int) []int {
	out := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		out[i] = step
		step *= shape[i]
	}
	return out
}

// combine computes the elements of output 0 from inputs 0 and 1.
func (c *call) combine(f binaryNum) {
	a, b := c.in(0), c.in(1)
	if a.Nums == nil || b.Nums == nil {
		return
	}
	out := c.res.Of(c.node.Output(0))
	to, ok := out.fixedShape()
	if !ok {
		return
	}
	c.setNums(0, broadcastNums(a, b, to, func(x, y Num) Num {
		if !x.Known() && !y.Known() {
			return Num{}
		}
		return f(x, y, a.Elem).stored(out.Elem)
	}))
}

func broadcastNums(a, b *Info, to []int, f func(x, y Num) Num) []Num {
	sa, ok := a.fixedShape()
	sb, fine := b.fixedShape()
	n := size(to)
	if !ok || !fine || len(a.Nums) != size(sa) || len(b.Nums) != size(sb) {
		return nil
	}
	out := make([]Num, n)
	if len(a.Nums) == n && len(b.Nums) == n {
		for i := range out {
			out[i] = f(a.Nums[i], b.Nums[i])
		}
		return out
	}
	ia, ib := spread(sa, to), spread(sb, to)
	for i := range out {
		out[i] = f(a.Nums[ia[i]], b.Nums[ib[i]])
	}
	return out
}

// apply computes the elements of output 0 from input 0, one by one.
func (c *call) apply(f func(Num) Num) {
	in := c.in(0)
	if in.Nums == nil {
		return
	}
	elem := c.res.Of(c.node.Output(0)).Elem
	out := make([]Num, len(in.Nums))
	for i, n := range in.Nums {
		if n.Known() {
			out[i] = f(n).stored(elem)
		}
	}
	c.setNums(0, out)
}

// floatFunc makes an operation on elements out of a function of numbers.
func floatFunc(f func(float64) float64) func(Num) Num {
	return func(n Num) Num {
		if x, ok := n.Float(); ok {
			return FloatNum(f(x))
		}
		return Num{}
	}
}

func floorNum(n Num) Num {
	switch n.kind {
	case numRatio:
		return IntNum(n.dim.FloorDiv(Const(n.by)))
	case numFloat:
		return FloatNum(math.Floor(n.f))
	}
	return n
}

func ceilNum(n Num) Num {
	switch n.kind {
	case numRatio:
		return IntNum(n.dim.CeilDiv(Const(n.by)))
	case numFloat:
		return FloatNum(math.Ceil(n.f))
	}
	return n
}

func roundNum(n Num) Num {
	switch n.kind {
	case numRatio:
		return Num{}
	case numFloat:
		return FloatNum(math.RoundToEven(n.f))
	}
	return n
}

func negNum(n Num) Num { return subNum(IntNum(Const(0)), n, onnxio.Undefined) }

func absNum(n Num) Num {
	if f, ok := n.Float(); ok {
		return FloatNum(math.Abs(f))
	}
	if n.kind == numDim || n.kind == numRatio {
		if n.dim.nonNegative() {
			return n
		}
		if n.dim.Mul(Const(-1)).nonNegative() {
			return negNum(n)
		}
	}
	return Num{}
}

func reluNum(n Num) Num { return maxNum(n, IntNum(Const(0)), onnxio.Undefined) }

func signNum(n Num) Num {
	if s, ok := compareNums(n, IntNum(Const(0))); ok {
		return IntNum(Const(int64(s)))
	}
	return Num{}
}

func reciprocalNum(n Num) Num { return divNum(IntNum(Const(1)), n, onnxio.Float) }
