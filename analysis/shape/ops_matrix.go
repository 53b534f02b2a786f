package shape

import (
	"fmt"
	"strings"

	"onnxprune/onnxio"
)

// Matrix products.

var matrix = &family{"", []entry{
	{"Gemm", 1, gemm}, {"MatMul", 1, matMulOf(0, 1)}, {"MatMulInteger", 10, matMulInteger}, {"QLinearMatMul", 10, qlinearMatMul},
	{"Einsum", 12, einsum}, {"Det", 11, det},
}}

var matrixMicrosoft = &family{"com.microsoft", []entry{
	{"FusedGemm", 1, gemm}, {"FusedMatMul", 1, fusedMatMul}, {"TransposeMatMul", 1, fusedMatMul}, {"FusedMatMulActivation", 1, fusedMatMul},
	{"MatMulIntegerToFloat", 1, matMulToFloat(2)}, {"DynamicQuantizeMatMul", 1, matMulToFloat(2)}, {"MatMulInteger16", 1, matMulInteger},
	{"QLinearMatMul", 1, qlinearMatMul}, {"GemmFastGelu", 1, matMulOf(0, 1)}, {"MatMulNBits", 1, matMulNBits}, {"QGemm", 1, qgemm},
}}

func gemm(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	a, b := c.in(0), c.in(1)
	return c.gemm(a, b, 0, 1, 2, a.Elem)
}

func (c *call) gemm(a, b *Info, ai, bi, ci int, elem onnxio.DataType) error {
	if err := c.wantRank(ai, 2); err != nil {
		return err
	}
	if err := c.wantRank(bi, 2); err != nil {
		return err
	}
	m, ka := c.matrix(a, c.node.Int("transA", 0) != 0, 0)
	kb, n := c.matrix(b, c.node.Int("transB", 0) != 0, 1)
	if a.Known && b.Known && differ(ka, kb) {
		return fmt.Errorf("the inner extents of %s (%v) and %s (%v) differ", c.show(ai), ka, c.show(bi), kb)
	}
	out := []Dim{m, n}
	if c.has(ci) {
		if add := c.in(ci); add.Known {
			full, ok := c.broadcast(out, add.Dims)
			if !ok || len(full) != 2 {
				return fmt.Errorf("%s can not be broadcast to the product's shape [%v,%v]", c.show(ci), m, n)
			}
			for i, d := range full { // one direction only: C does not widen the product
				if out[i].is(1) && !d.is(1) && d.constant() {
					return fmt.Errorf("%s can not be broadcast to the product's shape [%v,%v]", c.show(ci), m, n)
				}
			}
			if n.bornInside(0) && full[1].constant() {
				out[1] = full[1]
			}
		}
	}
	c.out(0, elem, out)
	return nil
}

// matrix returns the extents of a matrix, exchanged where it is read transposed; unknown ones are
// symbols named after the output's axis.
func (c *call) matrix(in *Info, transposed bool, axis int) (rows, columns Dim) {
	if !in.Known {
		return c.freshOut(0, axis), c.freshOut(0, axis)
	}
	if transposed {
		return in.Dims[1], in.Dims[0]
	}
	return in.Dims[0], in.Dims[1]
}

// qgemm: A, scale, zero point, B, scale, zero point, C, and for a quantised output its scale and zero point.
func qgemm(c *call) error {
	if err := c.need(0, 3); err != nil {
		return err
	}
	elem := onnxio.Float
	if c.has(8) {
		elem = c.in(8).Elem
	}
	return c.gemm(c.in(0), c.in(3), 0, 3, 6, elem)
}

func matMulOf(a, b int) rule {
	return func(c *call) error {
		if err := c.need(a, b); err != nil {
			return err
		}
		return c.matMul(c.in(a), c.in(b), a, b, c.in(a).Elem)
	}
}

func matMulInteger(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	return c.matMul(c.in(0), c.in(1), 0, 1, onnxio.Int32)
}

func matMulToFloat(scale int) rule {
	return func(c *call) error {
		if err := c.need(0, 1); err != nil {
			return err
		}
		elem := c.in(scale).Elem
		if elem == onnxio.Undefined {
			elem = onnxio.Float
		}
		return c.matMul(c.in(0), c.in(1), 0, 1, elem)
	}
}

func qlinearMatMul(c *call) error {
	if err := c.need(0, 3, 7); err != nil {
		return err
	}
	return c.matMul(c.in(0), c.in(3), 0, 3, c.in(7).Elem)
}

// matMul multiplies as numpy does: the last two axes are matrices, those before are broadcast, vectors are
// rows or columns whose axis goes again.
func (c *call) matMul(a, b *Info, ai, bi int, elem onnxio.DataType) error {
	if !a.Known || !b.Known {
		c.outUnknown(0, elem)
		return nil
	}
	if len(a.Dims) == 0 || len(b.Dims) == 0 {
		return fmt.Errorf("%s and %s must both have at least one axis", c.show(ai), c.show(bi))
	}
	left, right := a.Dims, b.Dims
	if len(left) == 1 {
		left = []Dim{Const(1), left[0]}
	}
	if len(right) == 1 {
		right = []Dim{right[0], Const(1)}
	}
	if ka, kb := left[len(left)-1], right[len(right)-2]; differ(ka, kb) {
		return fmt.Errorf("the inner extents of %s (%v) and %s (%v) differ", c.show(ai), ka, c.show(bi), kb)
	}
	lead, ok := c.broadcast(left[:len(left)-2], right[:len(right)-2])
	if !ok {
		return fmt.Errorf("the leading axes of %s and %s can not be broadcast together", c.show(ai), c.show(bi))
	}
	out := append(make([]Dim, 0, len(lead)+2), lead...)
	if len(a.Dims) > 1 {
		out = append(out, left[len(left)-2])
	}
	if len(b.Dims) > 1 {
		out = append(out, right[len(right)-1])
	}
	c.out(0, elem, out)
	return nil
}

