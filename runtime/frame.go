package runtime

// A frame is one activation of a program: a handle per slot. Both machines run steps on it, and share how a
// step computes: read the handles, call the kernel, settle who holds the memory of what it
// returned, count the readers of its inputs down.

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"onnxprune/onnxio"
	"onnxprune/runtime/ops"
	"onnxprune/runtime/value"
)

// run is what all frames of one Session.Run share.
type run struct {
	session *Session
	program *program      // of the main graph
	inner   time.Duration // time of the bodies' steps inside the step that runs now
}

// handle holds a value until its last reader is done.
type handle struct {
	value   value.Value // nil: absent, or dropped
	readers int32       // that are still to come
	tuple   []*handle   // the outputs of a step that has several

	constant bool // stays from run to run

	wide *value.Tensor   // a float16 or bfloat16 value before it is rounded; value may then be nil
	half onnxio.DataType // its type
}

// set puts a value, one reader of whose memory the caller gives to the handle.
func (h *handle) set(v value.Value, readers int32) {
	if readers == 0 {
		value.Release(v)
		v = nil
	}
	h.value, h.readers = v, readers
}

// read ends one reader's use.
func (h *handle) read() {
	if h.constant {
		return
	}
	if h.readers--; h.readers == 0 {
		h.drop()
	}
}

func (h *handle) drop() {
	if v := h.value; v != nil {
		h.value = nil
		value.Release(v)
	}
	if w := h.wide; w != nil {
		h.wide = nil
		value.Release(w)
	}
}

// frame is one activation.
type frame struct {
	program *program
	run     *run
	arena   arena
	ctx     ops.Context
	handles []handle
	in      []value.Value // of the step that runs
}

// frame returns a frame for a run, with the constants in place.
func (p *program) frame(r *run, c *ops.Context) *frame {
	f, _ := p.frames.Get().(*frame)
	if f == nil {
		f = &frame{program: p, handles: make([]handle, p.slots)}
		for _, k := range p.constants {
			f.handles[k.slot] = handle{value: k.value, constant: true}
		}
	}
	f.run = r
	f.arena.memory, f.arena.run = r.session.memory, r
	f.ctx = *c
	f.ctx.Alloc = &f.arena
	return f
}

// load gives values to slots: inputs and captures. They stay their owner's too.
func (f *frame) load(slot int, v value.Value) {
	if v != nil {
		value.Retain(v)
	}
	f.handles[slot].set(v, f.program.readers[slot])
}

// take returns the outputs. One reader of their memory goes to the caller.
func (f *frame) take() ([]value.Value, error) {
	out := make([]value.Value, len(f.program.outputs))
	for i, o := range f.program.outputs {
		v, err := f.rounded(&f.handles[o.slot])
		if err != nil {
			return out, err
		}
		if v == nil {
			return out, fmt.Errorf("output %q has no value", o.name)
		}
		value.Retain(v)
		out[i] = v
		f.handles[o.slot].read()
	}
	return out, nil
}

// close drops whatever is left, after an error too, and keeps the frame for later.
func (f *frame) close() {
	f.arena.end()
	for i := range f.handles {
		h := &f.handles[i]
		if h.constant {
			continue
		}
		h.drop()
		*h = handle{}
	}
	clear(f.in)
	f.ctx, f.run, f.arena.run = ops.Context{}, nil, nil
	f.program.frames.Put(f)
}

// step computes one node. in are the handles of its inputs, nil for absent ones.
func (f *frame) step(s *step, in []*handle) error {
	if err := f.ctx.Err(); err != nil {
		return &NodeError{Path: s.path, Op: qualified(s.domain, s.op), Err: err}
	}
	f.in = f.in[:0]
	half := s.half // of the first input
	for i, h := range in {
		v, t, err := f.input(s, h)
		if err != nil {
			return s.at(err, f.in)
		}
		if i == 0 && t != onnxio.Undefined {
			half = t
		}
		f.in = append(f.in, v)
	}
	out, err := f.call(s)
	if err == nil {
		err = s.check(out)
	}
	if err == nil {
		err = f.store(s, out, half)
	}
	if err != nil {
		f.arena.end()
		return s.at(err, f.in)
	}
	for _, h := range in {
		if h != nil {
			h.read()
		}
	}
	return nil
}

// call runs the kernel, and turns a panic into an error.
func (f *frame) call(s *step) (out []value.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = recovered(p)
		}
	}()
	if !f.run.session.options.Profile {
		return s.kernel.Run(&f.ctx, f.in)
	}
	around := f.run.inner
	f.run.inner = 0
	start := time.Now()
	out, err = s.kernel.Run(&f.ctx, f.in)
	took := time.Since(start)
	s.calls.Add(1)
	s.total.Add(int64(took))
	s.self.Add(int64(took - f.run.inner))
	f.run.inner = around + took
	return out, err
}

// PanicError is a panic inside an operator: a defect of the runtime, not of the model.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("internal error: %v", e.Value) }

func recovered(p any) error {
	if err, ok := p.(error); ok && errors.As(err, new(*LimitError)) {
		return err
	}
	return &PanicError{p, debug.Stack()}
}

// check makes sure that a kernel gave every output that the node names.
func (s *step) check(out []value.Value) error {
	for i, slot := range s.out {
		if slot < 0 {
			continue
		}
		if i >= len(out) || out[i] == nil {
			return fmt.Errorf("internal error: output %d was not computed", i)
		}
	}
	return nil
}

// store settles who holds the outputs' memory and puts them into their handles. half is the 16-bit type that
// the first output stands for, if it does.
func (f *frame) store(s *step, out []value.Value, half onnxio.DataType) error {
	for i, slot := range s.out {
		if slot >= 0 {
			f.arena.hand(out[i])
		}
	}
	f.arena.end()
	observe, tap, replace := f.run.session.options.Observe, f.run.session.options.Tap, f.run.session.options.Replace
	if f.program != f.run.program {
		replace = nil
	}
	for i, slot := range s.out {
		if slot < 0 {
			continue
		}
		h := &f.handles[slot]
		if t, ok := out[i].(*value.Tensor); ok && i == 0 && half != onnxio.Undefined && t.Type == onnxio.Float {
			h.value, h.wide, h.half, h.readers = nil, t, half, f.program.readers[slot]
		} else {
			h.value, h.readers = out[i], f.program.readers[slot]
		}
		if replace != nil {
			h.exchange(replace, s.names[i])
		}
		if observe != nil {
			v, err := f.rounded(h)
			if err != nil {
				return err
			}
			observe(s.names[i], v)
		}
		if name, ok := f.program.taps[slot]; ok {
			v, err := f.rounded(h)
			if err != nil {
				return err
			}
			tap(name, v)
		}
		if h.readers == 0 {
			h.drop()
		}
	}
	return nil
}

// exchange offers what the handle holds to be replaced.
func (h *handle) exchange(replace func(string, value.Value) value.Value, name string) {
	if h.wide != nil {
		if w, ok := replace(name, h.wide).(*value.Tensor); ok && w != nil {
			value.Release(h.wide)
			h.wide = w
		}
		return
	}
	if v := replace(name, h.value); v != nil {
		value.Release(h.value)
		h.value = v
	}
}

// context makes what the operators of a run share.
func (s *Session) context(ctx context.Context) *ops.Context {
	seed := s.options.Seed
	return &ops.Context{Context: ctx, Pool: s.pool, TripLimit: s.options.TripLimit, Random: func() uint64 {
		// splitmix64 (Steele, Lea, Flood 2014)
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}}
}
