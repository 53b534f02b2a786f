package ops

// Pad: a constant around the data, or its mirror image, its border, or its other end. A negative pad crops. The modes that read
// the data twice are lookups with one table per axis.

import (
	"fmt"
	"slices"

	"onnxprune/runtime/value"
)

func init() {
	Register("", "Pad", buildPad, 1, 2, 11, 13, 18, 19, 21, 23, 24, 25)
}

func buildPad(n *Node) (Kernel, error) {
	modes := []string{"constant", "reflect", "edge"}
	if n.Since >= 19 {
		modes = append(modes, "wrap")
	}
	mode := n.OneOf("mode", modes...)
	if n.Since < 11 {
		name := "pads"
		if n.Since < 2 {
			name = "paddings"
		}
		pads, fill := n.Ints(name), n.Float("value", 0)
		if err := n.CheckInputs(1, 1); err != nil {
			return nil, err
		}
		return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			v, err := scalarLike(c, in[0], float64(fill))
			if err != nil {
				return nil, err
			}
			return oneOutput(padded(c, in[0], pads, nil, v, mode))
		}), nil
	}
	most := 3
	if n.Since >= 18 {
		most = 4
	}
	if err := n.CheckInputs(2, most); err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		pads, err := intsOf(in[1], "the pads")
		if err != nil {
			return nil, err
		}
		var fill *value.Tensor
		if len(in) > 2 && in[2] != nil {
			if fill = in[2]; fill.Len() != 1 || fill.Type != in[0].Type {
				return nil, fmt.Errorf("constant value %v for %v", fill, in[0])
			}
		}
		var axes []int
		if len(in) > 3 && in[3] != nil {
			if axes, err = intsOf(in[3], "the axes"); err != nil {
				return nil, err
			}
			if axes, err = axesIn(axes, len(in[0].Shape)); err != nil {
				return nil, fmt.Errorf("%v: %w", in[0], err)
			}
		}
		return oneOutput(padded(c, in[0], pads, axes, fill, mode))
	}), nil
}

// padded pads t. pads are all beginnings, then all ends, of the given axes, nil for all; a nil fill is zero.
func padded(c *Context, t *value.Tensor, pads, axes []int, fill *value.Tensor, mode string) (*value.Tensor, error) {
	rank := len(t.Shape)
	if axes == nil {
		for d := range rank {
			axes = append(axes, d)
		}
	}
	if len(pads) != 2*len(axes) {
		return nil, fmt.Errorf("pads %v for %d axes of %v", pads, len(axes), t)
	}
	begin, end, shape := make([]int, rank), make([]int, rank), slices.Clone(t.Shape)
	for i, d := range axes {
		begin[d], end[d] = pads[i], pads[len(axes)+i]
		if left := t.Shape[d] + min(begin[d], 0) + min(end[d], 0); left < 0 {
			return nil, fmt.Errorf("pads %v take more than axis %d of %v has", pads, d, t)
		}
		shape[d] += begin[d] + end[d]
	}
	out, err := c.New(t.Type, shape...)
	if err != nil || out.Len() == 0 {
		return out, err
	}
	if mode == "constant" {
		padConstant(c, out, t, begin, end, fill)
		return out, nil
	}
	tables := make([][]int, rank)
	for d, stride := range stridesOf(t.Shape) {
		if tables[d], err = padTable(t.Shape[d], begin[d], end[d], mode); err != nil {
			return nil, fmt.Errorf("axis %d of %v: %w", d, t, err)
		}
		for i := range tables[d] {
			tables[d][i] *= stride
		}
	}
	moverOf(out).lookup(c.Pool, shape, moverOf(t), tables)
	return out, nil
}

func padConstant(c *Context, out, t *value.Tensor, begin, end []int, fill *value.Tensor) {
	if fill != nil {
		moverOf(out).fill(c.Pool, moverOf(fill))
	}
	to, strides, box := stridesOf(out.Shape), stridesOf(t.Shape), slices.Clone(t.Shape)
	at, from := 0, 0
	for d := range box {
		box[d] += min(begin[d], 0) + min(end[d], 0)
		at += max(begin[d], 0) * to[d]
		from += max(-begin[d], 0) * strides[d]
	}
	moverOf(out).box(c.Pool, box, at, to, moverOf(t), from, strides)
}

// padTable says where each index of a padded axis of n comes from. Negative pads crop first.
func padTable(n, begin, end int, mode string) ([]int, error) {
	first := max(-begin, 0)
	size := n + min(begin, 0) + min(end, 0)
	total := n + begin + end
	if size == 0 && total > 0 {
		return nil, fmt.Errorf("nothing to pad with in mode %s", mode)
	}
	table := make([]int, total)
	for i := range table {
		k := i - max(begin, 0)
		switch mode {
		case "edge":
			k = min(max(k, 0), size-1)
		case "wrap":
			k = floorMod(k, size)
		case "reflect": // the mirror image goes on and on, without repeating the border
			if period := 2 * (size - 1); period == 0 {
				k = 0
			} else if k = floorMod(k, period); k >= size {
				k = period - k
			}
		}
		table[i] = first + k
	}
	return table, nil
}

func floorMod(a, n int) int {
	if a %= n; a < 0 {
		a += n
	}
	return a
}
