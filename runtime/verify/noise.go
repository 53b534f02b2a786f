package verify

import (
	"context"
	"slices"

	"onnxprune/runtime"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/value"
)

// What rounding does is measured, not assumed. The reference runs once more with the terms of its sums added up in another order, as they are in a
// model that has fewer of them: in short blocks. Inside of the model each node is given the same inputs again, so that the difference is
// that node's own; outputs are those of a whole run. A run of this kind is made only where something differs by more than the
// tolerance.

const (
	shortSums   = 24 // terms of one block; the kernels' own blocks have up to 256
	noiseFactor = 8  // another order than the one that was measured may be further off
)

// floor is the difference that noise explains in a slice. One other order of sums is one sample, and what is deep inside of a network
// spreads over whole regions of its outputs: so the noisiest slice speaks for all. Of a value that one node computes it speaks as it is, because all
// sums of a node are of one kind; of an output by its share of the range.
func (o *Output) floor(slice int) float64 {
	switch {
	case o.noise == nil:
		return 0
	case o.node != "":
		return noiseFactor * slices.Max(o.noise)
	}
	share := 0.0
	for k, n := range o.noise {
		if o.ranges[k] > 0 {
			share = max(share, n/o.ranges[k])
		}
	}
	return noiseFactor * max(o.noise[slice], share*o.ranges[slice])
}

// measureNoise measures where something that rounding could explain does not pass, and judges it again.
func (c *comparison) measureNoise(ctx context.Context, m *meeting, first *runtime.Session) error {
	open, outputs := c.walk.open(), c.openOutputs()
	if len(open) == 0 && len(outputs) == 0 {
		return nil
	}
	c.steps += 1 + len(c.sets)
	again := side{c.reference.model, c.reference.name + " with its sums in another order"}
	session, err := c.compile(ctx, again, runtime.Options{Exact: true, ShortSums: shortSums, Replace: m.second})
	if err != nil {
		return err
	}
	defer session.Close()
	m.common = common(first.Values(), session.Values())
	for i, set := range c.sets {
		c.step("running " + again.name)
		if len(open) > 0 {
			_, _, err1, err2 := m.run(ctx, first, session, feed.Values(set), func(name string, want, got value.Value) value.Value {
				return c.walk.noise(i, name, want, got)
			})
			for _, err := range []error{err1, err2} {
				if err != nil {
					return c.runError(ctx, again, err)
				}
			}
		}
		if slices.ContainsFunc(outputs, func(o *Output) bool { return o.run == i }) {
			got, err := session.Run(ctx, feed.Values(set))
			if err != nil {
				return c.runError(ctx, again, err)
			}
			for _, o := range outputs {
				if o.run == i {
					o.measured(c.limits, c.limits.judge(o.Name, c.want[i][o.Name], got[o.Name]))
				}
			}
		}
	}
	return nil
}

// openOutputs lists the outputs that differ by more than they may, for reasons that rounding could explain. What hangs on a node that
// jumps is not among them: there the other order of sums may pick otherwise too, and its noise would be that of other boxes.
func (c *comparison) openOutputs() []*Output {
	var out []*Output
	for run := range c.outputs {
		for i := range c.outputs[run] {
			o := &c.outputs[run][i]
			if o.run = run; !o.Pass && !o.hard && !c.selection.behind[o.Name] {
				out = append(out, o)
			}
		}
	}
	return out
}

// measured judges a value again, with what another order of sums changes in it.
func (o *Output) measured(l tolerance, other Output) {
	if len(other.most) == len(o.most) {
		o.noise = other.most
		o.settle(l)
	}
}

// noise compares the reference's values with those of another order of sums, and gives that the reference's to go on with.
func (w *walk) noise(run int, name string, want, got value.Value) value.Value {
	if !sameShape(want, got) || identical(want, got) {
		return nil
	}
	if v := w.inner[name]; v != nil && v.failed[run] != nil && !v.failed[run].hard {
		ref := counterpart(want, w.kept[name])
		v.failed[run].measured(w.limits, w.limits.judge(name, ref, counterpart(got, w.kept[name])))
	}
	return value.Clone(want)
}
