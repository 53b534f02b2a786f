package runtime

import (
	"context"
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

// Replay runs a model once for each input, and then many variants of it that differ in a few weights: of a variant only the
// steps behind the weights that differ run again, on what the others left behind.
type Replay struct {
	session *Session
	program *program // as it runs
	plain   *program // the same, its weights not packed
}

// NewReplay compiles a model for replays. Options.To names what a run returns.
func NewReplay(m *onnxio.Model, o Options) (*Replay, error) {
	if o.MemoryLimit <= 0 {
		o.MemoryLimit = machineMemory()
	}
	if o.TripLimit <= 0 {
		o.TripLimit = DefaultTripLimit
	}
	s := &Session{model: m, options: o, memory: &memory{limit: o.MemoryLimit}, pool: kernels.NewPool(o.Threads)}
	r := &Replay{session: s}
	var err error
	if r.program, err = r.compile(m, false); err == nil {
		r.plain, err = r.compile(m, true)
	}
	if err != nil {
		s.pool.Close()
		return nil, err
	}
	return r, nil
}

func (r *Replay) compile(m *onnxio.Model, unpacked bool) (p *program, err error) {
	defer func() {
		if e := recover(); e != nil {
			p, err = nil, fmt.Errorf("compiling the model: %w", recovered(e))
		}
	}()
	c := newCompiler(m, r.session.options, r.session.pool)
	c.unpacked = unpacked
	return c.main(true)
}

// Close ends the replay's threads.
func (r *Replay) Close() error { return r.session.Close() }

// Variant is a model that differs from the replay's in weights alone.
type Variant struct {
	steps    map[int]*step         // by index in the program: those whose weights differ
	weights  map[int][]value.Value // the constants that they read, by input
	affected []int                 // indices of these steps and of all behind them, in order
	outputs  []int                 // indices of the program's outputs that they change
}

// Variant compiles a model that has the same nodes as the replay's, and other elements in some of its constants.
func (r *Replay) Variant(m *onnxio.Model) (*Variant, error) {
	p, err := r.compile(m, true)
	if err != nil {
		return nil, err
	}
	base := r.plain
	if len(p.steps) != len(base.steps) || p.slots != base.slots {
		return nil, fmt.Errorf("it has %d steps, the model %d", len(p.steps), len(base.steps))
	}
	v := &Variant{steps: map[int]*step{}, weights: map[int][]value.Value{}}
	old, new := constants(base), constants(p)
	c := newCompiler(m, r.session.options, r.session.pool)
	touched := make([]bool, p.slots)
	for i, s := range p.steps {
		b := base.steps[i]
		if s.path != b.path || s.op != b.op || !slices.Equal(s.in, b.in) || !slices.Equal(s.out, b.out) {
			return nil, fmt.Errorf("step %d is %s, in the model it is %s", i, s.path, b.path)
		}
		differs, behind := false, false
		for _, slot := range s.in {
			if slot < 0 {
				continue
			}
			behind = behind || touched[slot]
			differs = differs || !same(old[slot], new[slot])
		}
		if differs {
			v.steps[i] = s
			v.weights[i] = c.packStep(s, new)
		}
		if !differs && !behind {
			continue
		}
		v.affected = append(v.affected, i)
		for _, slot := range s.out {
			if slot >= 0 {
				touched[slot] = true
			}
		}
	}
	for i, o := range p.outputs {
		if touched[o.slot] {
			v.outputs = append(v.outputs, i)
		}
	}
	return v, nil
}

// constants returns the known values of a program by slot.
func constants(p *program) []value.Value {
	out := make([]value.Value, p.slots)
	for _, k := range p.constants {
		out[k.slot] = k.value
	}
	return out
}

// same reports whether two constants hold the same bits; both may be nil.
func same(a, b value.Value) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	x, ok1 := a.(*value.Tensor)
	y, ok2 := b.(*value.Tensor)
	if !ok1 || !ok2 {
		return ok1 == ok2 // sequences come from no weight
	}
	if x.Type != y.Type || !slices.Equal(x.Shape, y.Shape) {
		return false
	}
	switch d := x.Data.(type) {
	case []float32:
		e := value.Of[float32](y)
		if len(d) > 0 && &d[0] == &e[0] {
			return true
		}
		return slices.EqualFunc(d, e, func(p, q float32) bool { return math.Float32bits(p) == math.Float32bits(q) })
	case []float64:
		return slices.EqualFunc(d, value.Of[float64](y), func(p, q float64) bool { return math.Float64bits(p) == math.Float64bits(q) })
	case []uint16:
		return slices.Equal(d, value.Of[uint16](y))
	case []int8:
		return slices.Equal(d, value.Of[int8](y))
	case []uint8:
		return slices.Equal(d, value.Of[uint8](y))
	case []int32:
		return slices.Equal(d, value.Of[int32](y))
	case []int64:
		return slices.Equal(d, value.Of[int64](y))
	}
	return true // no weight
}

