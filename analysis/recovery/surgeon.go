package recovery

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
)

// Curve is the order in which a group's channels go, and what that costs.
type Curve struct {
	Group   *channels.Group
	Classes []atoms.ID // those that may go, the first to go first
	// Error holds, for 0, 1, 2 … removed classes, the squared error of all layers that read them, each as a share of its output's
	// variance, after their repair. It ends where a tenth of the group is left.
	Error []float64
}

// Curves works the curves of those groups out that have a channel to give and a layer with statistics that reads it, and that are wanted; want nil
// takes all. progress may be nil.
func (m *Model) Curves(ctx context.Context, want func(*channels.Group) bool, progress func(done, total int)) ([]*Curve, error) {
	var todo []*channels.Group
	for _, g := range m.Channels.Groups {
		if g.Reason == nil && (want == nil || want(g)) && len(m.readers(g)) > 0 {
			todo = append(todo, g)
		}
	}
	cache := &inverses{uses: map[*input]int{}, held: map[*input][]*mat.SymDense{}}
	for _, g := range todo {
		for _, in := range m.readers(g) {
			cache.uses[in]++
		}
	}
	var out []*Curve
	for i, g := range todo {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if progress != nil {
			progress(i, len(todo))
		}
		c, err := m.curve(g, cache)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if progress != nil {
		progress(len(todo), len(todo))
	}
	return out, nil
}

// readers returns the inputs that hold channels of a group.
func (m *Model) readers(g *channels.Group) []*input {
	var out []*input
	for _, in := range m.inputs {
		if len(in.fits) > 0 && slices.ContainsFunc(in.classes, func(id atoms.ID) bool { return m.Channels.GroupOf(id) == g }) {
			out = append(out, in)
		}
	}
	return out
}

// inverses keeps the inverses of damped covariances for as long as a group needs them.
type inverses struct {
	uses map[*input]int
	held map[*input][]*mat.SymDense
}

func (c *inverses) of(in *input) ([]*mat.SymDense, error) {
	hs := c.held[in]
	if hs == nil {
		for q := range in.data.Moments {
			h, err := inverse(&in.data.Moments[q])
			if err != nil {
				return nil, err
			}
			hs = append(hs, h)
		}
		c.held[in] = hs
	}
	if c.uses[in]--; c.uses[in] == 0 {
		delete(c.held, in)
	}
	return hs, nil
}

// block is one conv group of one input, restricted to the columns of the group that is cut: the state of the surgeon.
type block struct {
	n, rows int
	h       []float64 // n x n: inverse of the damped covariance, given what went
	w       []float64 // column after column of rows numbers: the weights of all layers that read the input, each over the deviation of its layer
	span    [][2]int  // by class that is left: its columns
}

// curve runs the surgeon on one group.
func (m *Model) curve(g *channels.Group, cache *inverses) (*Curve, error) {
	classes := slices.DeleteFunc(slices.Clone(g.Classes), func(c atoms.ID) bool { return !m.Channels.Removable(c) })
	at := map[atoms.ID]int{}
	for i, c := range classes {
		at[c] = i
	}
	var blocks []*block
	for _, in := range m.readers(g) {
		hs, err := cache.of(in)
		if err != nil {
			return nil, err
		}
		for q, h := range hs {
			if b := m.block(in, q, h, classes, at); b != nil {
				blocks = append(blocks, b)
			}
		}
	}
	c := &Curve{Group: g, Error: []float64{0}}
	left := slices.Clone(classes)
	least := max(1, (len(classes)+9)/10)
	total := 0.0
	for len(left) > least {
		scores := score(blocks, len(left))
		order := make([]int, len(left))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(i, j int) int { return cmp.Or(cmp.Compare(scores[i], scores[j]), cmp.Compare(i, j)) })
		gone := order[:min(batch(len(classes)), len(left)-least)]
		for _, i := range gone {
			total += max(scores[i], 0)
			c.Classes = append(c.Classes, left[i])
			c.Error = append(c.Error, total)
		}
		slices.Sort(gone)
		for _, b := range blocks {
			if err := b.remove(gone); err != nil {
				return nil, err
			}
		}
		for k, i := range gone {
			left = slices.Delete(left, i-k, i-k+1)
		}
	}
	scores := score(blocks, len(left))
	rest := make([]int, len(left))
	for i := range rest {
		rest[i] = i
	}
	slices.SortStableFunc(rest, func(i, j int) int { return cmp.Compare(scores[i], scores[j]) })
	for _, i := range rest {
		c.Classes = append(c.Classes, left[i])
	}
	return c, nil
}

