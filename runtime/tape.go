package runtime

// The gorgonia side: an expression graph with one node per step, for gorgonia's TapeMachine.
//
// What flows through it are handles, so gorgonia may hold them as long as it likes. All nodes have gorgonia's type
// float32 and no shape: what a value is shows only when it is there. The graph has one input that nothing depends
// on, because gorgonia wants one; feeds read the run's inputs. A step with several outputs gives a tuple, from which
// picks take one each. Every step also has the step before it as a last child, which keeps the order of the
// model, and with it the peak of memory. A machine binds values to the nodes of its graph, so each concurrent run
// needs a tape of its own; a session keeps them for the next run.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	goruntime "runtime"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	// gorgonia's dependencies ask at start whether this Go release is known; only a recent version of this
	// package knows today's.
	_ "go4.org/unsafe/assume-no-moving-gc"
)

var _ gorgonia.Value = (*handle)(nil)

// Shape implements gorgonia.Value.
func (h *handle) Shape() tensor.Shape { return tensor.ScalarShape() }

// Size implements gorgonia.Value.
func (h *handle) Size() int { return 1 }

// Data implements gorgonia.Value: the value itself.
func (h *handle) Data() any { return h.value }

// Dtype implements gorgonia.Value.
func (h *handle) Dtype() tensor.Dtype { return tensor.Float32 }

// Uintptr implements tensor.Memory. Handles have no address that others could use.
func (h *handle) Uintptr() uintptr { return 0 }

// MemSize implements tensor.Memory.
func (h *handle) MemSize() uintptr { return 0 }

// Format implements fmt.Formatter.
func (h *handle) Format(s fmt.State, _ rune) {
	if h.value == nil {
		fmt.Fprint(s, "nothing")
		return
	}
	fmt.Fprint(s, h.value.String())
}

// tape is a program on a TapeMachine.
type tape struct {
	graph   *gorgonia.ExprGraph
	machine gorgonia.VM
	frame   *frame // of the run that is going on
	err     error  // what a step said, without gorgonia's wrapping
}

// opBase is what all our operators share. gorgonia finds common subexpressions by hash, and takes equal
// hashes for equal nodes: the id makes every hash its own.
type opBase struct {
	tape  *tape
	id    uint32
	salt  uint32
	arity int
}

func (o opBase) Arity() int { return o.arity }

func (o opBase) Type() hm.Type {
	ts := make([]hm.Type, o.arity+1)
	for i := range ts {
		ts[i] = tensor.Float32
	}
	return hm.NewFnType(ts...)
}

func (o opBase) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) {
	return tensor.ScalarShape(), nil
}
func (o opBase) ReturnsPtr() bool     { return true }
func (o opBase) CallsExtern() bool    { return false }
func (o opBase) OverwritesInput() int { return -1 }
func (o opBase) Hashcode() uint32     { return o.id }

func (o opBase) WriteHash(h hash.Hash) {
	var b [8]byte
	binary.LittleEndian.PutUint32(b[:], o.id)
	binary.LittleEndian.PutUint32(b[4:], o.salt)
	h.Write(b[:])
}

// feed gives an input of the run.
type feed struct {
	opBase
	slot int
}

func (o *feed) String() string { return fmt.Sprintf("feed %d", o.slot) }

func (o *feed) Do(...gorgonia.Value) (gorgonia.Value, error) {
	return &o.tape.frame.handles[o.slot], nil
}

// stepOp computes a step.
type stepOp struct {
	opBase
	step *step
	from []int // per input of the step: which child it is; -1 absent or constant
}

func (o *stepOp) String() string { return o.step.path }

var errStep = errors.New("a step failed")

