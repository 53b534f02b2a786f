package ops

import (
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// Numbers that a model computes from sizes and uses as numbers keep their old values after a cut: they are written down in their
// place. A number in which the size of a channel axis is mixed with one that is only known at run time has no old value to be
// written down, so the channels stay.

// flowSize follows what Shape and Size return to where sizes are mixed.
func flowSize(c *Context) {
	c.IgnoreAll()
	v := c.Node.Output(0)
	if v == nil {
		return
	}
	if c.Node.Op == "Size" {
		for k := range c.In(0) {
			c.mixed(v, k, map[*graph.Value]bool{})
		}
		return
	}
	from := c.Axis(c.Int("start", 0), max(c.Rank(0), 1))
	for _, u := range v.Uses {
		for k := range c.In(0) {
			if c.reads(u, int64(k-from)) {
				c.mixed(u.Node.Output(0), k, map[*graph.Value]bool{})
			}
		}
	}
}

// reads reports whether a node picks an element of a shape, or multiplies all of them.
func (c *Context) reads(u graph.Use, element int64) bool {
	switch u.Node.Op {
	case "ReduceProd":
		return u.Input == 0
	case "Gather":
		nums := c.Shapes.Of(u.Node.Input(1)).Nums
		if u.Input != 0 || len(nums) != 1 {
			return false
		}
		i, ok := nums[0].Float()
		n, fixed := c.OutInfo(0).Fixed(0)
		return ok && fixed && (int64(i) == element || int64(i)+n == element)
	}
	return false
}

// mixed pins axis k where its size, which v holds, is mixed with one that is not known and is used as a number.
func (c *Context) mixed(v *graph.Value, k int, seen map[*graph.Value]bool) {
	if v == nil || seen[v] {
		return
	}
	seen[v] = true
	if open(c.Shapes.Of(v)) && c.asNumber(v, map[*graph.Value]bool{}) {
		c.Pin(c.In(0)[k], "its size enters a number that is not known before the run and that the model computes with")
		return
	}
	for _, u := range v.Uses {
		switch u.Node.Op {
		case "Add", "Sub", "Mul", "Div", "Cast", "Identity", "Squeeze", "Unsqueeze", "ReduceProd":
			c.mixed(u.Node.Output(0), k, seen)
		}
	}
}

// open reports whether a single number is an expression of sizes that are only known at run time.
func open(in *shape.Info) bool {
	if len(in.Nums) != 1 {
		return false
	}
	_, known := in.Nums[0].Float()
	return !known
}

// asNumber reports whether a number that counts elements ends anywhere but in operands that say how long something is.
func (c *Context) asNumber(v *graph.Value, seen map[*graph.Value]bool) bool {
	if seen[v] {
		return false
	}
	if seen[v] = true; v.Output || v.Returned {
		return true
	}
	for _, u := range v.Uses {
		n := u.Node
		if n.Scope != v.Scope || len(n.Bodies) > 0 {
			return true
		}
		switch n.Op {
		case "Reshape", "Expand", "Tile", "Slice", "Pad", "ConstantOfShape", "Resize", "Upsample", "Split":
			if u.Input > 0 || n.Op == "ConstantOfShape" {
				continue
			}
		}
		for _, out := range n.Outputs {
			if out == nil {
				continue
			}
			if elem := c.Shapes.Of(out).Elem; elem != onnxio.Int64 && elem != onnxio.Int32 || c.asNumber(out, seen) {
				return true
			}
		}
	}
	return false
}
