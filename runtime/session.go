package runtime

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

// Session is a compiled model. Its methods may be called from many goroutines at once; weights are shared by
// all runs. The model must stay open as long as the session is used.
type Session struct {
	model   *onnxio.Model
	options Options
	pool    *kernels.Pool
	memory  *memory

	inputs   []*onnxio.ValueInfo // without those that have an initializer
	defaults []*onnxio.ValueInfo // inputs that have one
	outputs  []*onnxio.ValueInfo

	frozen *compiled // initializers are constants

	mu   sync.Mutex
	open *compiled // initializers that are graph inputs may be given by the caller; made when first needed
}

// compiled is a program and the tapes that are free to run it.
type compiled struct {
	program  *program
	names    []string      // of the program's inputs
	defaults []value.Value // per input: what it is where the caller gives nothing, nil for none

	mu    sync.Mutex
	tapes []*tape
}

// Compile makes a model ready to run. An operator or attribute that the runtime does not know is an
// *UnsupportedError, which lists all such nodes.
func Compile(m *onnxio.Model, o Options) (s *Session, err error) {
	defer func() {
		if p := recover(); p != nil {
			s, err = nil, fmt.Errorf("compiling the model: %w", recovered(p))
		}
	}()
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.MemoryLimit == 0 {
		o.MemoryLimit = machineMemory()
	}
	if o.TripLimit == 0 {
		o.TripLimit = DefaultTripLimit
	}
	s = &Session{model: m, options: o, outputs: m.Graph.Outputs, memory: &memory{limit: o.MemoryLimit}}
	s.pool = kernels.NewPool(o.Threads)
	if o.ShortSums > 0 {
		s.pool.ShortSums(o.ShortSums)
	}
	c := newCompiler(m, o, s.pool)
	for _, in := range m.Graph.Inputs {
		if c.hasInitializer(in.Name) {
			s.defaults = append(s.defaults, in)
		} else {
			s.inputs = append(s.inputs, in)
		}
	}
	if s.frozen, err = s.compile(c, true); err != nil {
		s.pool.Close()
		return nil, err
	}
	s.start()
	m.Unload() // a run reads few of the weights in the file
	return s, nil
}

// start replaces the inputs of a session that begins inside of the model: those that are still read, then the values of Options.From.
func (s *Session) start() {
	if len(s.options.From) == 0 {
		return
	}
	p := s.frozen.program
	s.inputs = slices.DeleteFunc(s.inputs, func(in *onnxio.ValueInfo) bool {
		at := slices.Index(s.frozen.names, in.Name)
		return at < 0 || p.readers[p.inputs[at]] == 0
	})
	for _, name := range s.options.From {
		s.inputs = append(s.inputs, &onnxio.ValueInfo{Name: name})
	}
}

func (s *Session) compile(c *compiler, frozen bool) (*compiled, error) {
	p, err := c.main(frozen)
	if err != nil {
		return nil, err
	}
	out := &compiled{program: p}
	for _, in := range s.model.Graph.Inputs {
		isDefault := slices.Contains(s.defaults, in)
		if isDefault && frozen {
			continue
		}
		var def value.Value
		if isDefault {
			if def, err = c.defaultOf(in.Name); err != nil {
				return nil, err
			}
		}
		out.names = append(out.names, in.Name)
		out.defaults = append(out.defaults, def)
	}
	for _, name := range s.options.From {
		out.names, out.defaults = append(out.names, name), append(out.defaults, nil)
	}
	if s.options.Engine == TapeMachine {
		t, err := newTape(p)
		if err != nil {
			return nil, err
		}
		out.tapes = append(out.tapes, t)
	}
	return out, nil
}

func (c *compiler) defaultOf(name string) (value.Value, error) {
	for _, t := range c.model.Graph.Initializers {
		if t.Name == name {
			return c.weight(initializer{name: name, dense: t})
		}
	}
	for _, t := range c.model.Graph.Sparse {
		if t.Name() == name {
			return c.weight(initializer{name: name, sparse: t})
		}
	}
	return nil, fmt.Errorf("initializer %q is missing", name)
}

// Inputs returns the inputs that a run needs, with their declared types, in the model's order.
func (s *Session) Inputs() []*onnxio.ValueInfo { return slices.Clone(s.inputs) }

