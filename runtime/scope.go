package runtime

// Names live in scopes. A body's scope lies inside that of the graph around it, and a name that only the outer one knows
// becomes a capture; a local function's scope lies in none, and its nodes become steps of the calling program. That way
// nothing has to be renamed when a function is opened.

import (
	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// builder is a program that is being made.
type builder struct {
	*program
	constSlots map[value.Value]int
}

func newBuilder(name string) *builder {
	return &builder{program: &program{name: name}, constSlots: map[value.Value]int{}}
}

func (b *builder) slot() int {
	b.slots++
	return b.slots - 1
}

// ref is what a name stands for: a slot of the scope's program, or a value that is known.
type ref struct {
	slot  int
	known value.Value
}

// absent stands for an optional input that is not given.
var absent = ref{slot: -1}

func (r ref) absent() bool { return r.known == nil && r.slot < 0 }

// slotOf returns the slot from which steps read r.
func (b *builder) slotOf(r ref) int {
	if r.known == nil {
		return r.slot
	}
	slot, ok := b.constSlots[r.known]
	if !ok {
		slot = b.slot()
		b.constSlots[r.known] = slot
		b.constants = append(b.constants, constant{slot, r.known})
	}
	return slot
}

// scope holds the names of one graph or function body.
type scope struct {
	parent     *scope // whose values may be captured; nil for the main graph and for functions
	program    *builder
	names      map[string]ref
	given      map[string]ref // of the main graph: what Options.From still has to replace
	opset      func(domain string) int64
	path       string // of the node that owns the graph; "" for the main graph
	attributes map[string]*onnxio.Attribute
	inFunction bool
	calls      int // depth of function calls
	depth      int // of bodies
}

// lookup finds a name, and captures it where an outer graph defines it.
func (s *scope) lookup(name string) (ref, bool) {
	if r, ok := s.names[name]; ok {
		return r, true
	}
	if s.parent == nil {
		return ref{}, false
	}
	r, ok := s.parent.lookup(name)
	if !ok {
		return ref{}, false
	}
	if r.known == nil && !r.absent() {
		k := capture{slot: s.program.slot(), outer: r.slot}
		s.program.captures = append(s.program.captures, k)
		r = ref{slot: k.slot}
	}
	s.names[name] = r
	return r, true
}

func (s *scope) within(name string) string {
	if s.path == "" {
		return name
	}
	return s.path + "/" + name
}