// batch is how many channels go between two updates: one by one is best, wide groups take more for time.
func batch(n int) int { return min(4, max(1, n/128)) }

// block cuts a group's columns out of an inverse, and stacks the rows of all layers that read them. nil where there are none.
func (m *Model) block(in *input, q int, h *mat.SymDense, classes []atoms.ID, at map[atoms.ID]int) *block {
	own := make([][]int, len(classes))
	per := len(in.classes) / len(in.data.Moments)
	n := 0
	for c, id := range in.classes[q*per : (q+1)*per] {
		if k, ok := at[id]; ok {
			for t := range in.taps {
				own[k] = append(own[k], c*in.taps+t)
				n++
			}
		}
	}
	if n == 0 {
		return nil
	}
	b := &block{n: n}
	var columns []int
	for _, cs := range own {
		b.span = append(b.span, [2]int{len(columns), len(columns) + len(cs)})
		columns = append(columns, cs...)
	}
	b.h = make([]float64, n*n)
	for i, ci := range columns {
		for j, cj := range columns {
			b.h[i*n+j] = h.At(ci, cj)
		}
	}
	for _, f := range in.fits {
		b.rows += f.rows()
	}
	b.w = make([]float64, n*b.rows)
	first := 0
	for _, f := range in.fits {
		w, d := f.matrix(q, true), f.data.Moments[q].Size
		if energy := f.energy(); energy > 0 {
			norm := 1 / math.Sqrt(energy)
			for r := range f.rows() {
				for j, cj := range columns {
					b.w[j*b.rows+first+r] = norm * w[r*d+cj]
				}
			}
		}
		first += f.rows()
	}
	return b
}

// energy is the variance of the layer's output, summed over its channels.
func (f *fit) energy() float64 {
	sum := 0.0
	for q := range f.data.Moments {
		mo := &f.data.Moments[q]
		w, rows, d := f.matrix(q, true), f.rows(), mo.Size
		wg := make([]float64, rows*d)
		gemm(blas.NoTrans, blas.NoTrans, rows, d, d, 1, w, d, mo.Covariance, d, 0, wg, d)
		for i, v := range wg {
			sum += v * w[i]
		}
	}
	return sum
}

// score returns what the removal of each class that is left costs.
func score(blocks []*block, n int) []float64 {
	out := make([]float64, n)
	parallel(n, func(k int) {
		for _, b := range blocks {
			out[k] += b.cost(k)
		}
	})
	return out
}

// cost is tr(W_I H_II^-1 W_I') for the columns I of a class: the squares of L^-1 W_I', where L L' = H_II.
func (b *block) cost(k int) float64 {
	lo, hi := b.span[k][0], b.span[k][1]
	m := hi - lo
	if m == 0 {
		return 0
	}
	if m == 1 {
		w := b.w[lo*b.rows : hi*b.rows]
		return floats.Dot(w, w) / b.h[lo*b.n+lo]
	}
	l := make([]float64, m*m) // Cholesky, row by row
	for i := range m {
		for j := range i + 1 {
			v := b.h[(lo+i)*b.n+lo+j] - floats.Dot(l[i*m:i*m+j], l[j*m:j*m+j])
			if i > j {
				l[i*m+j] = v / l[j*m+j]
				continue
			}
			if !(v > 0) {
				return math.Inf(1)
			}
			l[i*m+i] = math.Sqrt(v)
		}
	}
	x := append([]float64(nil), b.w[lo*b.rows:hi*b.rows]...)
	sum := 0.0
	for i := range m {
		xi := x[i*b.rows : (i+1)*b.rows]
		for j := range i {
			floats.AddScaled(xi, -l[i*m+j], x[j*b.rows:(j+1)*b.rows])
		}
		floats.Scale(1/l[i*m+i], xi)
		sum += floats.Dot(xi, xi)
	}
	return sum
}

