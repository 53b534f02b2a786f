package calibrate

import (
	"onnxprune/analysis/layers"
	"onnxprune/analysis/statistics"
	"onnxprune/runtime/kernels"
)

// accumulator sums the rows of one input.
type accumulator struct {
	key      string
	seed     string // names the layer whose rows these are
	window   layers.Window
	form     statistics.Form
	groups   int
	channels int // of one conv group
	size     int // columns of a row of one conv group
	block    int // rows that are summed at a time

	pending []float32 // rows that wait, of all conv groups: group after group, block rows each
	waiting int
	shift   [][]float32 // by conv group: what is taken off each column, close to its mean
	sum     [][]float64 // by conv group: of the shifted columns
	product [][]float64 // by conv group: of pairs of shifted columns, the lower triangle
	rows    int
}

func newAccumulator(key string, l *layers.Layer) *accumulator {
	a := &accumulator{key: key, seed: l.Node.Path, window: l.Window, groups: l.Groups, channels: l.Channels, size: l.Patch()}
	if l.Window.Transposed || a.size > largestPatch {
		a.seeChannels()
	}
	return a
}

// seeChannels makes single channels of what were patches.
func (a *accumulator) seeChannels() { a.form, a.size = statistics.Channels, a.channels }

func (a *accumulator) bytes() int64 { return int64(a.groups) * int64(a.size) * int64(a.size) * 8 }

// start makes room, once the form is settled.
func (a *accumulator) start() {
	a.block = min(1024, max(64, (1<<20)/a.size))
	a.pending = make([]float32, a.groups*a.block*a.size)
	for range a.groups {
		a.sum = append(a.sum, make([]float64, a.size))
		a.product = append(a.product, make([]float64, a.size*a.size))
	}
}

// row returns where the columns of the next row of a conv group go.
func (a *accumulator) row(group int) []float32 {
	at := (group*a.block + a.waiting) * a.size
	return a.pending[at : at+a.size]
}

// panel is how many columns of a product are computed at a time.
const panel = 512

// flush sums the rows that wait.
func (a *accumulator) flush(p *kernels.Pool, scratch *[]float32) {
	n, d := a.waiting, a.size
	if n == 0 {
		return
	}
	if a.shift == nil {
		for g := range a.groups {
			a.shift = append(a.shift, columnMeans(a.pending[g*a.block*d:], n, d))
		}
	}
	if need := d * min(panel, d); len(*scratch) < need {
		*scratch = make([]float32, need)
	}
	for g := range a.groups {
		x := a.pending[g*a.block*d : (g*a.block+n)*d]
		shift, sum, product := a.shift[g], a.sum[g], a.product[g]
		p.Do(n, max(1, 1<<14/d), func(lo, hi int) {
			for r := lo; r < hi; r++ {
				row := x[r*d : (r+1)*d]
				for j := range row {
					row[j] -= shift[j]
				}
			}
		})
		for r := range n {
			for j, v := range x[r*d : (r+1)*d] {
				sum[j] += float64(v)
			}
		}
		for j0 := 0; j0 < d; j0 += panel {
			cols, below := min(panel, d-j0), d-j0
			c := (*scratch)[:below*cols]
			kernels.Gemm(p, true, false, below, cols, n, 1, x[j0:], d, x[j0:], d, 0, c, cols)
			p.Do(below, max(1, 1<<14/cols), func(lo, hi int) {
				for i := lo; i < hi; i++ {
					to := product[(j0+i)*d+j0:]
					for j, v := range c[i*cols : i*cols+min(cols, i+1)] {
						to[j] += float64(v)
					}
				}
			})
		}
	}
	a.rows += n
	a.waiting = 0
}

func columnMeans(x []float32, n, d int) []float32 {
	sum := make([]float64, d)
	for r := range n {
		for j, v := range x[r*d : (r+1)*d] {
			sum[j] += float64(v)
		}
	}
	out := make([]float32, d)
	for j, s := range sum {
		out[j] = float32(s / float64(n))
	}
	return out
}

// finish returns mean and covariance.
func (a *accumulator) finish(p *kernels.Pool, scratch *[]float32) *statistics.Input {
	in := &statistics.Input{Form: a.form}
	a.flush(p, scratch)
	if a.rows == 0 {
		return in
	}
	n, d := float64(a.rows), a.size
	for g := range a.groups {
		m := statistics.Moments{Size: d, Rows: a.rows, Mean: make([]float64, d), Covariance: a.product[g]}
		for j := range d {
			m.Mean[j] = float64(a.shift[g][j]) + a.sum[g][j]/n
		}
		sum, cov := a.sum[g], m.Covariance
		p.Do(d, max(1, 1<<14/d), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				for j := range i + 1 {
					cov[i*d+j] = (cov[i*d+j] - sum[i]*sum[j]/n) / n
				}
			}
		})
		for i := range d {
			for j := range i {
				cov[j*d+i] = cov[i*d+j]
			}
		}
		in.Moments = append(in.Moments, m)
	}
	return in
}