// Trace is a run of the model that variants can take up.
type Trace struct {
	replay *Replay
	ctx    context.Context
	frame  *frame
}

// held is the number of readers of a value that stays until its trace is closed.
const held = 1 << 30

// Run runs the model itself, and keeps all that it computes.
func (r *Replay) Run(ctx context.Context, inputs map[string]value.Value) (t *Trace, err error) {
	s := r.session
	f := r.program.frame(&run{session: s}, s.context(ctx))
	t = &Trace{r, ctx, f}
	defer func() {
		if e := recover(); e != nil {
			err = recovered(e)
		}
		if err != nil {
			t.Close()
			t = nil
		}
	}()
	k := 0
	for _, in := range s.model.Graph.Inputs {
		if newCompiler(s.model, s.options, s.pool).hasInitializer(in.Name) {
			continue
		}
		v := inputs[in.Name]
		if v == nil {
			return t, fmt.Errorf("the input %q is missing", in.Name)
		}
		value.Retain(v)
		f.handles[r.program.inputs[k]].set(v, held)
		k++
	}
	for _, st := range r.program.steps {
		in := make([]*handle, len(st.in))
		for i, slot := range st.in {
			if slot >= 0 {
				in[i] = &f.handles[slot]
			}
		}
		if err := f.step(st, in); err != nil {
			return t, err
		}
		for _, slot := range st.out {
			if slot >= 0 {
				f.handles[slot].readers = held
			}
		}
	}
	return t, nil
}

// Close gives the memory of the run back.
func (t *Trace) Close() {
	if t != nil && t.frame != nil {
		t.frame.close()
		t.frame = nil
	}
}

// Values returns what the model itself gave, by name.
func (t *Trace) Values() (map[string]value.Value, error) {
	out := map[string]value.Value{}
	for _, o := range t.frame.program.outputs {
		v, err := t.frame.rounded(&t.frame.handles[o.slot])
		if err != nil {
			return nil, err
		}
		out[o.name] = value.Clone(v)
	}
	return out, nil
}

// Variant returns what a variant gives for the same inputs: the values that may differ from the model's.
func (t *Trace) Variant(v *Variant) (out map[string]value.Value, err error) {
	s, p := t.replay.session, t.replay.program
	f := p.frame(&run{session: s}, s.context(t.ctx))
	defer f.close()
	defer func() {
		if e := recover(); e != nil {
			out, err = nil, recovered(e)
		}
	}()
	computed := make([]bool, p.slots)
	for _, i := range v.affected {
		for _, slot := range p.steps[i].out {
			if slot >= 0 {
				computed[slot] = true
			}
		}
	}
	for i := range f.handles {
		from := &t.frame.handles[i]
		if computed[i] || from.constant {
			continue
		}
		h := handle{value: from.value, wide: from.wide, half: from.half, readers: held}
		if h.value != nil {
			value.Retain(h.value)
		}
		if h.wide != nil {
			value.Retain(h.wide)
		}
		f.handles[i] = h
	}
	for _, i := range v.affected {
		st := p.steps[i]
		in := make([]*handle, len(st.in))
		for k, slot := range st.in {
			if slot >= 0 {
				in[k] = &f.handles[slot]
			}
		}
		if own := v.steps[i]; own != nil {
			st = own
			for k, w := range v.weights[i] {
				if w != nil {
					in[k] = &handle{value: w, constant: true}
				}
			}
		}
		if err := f.step(st, in); err != nil {
			return nil, err
		}
	}
	out = map[string]value.Value{}
	for _, i := range v.outputs {
		o := p.outputs[i]
		w, err := f.rounded(&f.handles[o.slot])
		if err != nil {
			return nil, err
		}
		out[o.name] = value.Clone(w)
	}
	return out, nil
}
