package ops

import (
	"slices"

	"onnxprune/analysis/channels/atoms"
)

// Gather with constant indices picks channels by their position: what is left of the list gets the positions after the cut.

func init() {
	register("", "Gather", Rule{Title: "by constant indices", Flow: flowGather, Mend: mendGather})
}

func flowGather(c *Context) {
	x := c.In(0)
	at := c.Axis(c.Int("axis", 0), len(x))
	ix := c.In(1)
	out := append(slices.Clone(x[:at]), ix...)
	out = append(out, x[at+1:]...)
	if x[at].Fixed() {
		for i := range ix {
			out[at+i] = ix[i]
		}
		c.Out(0, out)
		return
	}
	index, ok := c.Constants(1)
	if !ok {
		c.Pin(x[at], "%s picks from it by indices that are known only at run time", c.Node.Title())
		c.Out(0, out)
		return
	}
	take := make([]int, len(index))
	for i, k := range index {
		if k < 0 {
			k += int64(len(x[at].IDs))
		}
		if k < 0 || int(k) >= len(x[at].IDs) {
			c.Barrier("index %d is outside its input %v", k, c.Info(0))
			return
		}
		take[i] = int(k)
	}
	picked := c.Take(x[at], take)
	if len(ix) == 1 {
		out[at] = picked // the indices' own atoms take no part: the list is written anew
	} else {
		c.Pin(picked, "%s picks it by its index", c.Node.Title())
		for i := range ix {
			c.Pin(ix[i], "it is an axis of the indices of %s", c.Node.Title())
			out[at+i] = atoms.Axis{}
		}
	}
	c.Out(0, out)
}

func mendGather(m *Mend) {
	x := m.Axes(0)
	at := int(m.Node.Int("axis", 0))
	if at < 0 {
		at += len(x)
	}
	if at >= len(x) || x[at].Fixed() {
		return
	}
	kept := m.Kept(x[at])
	c := NewContext(m.State, m.Node)
	index, ok := c.Constants(1)
	if !ok || kept == nil {
		return
	}
	rank := map[int64]int64{}
	for i, k := range kept {
		rank[int64(k)] = int64(i)
	}
	var want []int64
	same := true
	for i, k := range index {
		if k < 0 {
			k += int64(len(x[at].IDs))
		}
		r, ok := rank[k]
		if !ok {
			same = false
			continue
		}
		same = same && r == index[i]
		want = append(want, r)
	}
	switch {
	case same:
	case c.Rank(1) == 0:
		m.SetScalar(1, want[0])
	case c.Rank(1) == 1:
		m.SetAll(1, want)
	default:
		for i, w := range want {
			m.Put(1, i, w)
		}
	}
}