// Overridable returns the initializers that are graph inputs too: a run may give them, but need not.
func (s *Session) Overridable() []*onnxio.ValueInfo { return slices.Clone(s.defaults) }

// Outputs returns the model's outputs with their declared types.
func (s *Session) Outputs() []*onnxio.ValueInfo { return slices.Clone(s.outputs) }

// Values returns the names of the values that the steps of the main graph compute, in the order in which Options.Replace is called
// with them. Values that are folded while compiling, or that nothing needs, are not among them.
func (s *Session) Values() []string {
	var out []string
	for _, st := range s.frozen.program.steps {
		for i, slot := range st.out {
			if slot >= 0 {
				out = append(out, st.names[i])
			}
		}
	}
	return out
}

// Memory says what the session's intermediate values take.
func (s *Session) Memory() Memory { return s.memory.stats() }

// Trim gives memory that is kept for the next run back to Go.
func (s *Session) Trim() { s.memory.trim() }

// Close ends the session's threads. Runs that are going on are finished by their callers alone.
func (s *Session) Close() error {
	s.pool.Close()
	s.memory.trim()
	return nil
}

// Run computes the model. outputs names what is wanted, among the model's outputs and Options.Keep; none means all
// of them. What it returns belongs to the caller and shares no memory with anything else. A failure inside of the
// graph is a *NodeError, a wrong input an *InputError; a cancelled context ends the run at the next node.
func (s *Session) Run(ctx context.Context, inputs map[string]value.Value, outputs ...string) (out map[string]value.Value, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, recovered(p)
		}
	}()
	if err := s.checkInputs(inputs); err != nil {
		return nil, err
	}
	c, err := s.choose(inputs)
	if err != nil {
		return nil, err
	}
	for _, name := range outputs {
		if !slices.ContainsFunc(c.program.outputs, func(o output) bool { return o.name == name }) {
			return nil, fmt.Errorf("the model has no output %q; it has %s (intermediate values have to be named in Options.Keep)",
				name, quoted(outputNames(c.program)))
		}
	}
	f := c.program.frame(&run{session: s, program: c.program}, s.context(ctx))
	defer f.close()
	for i, name := range c.names {
		v := inputs[name]
		if v == nil {
			v = c.defaults[i]
		}
		f.load(c.program.inputs[i], v)
	}
	if err := s.execute(c, f); err != nil {
		return nil, err
	}
	return s.collect(f, outputs)
}

// choose returns the program in which the given inputs are inputs.
func (s *Session) choose(inputs map[string]value.Value) (*compiled, error) {
	for _, d := range s.defaults {
		if inputs[d.Name] == nil {
			continue
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.open == nil {
			c, err := s.compile(newCompiler(s.model, s.options, s.pool), false)
			if err != nil {
				return nil, fmt.Errorf("compiling for the given value of %q: %w", d.Name, err)
			}
			s.open = c
		}
		return s.open, nil
	}
	return s.frozen, nil
}

// execute runs a frame on the machine that the options name.
func (s *Session) execute(c *compiled, f *frame) error {
	if s.options.Engine == Walk {
		return (&walk{frame: f}).RunAll()
	}
	t, err := c.tape()
	if err != nil {
		return err
	}
	err = t.run(f)
	c.mu.Lock()
	c.tapes = append(c.tapes, t)
	c.mu.Unlock()
	return err
}

func (c *compiled) tape() (*tape, error) {
	c.mu.Lock()
	if n := len(c.tapes); n > 0 {
		t := c.tapes[n-1]
		c.tapes = c.tapes[:n-1]
		c.mu.Unlock()
		return t, nil
	}
	c.mu.Unlock()
	return newTape(c.program)
}

// collect takes the outputs out of a frame, and makes them the caller's own.
func (s *Session) collect(f *frame, wanted []string) (map[string]value.Value, error) {
	vs, err := f.take()
	out := map[string]value.Value{}
	for i, o := range f.program.outputs {
		v := vs[i]
		if v == nil {
			continue
		}
		if _, twice := out[o.name]; err == nil && !twice && (len(wanted) == 0 || slices.Contains(wanted, o.name)) {
			out[o.name] = value.Clone(v)
		}
		value.Release(v)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

func outputNames(p *program) []string {
	names := map[string]bool{}
	for _, o := range p.outputs {
		names[o.name] = true
	}
	return slices.Sorted(maps.Keys(names))
}
