package recovery

import (
	"errors"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/mat"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/layers"
	"onnxprune/analysis/statistics"
)

var errSingular = errors.New("a covariance has no inverse")

// factor is the Cholesky factorisation; ok is false where the matrix is not positive definite.
func factor(s *mat.SymDense) (*mat.Cholesky, bool) {
	var ch mat.Cholesky
	ok := ch.Factorize(s)
	return &ch, ok
}

// wellEnough tells a badly conditioned solution, which damping keeps in bounds, from none.
func wellEnough(err error) bool {
	var c mat.Condition
	return errors.As(err, &c)
}

// inverse is that of the damped covariance.
func inverse(m *statistics.Moments) (*mat.SymDense, error) {
	g := mat.NewSymDense(m.Size, append([]float64(nil), m.Covariance...))
	d := damping(m)
	for i := range m.Size {
		g.SetSym(i, i, g.At(i, i)+d)
	}
	ch, ok := factor(g)
	if !ok {
		return nil, errSingular
	}
	out := mat.NewSymDense(m.Size, nil)
	if err := ch.InverseTo(out); err != nil && !wellEnough(err) {
		return nil, err
	}
	return out, nil
}

// Repair is what the layers that share a weight become when some of their input's channels go.
type Repair struct {
	Layers []*layers.Layer
	Weight []float64 // the elements of the weight operand, those of removed channels at zero
	Shift  []float64 // what the mean of each output channel is short of; nil where nothing takes it
	Rows   int       // of statistics, that it was fitted to

	fit *fit
}

// Repairs fits all layers that read a channel of the removed classes.
func (m *Model) Repairs(removed map[atoms.ID]bool) ([]*Repair, error) {
	var todo []*fit
	for _, f := range m.fits {
		for _, id := range f.input.classes {
			if removed[id] {
				todo = append(todo, f)
				break
			}
		}
	}
	out, errs := make([]*Repair, len(todo)), make([]error, len(todo))
	for i, f := range todo {
		out[i], errs[i] = f.repair(removed)
	}
	return out, errors.Join(errs...)
}

// repair solves for one weight.
func (f *fit) repair(removed map[atoms.ID]bool) (*Repair, error) {
	l := f.layers[0]
	r := &Repair{Layers: f.layers, Weight: append([]float64(nil), f.weight...), Rows: f.data.Moments[0].Rows, fit: f}
	if len(f.shifts) > 0 {
		r.Shift = make([]float64, l.Groups*l.Rows)
	}
	for q := range f.data.Moments {
		gone := f.input.columns(q, func(id atoms.ID) bool { return removed[id] })
		stay := f.input.columns(q, func(id atoms.ID) bool { return !removed[id] })
		if len(gone) == 0 {
			continue
		}
		if len(stay) == 0 { // the conv group goes as a whole
			continue
		}
		if err := f.solve(r, q, stay, gone); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// solve fits conv group q: W' = W_S + W_P G_PS (G_SS + d I)^-1.
func (f *fit) solve(r *Repair, q int, stay, gone []int) error {
	mo := &f.data.Moments[q]
	second := func(i, j int) float64 { return mo.At(i, j) }
	if len(f.shifts) == 0 { // no bias takes the mean: it is fitted with the rest
		second = func(i, j int) float64 { return mo.At(i, j) + mo.Mean[i]*mo.Mean[j] }
	}
	n, m, rows := len(stay), len(gone), f.rows()
	g := mat.NewSymDense(n, nil)
	d := damping(mo)
	for i, si := range stay {
		for j := i; j < n; j++ {
			g.SetSym(i, j, second(si, stay[j]))
		}
		g.SetSym(i, i, g.At(i, i)+d)
	}
	ch, ok := factor(g)
	if !ok {
		return errSingular
	}
	w, size := f.matrix(q, false), mo.Size
	wp := make([]float64, rows*m)
	for i := range rows {
		for j, p := range gone {
			wp[i*m+j] = w[i*size+p]
		}
	}
	gps := make([]float64, m*n)
	for i, p := range gone {
		for j, s := range stay {
			gps[i*n+j] = second(p, s)
		}
	}
	right := make([]float64, rows*n) // W_P G_PS
	gemm(blas.NoTrans, blas.NoTrans, rows, n, m, 1, wp, m, gps, n, 0, right, n)
	var x mat.Dense
	if err := ch.SolveTo(&x, mat.NewDense(rows, n, right).T()); err != nil && !wellEnough(err) {
		return err
	}
	perOutput := 1.0
	if f.data.Form == statistics.Channels {
		perOutput = f.tapsPerPlace()
	}
	for i := range rows {
		moved := 0.0
		for j, s := range stay {
			change := x.At(j, i)
			r.Weight[f.at(q, i, s)] += change
			moved -= change * mo.Mean[s]
		}
		for j, p := range gone {
			r.Weight[f.at(q, i, p)] = 0
			moved += wp[i*m+j] * mo.Mean[p]
		}
		if r.Shift != nil {
			r.Shift[f.output(q, i)] += moved * perOutput
		}
	}
	return nil
}

// tapsPerPlace returns what a tap's share in a place of the output is: of a transposed convolution a place sees one tap in
// every stride.
func (f *fit) tapsPerPlace() float64 {
	w := &f.layers[0].Window
	share := 1.0
	if w.Transposed {
		for _, s := range w.Strides {
			share /= float64(s)
		}
	}
	return share
}