// remove takes the columns I of classes out: W -= W_I H_II^-1 H_I, H -= H_I' H_II^-1 H_I, each for what is left.
func (b *block) remove(gone []int) error {
	var out, stay []int
	next := 0
	for k, s := range b.span {
		for j := s[0]; j < s[1]; j++ {
			if next < len(gone) && gone[next] == k {
				out = append(out, j)
			} else {
				stay = append(stay, j)
			}
		}
		if next < len(gone) && gone[next] == k {
			next++
		}
	}
	if m := len(out); m > 0 {
		hii := mat.NewSymDense(m, nil)
		hi := mat.NewDense(m, b.n, nil)
		for i, oi := range out {
			copy(hi.RawRowView(i), b.h[oi*b.n:(oi+1)*b.n])
			for j := i; j < m; j++ {
				hii.SetSym(i, j, b.h[oi*b.n+out[j]])
			}
		}
		ch, ok := factor(hii)
		if !ok {
			return errSingular
		}
		var k mat.Dense // H_II^-1 H_I
		if err := ch.SolveTo(&k, hi); err != nil && !wellEnough(err) {
			return err
		}
		wi := make([]float64, 0, m*b.rows)
		for _, o := range out {
			wi = append(wi, b.w[o*b.rows:(o+1)*b.rows]...)
		}
		raw := k.RawMatrix().Data
		gemm(blas.Trans, blas.NoTrans, b.n, b.rows, m, -1, raw, b.n, wi, b.rows, 1, b.w, b.rows)
		gemm(blas.Trans, blas.NoTrans, b.n, b.n, m, -1, hi.RawMatrix().Data, b.n, raw, b.n, 1, b.h, b.n)
	}
	n := len(stay)
	for i, si := range stay { // to the front: what is read lies at or behind what is written
		for j, sj := range stay {
			b.h[i*n+j] = b.h[si*b.n+sj]
		}
		copy(b.w[i*b.rows:(i+1)*b.rows], b.w[si*b.rows:(si+1)*b.rows])
	}
	var span [][2]int
	next, start := 0, 0
	for k, s := range b.span {
		if next < len(gone) && gone[next] == k {
			next++
			continue
		}
		span = append(span, [2]int{start, start + s[1] - s[0]})
		start += s[1] - s[0]
	}
	b.n, b.span, b.h, b.w = n, span, b.h[:n*n], b.w[:b.rows*n]
	return nil
}

// parallel calls f for 0..n-1, which must not depend on one another.
func parallel(n int, f func(i int)) {
	const workers = 8
	var wg sync.WaitGroup
	for k := range min(workers, n) {
		wg.Go(func() {
			for i := k; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}

// gemm is C = alpha op(A) B + beta C, of rows x columns, summed over inner.
func gemm(ta, tb blas.Transpose, rows, columns, inner int, alpha float64, a []float64, lda int, b []float64, ldb int, beta float64, c []float64, ldc int) {
	if rows == 0 || columns == 0 || inner == 0 {
		return
	}
	ar, ac := rows, inner
	if ta == blas.Trans {
		ar, ac = inner, rows
	}
	blas64.Gemm(ta, tb, alpha, blas64.General{Rows: ar, Cols: ac, Stride: lda, Data: a}, blas64.General{Rows: inner, Cols: columns, Stride: ldb, Data: b},
		beta, blas64.General{Rows: rows, Cols: columns, Stride: ldc, Data: c})
}
