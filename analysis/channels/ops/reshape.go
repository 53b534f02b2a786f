package ops

import (
	"math"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// Operators that only rearrange axes: Reshape and Flatten split and merge them, Transpose permutes, Squeeze and Unsqueeze take out
// and put in axes of one, DepthToSpace and SpaceToDepth are a Reshape, a Transpose and a Reshape.

func init() {
	register("", "Reshape", Rule{Title: "split and merge", Flow: func(c *Context) {
		c.Ignore("allowzero", "shape", "consumed_inputs")
		c.reshape()
	}, Mend: mendReshape})
	register("", "Flatten", Rule{Title: "split and merge", Flow: func(c *Context) {
		c.Ignore("axis")
		c.reshape()
	}})
	register("", "Transpose", Rule{Title: "permuted", Flow: flowTranspose})
	register("", "Squeeze", Rule{Title: "axes of one go", Flow: func(c *Context) { c.Ignore("axes"); c.reshape() }})
	register("", "Unsqueeze", Rule{Title: "axes of one come", Flow: func(c *Context) { c.Ignore("axes"); c.reshape() }})
	register("", "DepthToSpace", Rule{Title: "split; the block is fixed", Flow: flowDepthToSpace})
	register("", "SpaceToDepth", Rule{Title: "each channel becomes a block of channels", Flow: flowSpaceToDepth})
}

func flowTranspose(c *Context) {
	x := c.In(0)
	perm, ok := c.Ints("perm")
	if !ok {
		for k := range x {
			perm = append(perm, int64(len(x)-1-k))
		}
	}
	if len(perm) != len(x) {
		c.Barrier("its perm %v does not fit its input of rank %d", perm, len(x))
		return
	}
	out := make([]atoms.Axis, len(x))
	for k, p := range perm {
		out[k] = x[c.Axis(p, len(x))]
	}
	c.Out(0, out)
}

// piece is a part of an input axis that goes whole into one output axis.
type piece struct {
	axis atoms.Axis
	size shape.Dim
}

// reshape relates the axes of input and output by their extents: both are cut into the same row of pieces.
func (c *Context) reshape() {
	in, out := c.Info(0), c.OutInfo(0)
	x := c.In(0)
	if !out.Known || len(x) != in.Rank() {
		c.Barrier("the rank of its output is not known")
		return
	}
	inParts, outParts, ok := refine(in.Dims, out.Dims)
	if !ok {
		for _, a := range x {
			c.Pin(a, "%s mixes it with other axes: from %v to %v", c.Node.Title(), in, out)
		}
		c.OutFixed(0)
		return
	}
	var pieces []piece
	for k, sizes := range inParts {
		if len(sizes) == 1 {
			pieces = append(pieces, piece{x[k], sizes[0]})
			continue
		}
		ns, ok := numbers(sizes)
		if !ok {
			c.Pin(x[k], "%s splits it into parts of unknown size", c.Node.Title())
			for _, s := range sizes {
				pieces = append(pieces, piece{atoms.Axis{Why: x[k].Why}, s})
			}
			continue
		}
		for i, a := range c.Set.Split(x[k], ns, c.Node) {
			pieces = append(pieces, piece{a, sizes[i]})
		}
	}
	axes := Fixed(len(outParts))
	for k, n := range outParts {
		axes[k] = c.merge(pieces[:n])
		pieces = pieces[n:]
	}
	c.Out(0, axes)
}

// merge joins pieces into one axis. Pieces of unknown size beside channels pin the channels.
func (c *Context) merge(ps []piece) atoms.Axis {
	if len(ps) == 1 {
		return ps[0].axis
	}
	axes := make([]atoms.Axis, len(ps))
	sizes := make([]int, len(ps))
	known := true
	for i, p := range ps {
		n, ok := p.size.Const()
		known = known && ok
		axes[i], sizes[i] = p.axis, int(n)
	}
	if known {
		return c.Set.Merge(axes, sizes, c.Node)
	}
	var why *atoms.Reason
	for _, a := range axes {
		c.Pin(a, "%s merges it with an axis whose size is not known", c.Node.Title())
		if a.Why != nil {
			why = a.Why
		}
	}
	return atoms.Axis{Why: why}
}

func numbers(ds []shape.Dim) ([]int, bool) {
	out := make([]int, len(ds))
	for i, d := range ds {
		n, ok := d.Const()
		if !ok {
			return nil, false
		}
		out[i] = int(n)
	}
	return out, true
}

// refine cuts the extents of in and out into the same row of factors: for every input axis the sizes of its
// parts, for every output axis how many parts it takes. ok is false when they do not align.
func refine(in, out []shape.Dim) (inParts [][]shape.Dim, outParts []int, ok bool) {
	one := shape.Const(1)
	inParts, outParts = make([][]shape.Dim, len(in)), make([]int, len(out))
	i, j := 0, 0
	var x, y shape.Dim // what is left of the current axes
	haveX, haveY := false, false
	for {
		if !haveX && i < len(in) {
			if x = in[i]; x.Equal(one) {
				i++
				continue
			}
			haveX = true
		}
		if !haveY && j < len(out) {
			if y = out[j]; y.Equal(one) {
				j++
				continue
			}
			haveY = true
		}
		if !haveX && !haveY {
			return inParts, outParts, true
		}
		if !haveX || !haveY {
			return nil, nil, false
		}
		switch part, left, side := common(x, y); side {
		case 0:
			inParts[i] = append(inParts[i], part)
			outParts[j]++
			i, j, haveX, haveY = i+1, j+1, false, false
		case 1: // the input axis has something left
			inParts[i] = append(inParts[i], part)
			outParts[j]++
			x, j, haveY = left, j+1, false
		case 2:
			inParts[i] = append(inParts[i], part)
			outParts[j]++
			y, i, haveX = left, i+1, false
		default:
			return nil, nil, false
		}
	}
}

// common returns the part that x and y share and what is left of the larger: side 0 both are used up, 1 x has left, 2 y has,
// -1 neither divides the other.
func common(x, y shape.Dim) (part, left shape.Dim, side int) {
	if x.Equal(y) {
		return x, shape.Dim{}, 0
	}
	if q, ok := x.DivExact(y); ok {
		return y, q, 1
	}
	if q, ok := y.DivExact(x); ok {
		return x, q, 2
	}
	return shape.Dim{}, shape.Dim{}, -1
}

// mendReshape corrects the target where it writes down a size that changes.
func mendReshape(m *Mend) {
	attr := m.Node.Attr("shape") // before opset 5
	rank := m.Shapes.Of(m.Node.Output(0)).Rank()
	var target []int64
	allowZero := m.Node.Int("allowzero", 0) != 0
	for k := range rank {
		want, changed, ok := m.Out(0, k)
		got, known := m.Element(1, k)
		if attr != nil {
			got, known = attr.Ints[k], true
		}
		if known && got == 0 && !allowZero {
			if same, _, ok2 := m.In(0, k); ok && ok2 && same == want || !ok {
				target = append(target, 0)
				m.Settle(1, k)
				continue
			}
			known = false
		}
		if known && got == -1 || !changed && (!ok || known && got == want) {
			target = append(target, got)
			continue
		}
		if !ok {
			continue
		}
		target = append(target, want)
		m.Settle(1, k)
		if attr == nil && (!known || got != want) && (changed || known) {
			m.Put(1, k, want)
		}
	}
	if attr != nil && len(target) == rank && !equal(target, attr.Ints) {
		m.Attr(onnxio.NewInts("shape", target...))
	}
}

func equal(a, b []int64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func flowDepthToSpace(c *Context) {
	b := int(c.Int("blocksize", 0))
	mode := c.Text("mode", "DCR")
	x := c.In(0)
	n, ok := c.Info(0).Fixed(1)
	if len(x) != 4 || !ok || b < 1 || int(n)%(b*b) != 0 {
		c.Barrier("its input has the shape %v for blocks of %d", c.Info(0), b)
		return
	}
	sizes, at := []int{b, b, int(n) / (b * b)}, 2
	if mode == "CRD" {
		sizes, at = []int{int(n) / (b * b), b, b}, 0
	}
	parts := c.Set.Split(x[1], sizes, c.Node)
	for k, p := range parts {
		if k != at {
			c.Pin(p, "it becomes rows or columns of the picture in %s", c.Node.Title())
		}
	}
	c.pinSpatial(0, 2)
	out := Fixed(4)
	out[0], out[1] = x[0], parts[at]
	c.Out(0, out)
}

func flowSpaceToDepth(c *Context) {
	b := int(c.Int("blocksize", 0))
	x := c.In(0)
	n, ok := c.Info(0).Fixed(1)
	if len(x) != 4 || !ok || b < 1 || n > math.MaxInt32 {
		c.Barrier("its input has the shape %v for blocks of %d", c.Info(0), b)
		return
	}
	c.pinSpatial(0, 2)
	out := Fixed(4)
	out[0] = x[0]
	out[1] = c.Set.Merge([]atoms.Axis{{}, {}, x[1]}, []int{b, b, int(n)}, c.Node)
	c.Out(0, out)
}
