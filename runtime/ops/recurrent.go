package ops

// What RNN, GRU and LSTM have in common: reading the node, the sequences of either layout and direction, and the walk
// over time. Each cell is in its own file. The input's product with W is taken for all steps at once; the
// state's product with R step by step.

import (
	"fmt"
	"slices"
	"strings"

	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

// recurrent is a node of the three kinds.
type recurrent struct {
	gates      int // blocks of hidden rows in W, R and each half of B
	functions  int // activations per direction
	hiddenSize int // 0: as R says
	reverse    []bool
	activation [][]gateActivation // by direction
	clip       float64            // 0: none
	batchFirst bool

	packed planCache[*kernels.PackedB] // of W and R, by which it is and direction

	linearBeforeReset bool // GRU
	inputForget       bool // LSTM
}

// readRecurrent reads what the three have in common. defaults are the activations of one direction.
func readRecurrent(n *Node, gates int, defaults ...string) (*recurrent, error) {
	r := &recurrent{gates: gates, functions: len(defaults), hiddenSize: int(n.Int("hidden_size", 0)),
		clip: float64(n.Float("clip", 0))}
	switch strings.ToLower(n.Text("direction", "forward")) {
	case "forward":
		r.reverse = []bool{false}
	case "reverse":
		r.reverse = []bool{true}
	case "bidirectional":
		r.reverse = []bool{false, true}
	default:
		return nil, fmt.Errorf("attribute direction is %q", n.Text("direction", ""))
	}
	if n.Since >= 14 {
		r.batchFirst = n.Bool("layout", false)
	}
	if n.Since < 7 {
		n.Ignore("output_sequence") // whether the node names output 0 says the same
	}
	r.packed.keep = n.Constant(1) != nil && n.Constant(2) != nil
	names := n.Texts("activations")
	if names == nil {
		for range r.reverse {
			names = append(names, defaults...)
		}
	}
	if len(names) != len(r.reverse)*len(defaults) {
		return nil, fmt.Errorf("attribute activations has %d names, want %d", len(names), len(r.reverse)*len(defaults))
	}
	all, err := readGateActivations(names, n.Floats("activation_alpha"), n.Floats("activation_beta"))
	if err != nil {
		return nil, err
	}
	for i := range r.reverse {
		r.activation = append(r.activation, all[i*len(defaults):(i+1)*len(defaults)])
	}
	return r, nil
}

// recurrentSizes are the sizes of one run.
type recurrentSizes struct{ steps, batch, input, hidden int }

func (r *recurrent) sizes(in []*value.Tensor) (recurrentSizes, error) {
	x, w, rec := in[0].Shape, in[1].Shape, in[2].Shape
	if len(x) != 3 || len(w) != 3 || len(rec) != 3 {
		return recurrentSizes{}, fmt.Errorf("inputs X, W and R have shapes %v, %v and %v, want three axes each", x, w, rec)
	}
	s := recurrentSizes{steps: x[0], batch: x[1], input: x[2], hidden: rec[2]}
	if r.batchFirst {
		s.steps, s.batch = x[1], x[0]
	}
	dirs := len(r.reverse)
	rows := r.gates * s.hidden
	if !slices.Equal(w, []int{dirs, rows, s.input}) || !slices.Equal(rec, []int{dirs, rows, s.hidden}) || r.hiddenSize != 0 && r.hiddenSize != s.hidden {
		return s, fmt.Errorf("inputs X, W and R have shapes %v, %v and %v for %d directions and hidden_size %d", x, w, rec, dirs, r.hiddenSize)
	}
	for i, want := range map[int][]int{3: {dirs, 2 * rows}, 4: {s.batch}, 5: r.stateShape(s), 6: r.stateShape(s), 7: {dirs, 3 * s.hidden}} {
		if i < len(in) && in[i] != nil && !slices.Equal(in[i].Shape, want) {
			return s, fmt.Errorf("input %d has shape %v, want %v", i, in[i].Shape, want)
		}
	}
	return s, nil
}

func (r *recurrent) stateShape(s recurrentSizes) []int {
	if r.batchFirst {
		return []int{s.batch, len(r.reverse), s.hidden}
	}
	return []int{len(r.reverse), s.batch, s.hidden}
}

// direction is one direction of a run.
type direction[T kernels.Float] struct {
	*recurrent
	recurrentSizes
	index       int // 0, or 1 for the second
	activations []func(x []T)
	recurrence  rightFactor[T]   // transposed R; for a GRU of the first two gates
	candidate   rightFactor[T]   // for a GRU: that of the third
	wb, rb      []T              // bias of W and R, gates*hidden each, or nil
	peepholes   []T              // 3*hidden, or nil
	h, c        []T              // state, batch x hidden
	x           []T              // this step's input products, batch x gates*hidden
	product     []T              // scratch of the same size
	lengths     []int            // of each sequence
	step        func(c *Context) // computes the next state
	nextH       []T
	nextC       []T
}

// clipped limits what goes into an activation.
func (d *direction[T]) clipped(x []T) {
	if d.clip > 0 {
		limit := T(d.clip)
		for i, v := range x {
			x[i] = max(-limit, min(limit, v))
		}
	}
}

// recurrentKernel runs a cell. cell sets the step of a direction.
func recurrentKernel[T kernels.Float](r *recurrent, cell func(d *direction[T], weights []T)) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		s, err := r.sizes(in)
		if err != nil {
			return nil, err
		}
		xs, err := floatElements[T](in[0])
		if err != nil {
			return nil, err
		}
		lengths, err := sequenceLengths(in, s)
		if err != nil {
			return nil, err
		}
		dirs := len(r.reverse)
		shape := []int{s.steps, dirs, s.batch, s.hidden}
		if r.batchFirst {
			shape = []int{s.batch, s.steps, dirs, s.hidden}
		}
		y, err := newFloatOutput[T](c, in[0].Type, shape...)
		if err != nil {
			return nil, err
		}
		lastH, err := newFloatOutput[T](c, in[0].Type, r.stateShape(s)...)
		if err != nil {
			return nil, err
		}
		lastC, err := newFloatOutput[T](c, in[0].Type, r.stateShape(s)...)
		if err != nil {
			return nil, err
		}
		for i, reverse := range r.reverse {
			d, err := newDirection(r, s, in, i, lengths, cell)
			if err != nil {
				return nil, err
			}
			if err := d.run(c, xs, in[1], i, reverse, y.data); err != nil {
				return nil, err
			}
			for b := range s.batch {
				if lengths[b] == 0 { // no step, no state: zeros, as ONNX Runtime gives
					continue
				}
				at := r.stateAt(s, i, b)
				copy(lastH.data[at:at+s.hidden], d.h[b*s.hidden:])
				copy(lastC.data[at:at+s.hidden], d.c[b*s.hidden:])
			}
		}
		return []*value.Tensor{y.done(), lastH.done(), lastC.done()}, nil
	}
}

