// Package recovery keeps the accuracy of a pruned model without training: it says in which order the channels of a group go, how much
// each costs, and what weights the layers behind them must have to make up for what went.
//
// All of it follows from the layers' inputs as one pass of the dense model saw them (package statistics). A layer y = W x + b that loses the
// columns P of its input and keeps S is given the weights with which its output is closest to what it was, in the mean over the rows
// x:
//
//	W' = W_S + W_P G_PS (G_SS + d I)^-1,   b' = b + W m - W' m_S
//
// where m and G are mean and covariance of x and d is a small share of G's mean diagonal. The order is that of the Optimal Brain Surgeon (Hassibi
// and Stork, 1993), for channels and over all layers that read them: the channel whose removal, so repaired, costs least goes
// first, then the next against what is left.
package recovery

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/layers"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/statistics"
)

// Damping is what is added to a covariance's diagonal, as a share of its mean, where there are many rows.
const Damping = 0.01

// Model is an analysed model with the statistics of its layers.
type Model struct {
	Channels *channels.Analysis
	Left     []layers.Left // layers that are not repaired, and why

	inputs []*input // one for each distinct input of a layer
	fits   []*fit   // one for each weight
}

// input is what flows into one or more layers.
type input struct {
	key  string
	data *statistics.Input
	fits []*fit
	// classes holds the class of every channel, conv group after conv group
	classes []atoms.ID
	taps    int // columns of one channel: the kernel's elements, or 1
}

// fit is one weight with all the layers that use it, which are repaired together.
type fit struct {
	layers []*layers.Layer
	input  *input
	data   *statistics.Input // of all uses together
	weight []float64         // the operand of the first layer
	scale  []float64         // by output channel: what a batch norm behind multiplies it with; nil for 1
	shifts []shift           // where the change of its mean goes, one for each distinct bias; empty: nowhere
}

// New joins a model's layers with statistics of it. Statistics that lack a layer, or do not fit it, are an error.
func New(a *channels.Analysis, s *statistics.Statistics) (*Model, error) {
	m := &Model{Channels: a}
	ls, left := layers.Of(a)
	m.Left = left
	byKey, byWeight := map[string]*input{}, map[*graph.Value]*fit{}
	for _, l := range ls {
		data := s.Inputs[l.Key()]
		if data == nil || len(data.Moments) != l.Groups {
			return nil, fmt.Errorf("the statistics do not have the input of %s", l.Node.Title())
		}
		taps := l.Taps
		if data.Form == statistics.Channels {
			taps = 1
		}
		if data.Moments[0].Size != l.Channels*taps {
			return nil, fmt.Errorf("the statistics of %s have %d columns, its weight has %d", l.Node.Title(), data.Moments[0].Size, l.Channels*taps)
		}
		if f := byWeight[l.Weight.Value]; f != nil { // one weight, several layers
			if why := f.share(l, data); why != "" {
				return nil, fmt.Errorf("%s and %s share a weight, but %s", f.layers[0].Node.Title(), l.Node.Title(), why)
			}
			continue
		}
		in := byKey[l.Key()]
		if in == nil {
			in = &input{key: l.Key(), data: data, classes: l.Classes, taps: taps}
			byKey[l.Key()] = in
			m.inputs = append(m.inputs, in)
		}
		w, err := l.Weight.Floats()
		if err != nil {
			return nil, err
		}
		if !finite(w) {
			m.Left = append(m.Left, layers.Left{Node: l.Node, Why: "its weight holds numbers that are not finite"})
			continue
		}
		f := &fit{layers: []*layers.Layer{l}, input: in, data: data, weight: w}
		var s shift
		if s, f.scale = shiftOf(l); s.use.Node != nil {
			f.shifts = []shift{s}
		}
		byWeight[l.Weight.Value] = f
		in.fits = append(in.fits, f)
		m.fits = append(m.fits, f)
	}
	return m, nil
}

// Alone lists the layers that lose a channel of the removed classes and are not repaired.
func (m *Model) Alone(removed map[atoms.ID]bool) []plan.Alone {
	out := []plan.Alone{}
	for _, l := range m.Left {
		cut := false
		for i := range l.Node.Inputs {
			for _, ax := range m.Channels.State.Reads[graph.Use{Node: l.Node, Input: i}] {
				cut = cut || !ax.Fixed() && slices.ContainsFunc(ax.IDs, func(id atoms.ID) bool { return removed[m.Channels.State.Set.Find(id)] })
			}
		}
		if cut {
			out = append(out, plan.Alone{Node: l.Node.Path, Why: l.Why})
		}
	}
	return out
}

