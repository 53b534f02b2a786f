package runtime

import (
	"gorgonia.org/gorgonia"

	"onnxprune/runtime/ops"
	"onnxprune/runtime/value"
)

// walk is a gorgonia.VM that runs a frame's steps one after the other. It costs next to nothing to start,
// which is why bodies run on it.
type walk struct {
	frame *frame
	in    []*handle
	next  int
}

var _ gorgonia.VM = (*walk)(nil)

// RunAll runs the steps that have not run yet.
func (w *walk) RunAll() error {
	f := w.frame
	for ; w.next < len(f.program.steps); w.next++ {
		s := f.program.steps[w.next]
		w.in = w.in[:0]
		for _, slot := range s.in {
			if slot < 0 {
				w.in = append(w.in, nil)
			} else {
				w.in = append(w.in, &f.handles[slot])
			}
		}
		if err := f.step(s, w.in); err != nil {
			return err
		}
	}
	return nil
}

// Reset goes back to the first step.
func (w *walk) Reset() { w.next = 0 }

// Close drops the frame's values.
func (w *walk) Close() error {
	w.frame.close()
	return nil
}

// body is a compiled body, as the control-flow operators see it.
type body struct {
	program *program
}

func (b *body) Inputs() int  { return len(b.program.inputs) }
func (b *body) Outputs() int { return len(b.program.outputs) }

// Run implements ops.Body. The memory of what it returns belongs to the step whose kernel calls it.
func (b *body) Run(c *ops.Context, args, in []value.Value) ([]value.Value, error) {
	a, ok := c.Alloc.(*arena)
	if !ok || a.run == nil {
		return nil, errOutsideRun
	}
	if len(args) != len(b.program.inputs) {
		return nil, argumentError{b.program.name, len(args), len(b.program.inputs)}
	}
	f := b.program.frame(a.run, c)
	m := &walk{frame: f}
	defer m.Close()
	for i, v := range args {
		f.load(b.program.inputs[i], v)
	}
	for _, k := range b.program.captures {
		f.load(k.slot, in[k.position])
	}
	if err := m.RunAll(); err != nil {
		return nil, err
	}
	out, err := f.take()
	for _, v := range out {
		if v != nil {
			a.adopt(v)
		}
	}
	return out, err
}