// fusedMatMul transposes the last two axes of its operands first; with transBatch the first axis moves behind the others.
func fusedMatMul(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	operand := func(i int, trans, batch string) *Info {
		in := *c.in(i)
		n := len(in.Dims)
		if !in.Known || n < 2 {
			return &in
		}
		in.Dims = cloneDims(in.Dims)
		if c.node.Int(batch, 0) != 0 {
			first := in.Dims[0]
			copy(in.Dims, in.Dims[1:n-1])
			in.Dims[n-2] = first
		}
		if c.node.Int(trans, 0) != 0 {
			in.Dims[n-1], in.Dims[n-2] = in.Dims[n-2], in.Dims[n-1]
		}
		return &in
	}
	return c.matMul(operand(0, "transA", "transBatchA"), operand(1, "transB", "transBatchB"), 0, 1, c.in(0).Elem)
}

// matMulNBits: the weight is packed; attributes K and N are its extents.
func matMulNBits(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	k, n := c.node.Int("K", 0), c.node.Int("N", 0)
	b := &Info{Kind: onnxio.KindTensor, Known: true, Dims: c.constDims([]int64{k, n})}
	return c.matMul(c.in(0), b, 0, 1, c.in(0).Elem)
}

func det(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	if !in.Known {
		c.outUnknown(0, in.Elem)
		return nil
	}
	n := len(in.Dims)
	if n < 2 || differ(in.Dims[n-1], in.Dims[n-2]) {
		return fmt.Errorf("%s must hold square matrices", c.show(0))
	}
	c.out(0, in.Elem, in.Dims[:n-2])
	return nil
}

// einsum follows the equation: every letter is one extent, wherever it stands.
func einsum(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	equation := strings.ReplaceAll(c.node.Text("equation", ""), " ", "")
	left, right, explicit := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(c.node.Inputs) {
		return fmt.Errorf("the equation %q has %d operands, the node %d inputs", equation, len(terms), len(c.node.Inputs))
	}
	e := einsumExtents{letters: map[rune]Dim{}, count: map[rune]int{}}
	for i, t := range terms {
		in := c.in(i)
		if !in.Known {
			c.outUnknown(0, c.in(0).Elem)
			return nil
		}
		if err := e.operand(c, i, t, in.Dims); err != nil {
			return fmt.Errorf("equation %q: %w", equation, err)
		}
	}
	if !explicit {
		right = e.implicit(left)
	}
	out := []Dim{}
	for i := 0; i < len(right); {
		if strings.HasPrefix(right[i:], "...") {
			out = append(out, e.ellipsis...)
			i += 3
			continue
		}
		d, ok := e.letters[rune(right[i])]
		if !ok {
			return fmt.Errorf("equation %q: %q is in no operand", equation, right[i:i+1])
		}
		out = append(out, d)
		i++
	}
	c.out(0, c.in(0).Elem, out)
	return nil
}

type einsumExtents struct {
	letters  map[rune]Dim
	count    map[rune]int
	ellipsis []Dim
}

func (e *einsumExtents) operand(c *call, i int, t string, dims []Dim) error {
	before, after, dots := strings.Cut(t, "...")
	n := len(before) + len(after)
	if n > len(dims) || !dots && n != len(dims) {
		return fmt.Errorf("%q does not fit the axes of %s", t, c.show(i))
	}
	bind := func(letters string, dims []Dim) error {
		for k, l := range letters {
			e.count[l]++
			d, ok := e.letters[l]
			switch {
			case !ok || d.is(1):
				e.letters[l] = dims[k]
			case dims[k].is(1):
			case differ(d, dims[k]):
				return fmt.Errorf("%q is %v, but %v in %s", string(l), d, dims[k], c.show(i))
			default:
				e.letters[l] = agree(d, dims[k])
			}
		}
		return nil
	}
	if err := bind(before, dims); err != nil {
		return err
	}
	if err := bind(after, dims[len(dims)-len(after):]); err != nil {
		return err
	}
	if dots {
		middle, ok := c.broadcast(e.ellipsis, dims[len(before):len(dims)-len(after)])
		if !ok {
			return fmt.Errorf("the axes of %s under the dots can not be broadcast", c.show(i))
		}
		e.ellipsis = middle
	}
	return nil
}

// implicit is the output of an equation without an arrow: the dots, then the letters that stand once, sorted.
func (e *einsumExtents) implicit(left string) string {
	out := ""
	if strings.Contains(left, "...") {
		out = "..."
	}
	for l := 'A'; l <= 'z'; l++ {
		if e.count[l] == 1 {
			out += string(l)
		}
	}
	return out
}
