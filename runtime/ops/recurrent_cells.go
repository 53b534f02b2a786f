package ops

// The cells of RNN, GRU and LSTM, with the equations of the ONNX documentation. Gates are rows of W and R in the order
// z r h (GRU) and i o f c (LSTM).

import "onnxprune/runtime/kernels"

func init() {
	Register("", "RNN", buildRNN, 1, 7, 14, 22)
	Register("", "GRU", buildGRU, 1, 3, 7, 14, 22)
	Register("", "LSTM", buildLSTM, 1, 7, 14, 22)
}

func buildRNN(n *Node) (Kernel, error) {
	r, err := readRecurrent(n, 1, "Tanh")
	if err != nil {
		return nil, err
	}
	return buildRecurrent(n, r, 6, rnnCell[float32], rnnCell[float64])
}

// rnnCell: H = f(X W' + H R' + Wb + Rb).
func rnnCell[T kernels.Float](d *direction[T], weights []T) {
	d.recurrence = d.factor(recurrentWeights, weights, d.hidden, d.hidden)
	d.step = func(c *Context) {
		d.addRecurrence(c)
		copy(d.nextH, d.x)
		d.clipped(d.nextH)
		d.activations[0](d.nextH)
	}
}

// addRecurrence adds the state's product with R, and R's bias, to x.
func (d *direction[T]) addRecurrence(c *Context) {
	d.recurrence.multiply(c, d.batch, d.h, d.product)
	kernels.Add(d.x, d.x, d.product)
	if d.rb != nil {
		for b := range d.batch {
			row := d.x[b*len(d.rb):][:len(d.rb)]
			kernels.Add(row, row, d.rb)
		}
	}
}

func buildGRU(n *Node) (Kernel, error) {
	r, err := readRecurrent(n, 3, "Sigmoid", "Tanh")
	if err != nil {
		return nil, err
	}
	if n.Since >= 3 {
		r.linearBeforeReset = n.Bool("linear_before_reset", false)
	}
	return buildRecurrent(n, r, 6, gruCell[float32], gruCell[float64])
}

// gruCell:
//
//	z, r = f(X W' + H R' + Wb + Rb)
//	h = g(X Wh' + (r*H) Rh' + Wbh + Rbh)    or, linear before reset, g(X Wh' + Wbh + r*(H Rh' + Rbh))
//	H = (1-z)*h + z*H
func gruCell[T kernels.Float](d *direction[T], weights []T) {
	n := d.hidden
	d.recurrence = d.factor(recurrentWeights, weights[:2*n*n], n, 2*n)
	d.candidate = d.factor(candidateWeights, weights[2*n*n:], n, n)
	gates := make([]T, d.batch*2*n)
	reset, candidate := make([]T, d.batch*n), make([]T, d.batch*n)
	d.step = func(c *Context) {
		d.recurrence.multiply(c, d.batch, d.h, gates)
		for b := range d.batch {
			zr := gates[b*2*n : (b+1)*2*n]
			kernels.Add(zr, zr, d.x[b*3*n:][:2*n])
			if d.rb != nil {
				kernels.Add(zr, zr, d.rb[:2*n])
			}
			d.clipped(zr)
			d.activations[0](zr)
			kernels.Mul(reset[b*n:(b+1)*n], zr[n:], d.h[b*n:])
		}
		if d.linearBeforeReset {
			d.candidate.multiply(c, d.batch, d.h, candidate)
		} else {
			d.candidate.multiply(c, d.batch, reset, candidate)
		}
		for b := range d.batch {
			d.gruRow(b, gates[b*2*n:(b+1)*2*n], candidate[b*n:(b+1)*n])
		}
	}
}

// gruRow finishes one sequence's step; candidate holds the product with Rh.
func (d *direction[T]) gruRow(b int, zr, candidate []T) {
	n := d.hidden
	if d.rb != nil {
		kernels.Add(candidate, candidate, d.rb[2*n:])
	}
	if d.linearBeforeReset {
		kernels.Mul(candidate, candidate, zr[n:])
	}
	kernels.Add(candidate, candidate, d.x[b*3*n+2*n:])
	d.clipped(candidate)
	d.activations[1](candidate)
	for i, z := range zr[:n] {
		d.nextH[b*n+i] = (1-z)*candidate[i] + z*d.h[b*n+i]
	}
}

func buildLSTM(n *Node) (Kernel, error) {
	r, err := readRecurrent(n, 4, "Sigmoid", "Tanh", "Tanh")
	if err != nil {
		return nil, err
	}
	r.inputForget = n.Bool("input_forget", false)
	return buildRecurrent(n, r, 8, lstmCell[float32], lstmCell[float64])
}

// lstmCell:
//
//	i, f = f(X W' + H R' + P*C + Wb + Rb)    with input_forget f = 1-i
//	C' = f*C + i*g(X Wc' + H Rc' + Wbc + Rbc)
//	o = f(X Wo' + H Ro' + Po*C' + Wbo + Rbo)
//	H = o*h(C')
//
// clip limits what goes into f and g, not into h, as in ONNX Runtime.
func lstmCell[T kernels.Float](d *direction[T], weights []T) {
	d.recurrence = d.factor(recurrentWeights, weights, d.hidden, 4*d.hidden)
	d.step = func(c *Context) {
		d.addRecurrence(c)
		for b := range d.batch {
			d.lstmRow(d.x[b*4*d.hidden:(b+1)*4*d.hidden], d.c[b*d.hidden:(b+1)*d.hidden],
				d.nextH[b*d.hidden:(b+1)*d.hidden], d.nextC[b*d.hidden:(b+1)*d.hidden])
		}
	}
}

func (d *direction[T]) lstmRow(x, before, h, after []T) {
	n := d.hidden
	i, o, f, g := x[:n], x[n:2*n], x[2*n:3*n], x[3*n:]
	d.peep(i, 0, before)
	d.peep(f, 2, before)
	d.clipped(i)
	d.activations[0](i)
	if d.inputForget {
		for j, v := range i {
			f[j] = 1 - v
		}
	} else {
		d.clipped(f)
		d.activations[0](f)
	}
	d.clipped(g)
	d.activations[1](g)
	for j := range after {
		after[j] = f[j]*before[j] + i[j]*g[j]
	}
	d.peep(o, 1, after)
	d.clipped(o)
	d.activations[0](o)
	copy(h, after)
	d.activations[2](h)
	kernels.Mul(h, h, o)
}

// peep adds the cell state, times the peephole weights of a gate in the order i o f.
func (d *direction[T]) peep(gate []T, which int, state []T) {
	if d.peepholes == nil {
		return
	}
	for j, w := range d.peepholes[which*d.hidden:][:d.hidden] {
		gate[j] += w * state[j]
	}
}
