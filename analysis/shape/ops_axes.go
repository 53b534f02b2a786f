package shape

import (
	"fmt"
	"math"
)

// Operators that move, repeat, add or remove whole axes. The elements of a small tensor pass through them.

var moving = &family{"", []entry{
	{"Squeeze", 1, squeeze}, {"Unsqueeze", 1, unsqueeze}, {"Transpose", 1, transpose},
	{"Expand", 8, expand}, {"Tile", 1, tile}, {"DepthToSpace", 1, depthToSpace}, {"SpaceToDepth", 1, spaceToDepth},
}}

var movingMicrosoft = &family{"com.microsoft", []entry{{"ExpandDims", 1, unsqueeze}}}

func squeeze(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	axes, given, known := c.ints("axes", 1, 13)
	if !in.Known || !known {
		switch n, ok := c.in(1).Fixed(0); {
		case in.Known && c.version() >= 13 && ok && n <= int64(len(in.Dims)):
			c.outRank(0, in.Elem, len(in.Dims)-int(n))
		default:
			c.outUnknown(0, in.Elem)
		}
		return nil
	}
	drop := make([]bool, len(in.Dims))
	for _, a := range axes {
		i, err := axis(a, len(in.Dims))
		if err != nil {
			return err
		}
		if n, ok := in.Dims[i].Const(); ok && n != 1 {
			return fmt.Errorf("axis %d of %s is to be removed, but it is not 1", a, c.show(0))
		}
		drop[i] = true
	}
	if !given {
		for i, d := range in.Dims {
			n, ok := d.Const()
			if !ok { // it may be 1, and would go then
				c.outUnknown(0, in.Elem)
				return nil
			}
			drop[i] = n == 1
		}
	}
	out := make([]Dim, 0, len(in.Dims))
	for i, d := range in.Dims {
		if !drop[i] {
			out = append(out, d)
		}
	}
	c.out(0, in.Elem, out)
	c.setNums(0, in.Nums)
	return nil
}

func unsqueeze(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	since := 13
	if c.node.Domain != "" {
		since = 0
	}
	axes, given, known := c.ints("axes", 1, since)
	if !given {
		return fmt.Errorf("the axes to insert are missing")
	}
	if !in.Known || !known {
		switch n, ok := c.in(1).Fixed(0); {
		case in.Known && ok && n <= 64:
			c.outRank(0, in.Elem, len(in.Dims)+int(n))
		default:
			c.outUnknown(0, in.Elem)
		}
		return nil
	}
	rank := len(in.Dims) + len(axes)
	insert := make([]bool, rank)
	for _, a := range axes {
		i, err := axis(a, rank)
		if err != nil {
			return err
		}
		if insert[i] {
			return fmt.Errorf("the axes to insert, %v, repeat one", axes)
		}
		insert[i] = true
	}
	out := c.dims(rank)
	k := 0
	for i := range out {
		if insert[i] {
			out[i] = Const(1)
		} else {
			out[i] = in.Dims[k]
			k++
		}
	}
	c.out(0, in.Elem, out)
	c.setNums(0, in.Nums)
	return nil
}

func transpose(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	perm, given := c.node.Ints("perm")
	if !in.Known {
		if given {
			c.outRank(0, in.Elem, len(perm))
		} else {
			c.outUnknown(0, in.Elem)
		}
		return nil
	}
	rank := len(in.Dims)
	if !given {
		perm = make([]int64, rank)
		for i := range perm {
			perm[i] = int64(rank - 1 - i)
		}
	}
	out := c.dims(rank)
	seen := uint64(0)
	if len(perm) != rank || rank > 64 {
		return fmt.Errorf("perm %v does not fit the input %s", perm, c.show(0))
	}
	for i, p := range perm {
		if p < 0 || p >= int64(rank) || seen>>p&1 != 0 {
			return fmt.Errorf("perm %v does not fit the input %s", perm, c.show(0))
		}
		seen |= 1 << p
		out[i] = in.Dims[p]
	}
	c.out(0, in.Elem, out)
	if shape, ok := in.fixedShape(); ok && len(in.Nums) == size(shape) && in.Nums != nil {
		from := stridesOf(shape)
		to, strides := make([]int, rank), make([]int, rank)
		for i, p := range perm {
			to[i], strides[i] = shape[p], from[p]
		}
		nums := make([]Num, len(in.Nums))
		walk(to, strides, func(i, at int) { nums[i] = in.Nums[at] })
		c.setNums(0, nums)
	}
	return nil
}