// stateAt is where the state of a direction and a sequence begins.
func (r *recurrent) stateAt(s recurrentSizes, dir, b int) int {
	if r.batchFirst {
		return (b*len(r.reverse) + dir) * s.hidden
	}
	return (dir*s.batch + b) * s.hidden
}

func sequenceLengths(in []*value.Tensor, s recurrentSizes) ([]int, error) {
	lengths := slices.Repeat([]int{s.steps}, s.batch)
	if len(in) < 5 || in[4] == nil {
		return lengths, nil
	}
	given, ok := in[4].Ints()
	if !ok {
		return nil, fmt.Errorf("sequence_lens is %v", in[4])
	}
	for b, v := range given {
		if v < 0 || v > int64(s.steps) {
			return nil, fmt.Errorf("sequence_lens has %d for sequences of %d steps", v, s.steps)
		}
		lengths[b] = int(v)
	}
	return lengths, nil
}

func newDirection[T kernels.Float](r *recurrent, s recurrentSizes, in []*value.Tensor, i int, lengths []int,
	cell func(d *direction[T], weights []T)) (*direction[T], error) {
	rows := r.gates * s.hidden
	d := &direction[T]{recurrent: r, recurrentSizes: s, index: i, lengths: lengths,
		h: make([]T, s.batch*s.hidden), c: make([]T, s.batch*s.hidden),
		nextH: make([]T, s.batch*s.hidden), nextC: make([]T, s.batch*s.hidden),
		x: make([]T, s.batch*rows), product: make([]T, s.batch*rows)}
	for _, a := range r.activation[i] {
		d.activations = append(d.activations, rowActivation[T](a))
	}
	weights, err := floatElements[T](in[2])
	if err != nil {
		return nil, err
	}
	var given [4][]T // B, initial h, initial c, P
	for j, at := range []int{3, 5, 6, 7} {
		if given[j], err = optionalFloats[T](in, at); err != nil {
			return nil, err
		}
	}
	if b := given[0]; b != nil {
		d.wb, d.rb = b[i*2*rows:][:rows], b[i*2*rows+rows:][:rows]
	}
	if p := given[3]; p != nil {
		d.peepholes = p[i*3*s.hidden:][:3*s.hidden]
	}
	for b := range s.batch {
		at := r.stateAt(s, i, b)
		if given[1] != nil {
			copy(d.h[b*s.hidden:][:s.hidden], given[1][at:])
		}
		if given[2] != nil {
			copy(d.c[b*s.hidden:][:s.hidden], given[2][at:])
		}
	}
	cell(d, weights[i*rows*s.hidden:][:rows*s.hidden])
	return d, nil
}