func finite(vs []float64) bool {
	return !slices.ContainsFunc(vs, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// share adds a layer that uses the same weight: its rows count as rows of the first.
func (f *fit) share(l *layers.Layer, data *statistics.Input) string {
	first := f.layers[0]
	if first.Groups != l.Groups || first.Channels != l.Channels || first.Taps != l.Taps || data.Form != f.data.Form || !slices.Equal(first.Weight.Dims, l.Weight.Dims) {
		return "read it in different ways"
	}
	f.layers = append(f.layers, l)
	s, _ := shiftOf(l)
	switch same := slices.IndexFunc(f.shifts, func(o shift) bool { return s.bias != nil && o.bias != nil && o.bias.Value == s.bias.Value }); {
	case s.use.Node == nil:
		f.shifts = nil // one of the layers can not take it: all are fitted without
	case same >= 0:
		f.shifts[same].also = append(f.shifts[same].also, s.use)
	case len(f.shifts) > 0:
		f.shifts = append(f.shifts, s)
	}
	if data == f.data {
		return ""
	}
	joined := &statistics.Input{Form: data.Form}
	for g := range data.Moments {
		joined.Moments = append(joined.Moments, join(&f.data.Moments[g], &data.Moments[g]))
	}
	f.data = joined
	return ""
}

// join returns the moments of the rows of both.
func join(a, b *statistics.Moments) statistics.Moments {
	n, d := float64(a.Rows+b.Rows), a.Size
	p, q := float64(a.Rows)/n, float64(b.Rows)/n
	out := statistics.Moments{Size: d, Rows: a.Rows + b.Rows, Mean: make([]float64, d), Covariance: make([]float64, d*d)}
	for i := range d {
		out.Mean[i] = p*a.Mean[i] + q*b.Mean[i]
	}
	for i := range d {
		for j := range d {
			out.Covariance[i*d+j] = p*a.At(i, j) + q*b.At(i, j) + p*q*(a.Mean[i]-b.Mean[i])*(a.Mean[j]-b.Mean[j])
		}
	}
	return out
}

// rows is the number of rows of the matrix of one conv group.
func (f *fit) rows() int {
	l := f.layers[0]
	if f.data.Form == statistics.Channels {
		return l.Rows * l.Taps
	}
	return l.Rows
}

// at returns the place in the weight operand of a row and column of conv group q.
func (f *fit) at(q, row, column int) int {
	l := f.layers[0]
	if f.data.Form == statistics.Channels {
		return l.At(q, row/l.Taps, column, row%l.Taps)
	}
	return l.At(q, row, column/l.Taps, column%l.Taps)
}

// output returns the output channel, of the whole layer, of a row of conv group q.
func (f *fit) output(q, row int) int {
	l := f.layers[0]
	if f.data.Form == statistics.Channels {
		row /= l.Taps
	}
	return q*l.Rows + row
}

// matrix returns the matrix of conv group q, rows scaled by the batch norm behind where scaled is set.
func (f *fit) matrix(q int, scaled bool) []float64 {
	rows, d := f.rows(), f.data.Moments[q].Size
	out := make([]float64, rows*d)
	for r := range rows {
		s := 1.0
		if scaled && f.scale != nil {
			s = f.scale[f.output(q, r)]
		}
		for j := range d {
			out[r*d+j] = s * f.weight[f.at(q, r, j)]
		}
	}
	return out
}

// columns returns the columns of conv group q whose class is in a set.
func (in *input) columns(q int, want func(atoms.ID) bool) []int {
	per := len(in.classes) / len(in.data.Moments)
	var out []int
	for c, id := range in.classes[q*per : (q+1)*per] {
		if want(id) {
			for t := range in.taps {
				out = append(out, c*in.taps+t)
			}
		}
	}
	return out
}

// damping returns what is added to the diagonal of a covariance: more where there are few rows for its columns.
func damping(m *statistics.Moments) float64 {
	share := Damping * max(1, 2*float64(m.Size)/float64(max(m.Rows, 1)))
	d := min(share, 1) * m.MeanVariance()
	if d <= 0 {
		return 1e-12
	}
	return d
}