func (o *stepOp) Do(children ...gorgonia.Value) (result gorgonia.Value, err error) {
	t := o.tape
	defer func() { // here nothing above could recover: gorgonia runs operators on a goroutine of its own
		if p := recover(); p != nil {
			t.err, err = recovered(p), errStep
		}
	}()
	f := t.frame
	in := make([]*handle, len(o.from))
	for i, from := range o.from {
		switch slot := o.step.in[i]; {
		case from >= 0:
			in[i] = children[from].(*handle)
		case slot >= 0:
			in[i] = &f.handles[slot]
		}
	}
	if t.err = f.step(o.step, in); t.err != nil {
		return nil, errStep
	}
	if len(o.step.out) == 1 && o.step.out[0] >= 0 {
		return &f.handles[o.step.out[0]], nil
	}
	tuple := &handle{}
	for _, slot := range o.step.out {
		var h *handle
		if slot >= 0 {
			h = &f.handles[slot]
		}
		tuple.tuple = append(tuple.tuple, h)
	}
	return tuple, nil
}

// pick takes one of the outputs of a step that has several.
type pick struct {
	opBase
	index int
}

func (o *pick) String() string { return fmt.Sprintf("pick %d", o.index) }

func (o *pick) Do(children ...gorgonia.Value) (gorgonia.Value, error) {
	if h, ok := children[0].(*handle); ok && o.index < len(h.tuple) && h.tuple[o.index] != nil {
		return h.tuple[o.index], nil
	}
	return nil, fmt.Errorf("there is no output %d to pick", o.index)
}

// newTape builds the expression graph of a program and its machine.
func newTape(p *program) (t *tape, err error) {
	defer func() { // gorgonia's compiler panics on what it does not like
		if e := recover(); e != nil {
			t, err = nil, fmt.Errorf("gorgonia: %v", e)
		}
	}()
	for salt := range uint32(8) {
		t := &tape{graph: gorgonia.NewGraph(gorgonia.WithGraphName("model"))}
		if t.build(p, salt) {
			t.machine = gorgonia.NewTapeMachine(t.graph, gorgonia.EvalMode())
			// The machine's finalizer is for CUDA. The machine and our operators refer to one another, and a cycle with a
			// finalizer in it is never collected: every session would stay, weights and all.
			goruntime.SetFinalizer(t.machine, nil)
			return t, nil
		}
	}
	return nil, errors.New("gorgonia: node hashes collide") // eight times in a row: does not happen
}

// build returns false when two nodes' hashes collide.
func (t *tape) build(p *program, salt uint32) bool {
	var id uint32
	hashes := map[uint32]bool{}
	unique := true
	add := func(op gorgonia.Op, children ...*gorgonia.Node) *gorgonia.Node {
		n := gorgonia.NewUniqueNode(gorgonia.WithType(tensor.Float32), gorgonia.WithOp(op),
			gorgonia.WithChildren(children), gorgonia.In(t.graph))
		unique = unique && !hashes[n.Hashcode()]
		hashes[n.Hashcode()] = true
		return n
	}
	base := func(arity int) opBase {
		id++
		return opBase{t, id, salt, arity}
	}
	last := gorgonia.NewScalar(t.graph, tensor.Float32, gorgonia.WithName("run"), gorgonia.WithValue(float32(0)))
	hashes[last.Hashcode()] = true
	of := make([]*gorgonia.Node, p.slots)
	for _, slot := range p.inputs {
		of[slot] = add(&feed{base(1), slot}, last)
	}
	for _, s := range p.steps {
		op := &stepOp{step: s, from: make([]int, len(s.in))}
		var children gorgonia.Nodes
		for i, slot := range s.in {
			op.from[i] = -1
			if slot >= 0 && of[slot] != nil {
				op.from[i] = len(children)
				children = append(children, of[slot])
			}
		}
		children = append(children, last)
		op.opBase = base(len(children))
		last = add(op, children...)
		for i, slot := range s.out {
			switch {
			case slot < 0:
			case len(s.out) == 1:
				of[slot] = last
			default:
				of[slot] = add(&pick{base(1), i}, last)
			}
		}
	}
	return unique
}

// run runs the program on a frame.
func (t *tape) run(f *frame) error {
	t.frame, t.err = f, nil
	defer func() {
		t.machine.Reset()
		t.frame = nil
	}()
	if err := t.machine.RunAll(); err != nil {
		if t.err != nil {
			return t.err
		}
		return fmt.Errorf("gorgonia: %w", err)
	}
	return nil
}