func expand(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	in := c.in(0)
	if err := c.shapeFromInput(1, in.Elem); err != nil {
		return err
	}
	target := c.res.Of(c.node.Output(0))
	if !in.Known || !target.Known {
		c.outUnknown(0, in.Elem)
		return nil
	}
	out, ok := c.broadcast(in.Dims, target.Dims)
	if !ok {
		return fmt.Errorf("%s can not be expanded to the shape %v", c.show(0), target.Dims)
	}
	c.out(0, in.Elem, out)
	from, small := in.fixedShape()
	to, fits := c.res.Of(c.node.Output(0)).fixedShape()
	if in.Nums == nil || !small || !fits {
		return nil
	}
	nums := make([]Num, size(to))
	for i, k := range spread(from, to) {
		nums[i] = in.Nums[k]
	}
	c.setNums(0, nums)
	return nil
}

func tile(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	in := c.in(0)
	if !in.Known {
		if n, ok := c.in(1).Fixed(0); ok && c.version() >= 6 && n <= 64 {
			c.outRank(0, in.Elem, int(n))
		} else {
			c.outUnknown(0, in.Elem)
		}
		return nil
	}
	repeats := c.in(1).Nums
	if c.version() < 6 { // tiles and axis, both scalars
		repeats = c.tilesOfOne(len(in.Dims))
	}
	if repeats == nil {
		c.outRank(0, in.Elem, len(in.Dims))
		return nil
	}
	if len(repeats) != len(in.Dims) {
		return fmt.Errorf("the repeats %s do not fit the axes of %s", c.show(1), c.show(0))
	}
	out := c.dims(len(in.Dims))
	for i, d := range in.Dims {
		if r, ok := repeats[i].Int(); ok {
			out[i] = d.Mul(r)
		} else {
			out[i] = c.freshOut(0, i)
		}
	}
	c.out(0, in.Elem, out)
	from, small := in.fixedShape()
	to, fits := c.res.Of(c.node.Output(0)).fixedShape()
	if in.Nums == nil || !small || !fits || size(from) == 0 {
		return nil
	}
	strides := stridesOf(from)
	nums := make([]Num, size(to))
	for i := range nums {
		at, rest := 0, i
		for a := len(to) - 1; a >= 0; a-- {
			at += rest % to[a] % from[a] * strides[a]
			rest /= to[a]
		}
		nums[i] = in.Nums[at]
	}
	c.setNums(0, nums)
	return nil
}

func (c *call) tilesOfOne(rank int) []Num {
	tiles, axes := c.in(1).Nums, c.in(2).Nums
	if len(tiles) != 1 || len(axes) != 1 {
		return nil
	}
	a, ok := axes[0].fixedInt()
	if !ok || a < 0 || a >= int64(rank) {
		return nil
	}
	out := make([]Num, rank)
	for i := range out {
		out[i] = IntNum(Const(1))
	}
	out[a] = tiles[0]
	return out
}

// depthToSpace moves blocksize^2 channels into height and width.
func depthToSpace(c *call) error {
	return c.blocks(func(in, out []Dim, b Dim) error {
		n, ok := in[1].DivExact(b.Mul(b))
		if !ok && in[1].constant() {
			return fmt.Errorf("the %v channels of %s can not be divided into blocks of %vx%v", in[1], c.show(0), b, b)
		} else if !ok {
			n = in[1].FloorDiv(b.Mul(b))
		}
		out[0], out[1], out[2], out[3] = in[0], n, in[2].Mul(b), in[3].Mul(b)
		return nil
	})
}

func spaceToDepth(c *call) error {
	return c.blocks(func(in, out []Dim, b Dim) error {
		out[0], out[1] = in[0], in[1].Mul(b).Mul(b)
		for i := 2; i < 4; i++ {
			n, ok := in[i].DivExact(b)
			if !ok && in[i].constant() {
				return fmt.Errorf("axis %d of %s can not be divided into blocks of %v", i, c.show(0), b)
			} else if !ok {
				n = in[i].FloorDiv(b)
			}
			out[i] = n
		}
		return nil
	})
}

func (c *call) blocks(f func(in, out []Dim, b Dim) error) error {
	if err := c.need(0); err != nil {
		return err
	}
	if err := c.wantRank(0, 4); err != nil {
		return err
	}
	in := c.in(0)
	b := c.node.Int("blocksize", 0)
	if b < 1 || b > math.MaxInt32 {
		return fmt.Errorf("blocksize is %d", b)
	}
	if !in.Known {
		c.outRank(0, in.Elem, 4)
		return nil
	}
	out := c.dims(4)
	if err := f(in.Dims, out, Const(b)); err != nil {
		return err
	}
	c.out(0, in.Elem, out)
	return nil
}