// run walks over time and writes the steps' states to y.
func (d *direction[T]) run(c *Context, xs []T, w *value.Tensor, i int, reverse bool, y []T) error {
	weights, err := floatElements[T](w)
	if err != nil {
		return err
	}
	rows := d.gates * d.hidden
	products := make([]T, d.steps*d.batch*rows)
	d.factor(inputWeights, weights[i*rows*d.input:][:rows*d.input], d.input, rows).multiply(c, d.steps*d.batch, xs, products)
	for step := range d.steps {
		if c.Context != nil && c.Err() != nil {
			return c.Err()
		}
		for b, length := range d.lengths {
			if step < length {
				at := d.place(b, d.time(step, length, reverse))
				copy(d.x[b*rows:(b+1)*rows], products[at*rows:])
			}
		}
		if d.wb != nil {
			for b := range d.batch {
				kernels.Add(d.x[b*rows:(b+1)*rows], d.x[b*rows:(b+1)*rows], d.wb)
			}
		}
		d.step(c)
		for b, length := range d.lengths {
			if step >= length {
				continue
			}
			next := d.nextH[b*d.hidden : (b+1)*d.hidden]
			copy(d.h[b*d.hidden:], next)
			copy(d.c[b*d.hidden:(b+1)*d.hidden], d.nextC[b*d.hidden:])
			copy(y[d.outputAt(b, d.time(step, length, reverse), i):], next)
		}
	}
	return nil
}

func (d *direction[T]) time(step, length int, reverse bool) int {
	if reverse {
		return length - 1 - step
	}
	return step
}

// place is the row of X of a sequence at a time.
func (d *direction[T]) place(b, time int) int {
	if d.batchFirst {
		return b*d.steps + time
	}
	return time*d.batch + b
}

// outputAt is where a state begins in the first output.
func (d *direction[T]) outputAt(b, time, i int) int {
	dirs := len(d.reverse)
	if d.batchFirst {
		return ((b*d.steps+time)*dirs + i) * d.hidden
	}
	return ((time*dirs+i)*d.batch + b) * d.hidden
}

// rightFactor is a matrix that others are multiplied with, from the right and transposed.
type rightFactor[T kernels.Float] struct {
	k, n   int
	packed *kernels.PackedB
	plain  []float64
}

// factorName tells the matrices of a node apart.
type factorName int

const (
	inputWeights     factorName = iota // W
	recurrentWeights                   // R, for a GRU its first two gates
	candidateWeights                   // for a GRU the third
)

// factor takes n rows of k elements of a constant or computed W or R.
func (d *direction[T]) factor(which factorName, w []T, k, n int) rightFactor[T] {
	f := rightFactor[T]{k: k, n: n}
	switch w := any(w).(type) {
	case []float32:
		key := []int{int(which), d.index}
		f.packed, _ = d.packed.get(key, func() (*kernels.PackedB, error) { return kernels.PackB(true, k, n, w, k), nil })
	case []float64:
		f.plain = w
	}
	return f
}

// multiply sets y (m x n) to a (m x k) times the factor.
func (f rightFactor[T]) multiply(c *Context, m int, a, y []T) {
	switch a := any(a).(type) {
	case []float32:
		kernels.GemmPackedB(c.Pool, false, m, 1, a, f.k, f.packed, 0, any(y).([]float32), f.n, nil, kernels.Activation{})
	case []float64:
		kernels.Gemm64(c.Pool, false, true, m, f.n, f.k, 1, a, f.k, f.plain, f.k, 0, any(y).([]float64), f.n)
	}
}

// buildRecurrent makes the kernel of a cell that is known for both float types.
func buildRecurrent(n *Node, r *recurrent, inputs int, narrow func(*direction[float32], []float32), double func(*direction[float64], []float64)) (Kernel, error) {
	if err := n.CheckInputs(3, inputs); err != nil {
		return nil, err
	}
	return forOutputs(n, byFloat(recurrentKernel(r, narrow), recurrentKernel(r, double))), nil
}
