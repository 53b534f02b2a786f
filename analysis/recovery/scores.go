package recovery

import (
	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/importance"
)

// ByCurve returns scores of a weight's output channels by their place in their group's curve: the first to go has the lowest. A
// weight whose channels no layer with statistics reads is scored by the norm of its filters.
func (m *Model) ByCurve(curves []*Curve) func(p *channels.Param) ([]float64, error) {
	place := map[atoms.ID]float64{}
	for _, c := range curves {
		for i, id := range c.Classes {
			place[id] = float64(i+1) / float64(len(c.Classes))
		}
	}
	return m.scores(place)
}

// ByEnergy returns scores of a weight's output channels by the mean square of what the layers behind see of them, each layer's over the
// mean of its channels.
func (m *Model) ByEnergy() func(p *channels.Param) ([]float64, error) {
	energy := map[atoms.ID]float64{}
	for _, in := range m.inputs {
		per := len(in.classes) / len(in.data.Moments)
		squares, total := make([]float64, len(in.classes)), 0.0
		for i := range in.classes {
			mo := &in.data.Moments[i/per]
			for t := range in.taps {
				j := i%per*in.taps + t
				squares[i] += mo.At(j, j) + mo.Mean[j]*mo.Mean[j]
			}
			total += squares[i]
		}
		if total <= 0 {
			continue
		}
		for i, id := range in.classes {
			energy[id] += squares[i] / total * float64(len(squares))
		}
	}
	return m.scores(energy)
}

// scores reads scores of classes for a weight.
func (m *Model) scores(of map[atoms.ID]float64) func(p *channels.Param) ([]float64, error) {
	return func(p *channels.Param) ([]float64, error) {
		out, known := make([]float64, p.Out), false
		for i, c := range m.Channels.Classes(p) {
			v, ok := of[c]
			out[i], known = v, known || ok
		}
		if !known {
			return importance.Scores(importance.L2Norm, p, 0)
		}
		return out, nil
	}
}
