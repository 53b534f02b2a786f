package runtime

import (
	"slices"
	"sync"
	"sync/atomic"

	"onnxprune/onnxio"
	"onnxprune/runtime/ops"
	"onnxprune/runtime/value"
)

// program is a compiled graph: steps in order over numbered slots. Local functions are opened into the steps of
// the graph that calls them; the body of a control-flow node is a program of its own.
type program struct {
	name      string
	steps     []*step
	slots     int
	inputs    []int      // slots of the graph's inputs
	captures  []capture  // of a body: what it reads of the graph around it
	constants []constant // slots whose value is known
	outputs   []output
	taps      map[int]string // slots that Options.Tap is told of
	readers   []int32        // per slot: steps' inputs and outputs of the graph that read it

	frames sync.Pool // of *frame
}

// capture is a value of the enclosing graph that a body reads.
type capture struct {
	slot     int // in the body
	outer    int // in the enclosing program
	position int // among the inputs of the control-flow node's kernel
}

type constant struct {
	slot  int
	value value.Value
}

type output struct {
	name string
	slot int
}

// step is one node, ready to run.
type step struct {
	op, domain, path string
	kernel           ops.Kernel
	in               []int // slots, -1 for an absent input; behind the node's own, what its bodies capture
	own              int   // how many inputs are the node's own
	out              []int // slots, -1 for an absent output
	names            []string
	bodies           []*program
	version          int // of the opset
	attrs            []*onnxio.Attribute
	wide             bool            // computes 16-bit floats in float32, see half.go
	half             onnxio.DataType // of the first input, where that is a widened constant

	calls, total, self atomic.Int64 // profile; times in nanoseconds
}

// countReaders fills readers, after the steps that nothing needs have been taken out.
func (p *program) countReaders() {
	p.readers = make([]int32, p.slots)
	for _, s := range p.steps {
		for _, in := range s.in {
			if in >= 0 {
				p.readers[in]++
			}
		}
	}
	for _, o := range p.outputs {
		p.readers[o.slot]++
	}
}

// dropDead takes out the steps that no output needs.
func (p *program) dropDead() {
	need := make([]bool, p.slots)
	for _, o := range p.outputs {
		need[o.slot] = true
	}
	for slot := range p.taps {
		need[slot] = true
	}
	keep := len(p.steps)
	for i := len(p.steps) - 1; i >= 0; i-- {
		s := p.steps[i]
		used := false
		for _, o := range s.out {
			used = used || o >= 0 && need[o]
		}
		if !used {
			continue
		}
		for _, in := range s.in {
			if in >= 0 {
				need[in] = true
			}
		}
		keep--
		p.steps[keep] = s
	}
	p.steps = p.steps[keep:]
}

// dropUnread takes out the constants that no step reads any more.
func (p *program) dropUnread() {
	p.constants = slices.DeleteFunc(p.constants, func(k constant) bool { return p.readers[k.slot] == 0 })
}

// walk calls f for every step of the program and of its bodies.
func (p *program) walk(f func(*step)) {
	for _, s := range p.steps {
		f(s)
		for _, b := range s.bodies {
			b.walk(f)
		}
	}
}
