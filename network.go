package onnxprune

import (
	"slices"
	"strings"
	"sync"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/cost"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/importance"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
)

// Options of Open.
type Options struct {
	// InputShapes fixes shapes that the model leaves open. What is worked out then holds for these shapes.
	InputShapes map[string][]int64
	// AllowInexact lets channels go that a normalisation or mean runs across. The result can then not be equal to the
	// masked original.
	AllowInexact bool
}

// Network is a model with all that is known of it: its graph, shapes and channels.
type Network struct {
	Model    *onnxio.Model
	Graph    *graph.Graph
	Shapes   *shape.Result
	Channels *channels.Analysis

	options Options
	size    *plan.Size                // that made Model what it is; nil: it is the file's
	inexact func() *channels.Analysis // what it would be with AllowInexact, worked out once
	sized   func() (*channels.Analysis, string)
}

// Open reads a model file and analyses it. Close it when done; models that Apply returned share its weights.
func Open(path string, opt Options) (*Network, error) {
	m, err := onnxio.Open(path)
	if err != nil {
		return nil, err
	}
	n, err := Analyze(m, opt)
	if err != nil {
		m.Close()
		return nil, err
	}
	return n, nil
}

// Analyze works out graph, shapes and channels of a model that is open.
func Analyze(m *onnxio.Model, opt Options) (*Network, error) {
	g, s, err := infer(m, opt)
	if err != nil {
		return nil, err
	}
	a := channels.Analyze(g, s, channels.Options{AllowInexact: opt.AllowInexact})
	n := &Network{Model: m, Graph: g, Shapes: s, Channels: a, options: opt}
	n.inexact, n.sized = sync.OnceValue(n.inexactly), sync.OnceValues(n.atSomeSize)
	return n, nil
}

// infer links a model's graph and infers its shapes.
func infer(m *onnxio.Model, opt Options) (*graph.Graph, *shape.Result, error) {
	g, err := graph.Build(m)
	if err != nil {
		return nil, nil, &ModelError{m.Path, err}
	}
	s, err := shape.Infer(g, shape.Options{Inputs: opt.InputShapes})
	if err == nil {
		return g, s, nil
	}
	if len(opt.InputShapes) > 0 {
		if _, plain := shape.Infer(g, shape.Options{}); plain == nil {
			return nil, nil, usage("%s: the given input shapes do not fit: %v", m.Path, err)
		}
	}
	return nil, nil, &ModelError{m.Path, err}
}

// Close unmaps the model's file.
func (n *Network) Close() error { return n.Model.Close() }

// Request says which weights lose how much.
type Request struct {
	Params    []string // names or patterns of weights; names of layers and of their outputs where that is clear
	Ratios    []float64
	Criterion importance.Criterion // "": l1_norm
	Vote      selection.Vote       // "": named
	Align     int                  // kept counts become multiples of it; 0 or 1: any
	Seed      uint64               // of the criterion random

	MaxRatio    float64  // see selection.Options
	MinChannels int      // fewest output channels that a weight keeps; 0 or 1: one
	Protect     []string // names or patterns of weights that lose no output channel

	Budget  Budget // what is left of the whole model, in place of Params and Ratios
	bounded bool   // Params are names that were chosen, not asked for: bounds hold as for patterns
}

func (r Request) options() selection.Options {
	return selection.Options{Criterion: r.Criterion, Vote: r.Vote, Align: r.Align, Seed: r.Seed,
		MaxRatio: r.MaxRatio, MinChannels: r.MinChannels, Protect: r.Protect}
}

// Select picks the channels that a request asks for, and works out all that their removal changes. What patterns matched but could not
// take is counted in the second result; where they could take nothing the plan is empty.
func (n *Network) Select(r Request) (*plan.Plan, []selection.Left, error) {
	p, _, left, err := n.choose(r, nil)
	return p, left, err
}

// choose is Select with the scores of criteria that read statistics.
func (n *Network) choose(r Request, scores func(*channels.Param) ([]float64, error)) (*plan.Plan, *selection.Choice, []selection.Left, error) {
	if err := r.options().Check(); err != nil {
		return nil, nil, nil, err
	}
	if r.Criterion.NeedsStatistics() && scores == nil {
		return nil, nil, nil, usage("criterion %s needs statistics of a run on pictures, which only Prune collects", r.Criterion)
	}
	wants, left, err := selection.Resolve(n.Channels, r.Params, r.Ratios)
	if err != nil {
		return nil, nil, nil, n.hint(err, r.Params)
	}
	for i := range wants {
		wants[i].Pattern = wants[i].Pattern || r.bounded
	}
	opt := r.options()
	opt.Scores = scores
	choice, err := selection.Select(n.Channels, wants, opt)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, h := range choice.Held {
		for i := range left {
			if left[i].Pattern == h.Name {
				left[i].Taken--
				left[i].Reasons["protected, itself or by what it is coupled with"]++
			}
		}
	}
	p, err := n.planOf(r, choice)
	if err != nil {
		return nil, nil, nil, err
	}
	return p, choice, left, nil
}

// planOf works out what a choice changes.
func (n *Network) planOf(r Request, choice *selection.Choice) (*plan.Plan, error) {
	p, err := plan.Build(n.Channels, choice.Removed)
	if err != nil {
		return nil, err
	}
	p.Cuts = choice.Cuts
	p.Source = plan.Source{File: n.Model.Path, Bytes: n.Model.Size()}
	p.Request = plan.Request{Params: r.Params, Ratios: r.Ratios, Criterion: string(r.Criterion), Vote: string(r.Vote), Align: r.Align,
		Seed: r.Seed, Inexact: n.options.AllowInexact, MaxRatio: r.MaxRatio, MinChannels: r.MinChannels, Protect: r.Protect,
		InputShapes: n.options.InputShapes, Budget: string(r.Budget.Unit), Target: r.Budget.Target}
	return p, nil
}

// hint tells how a weight that is refused for exactness alone can be pruned all the same.
func (n *Network) hint(err error, names []string) error {
	for _, p := range n.Channels.Params {
		if p.Reason != nil && p.Reason.Inexact && slices.Contains(names, p.Name) && strings.HasPrefix(err.Error(), p.Name+" can not be pruned") {
			return refuse("%s; --allow-inexact prunes it all the same, and the result is then not equal to the masked original", Line(err))
		}
	}
	return err
}

// Apply returns the pruned model. It shares weights with the network's model, which must stay open. A plan that was
// made for another network is a RequestError.
func (n *Network) Apply(p *plan.Plan) (*onnxio.Model, error) {
	if p.Size != nil && n.size == nil {
		return nil, refuse("the plan brings the model to the input size %dx%d first, which is done by a prune only: prune to a file, and go on with that", p.Size.To.Width, p.Size.To.Height)
	}
	m, err := rewrite.Apply(n.Model, p)
	if err != nil {
		return nil, refuse("%v", err)
	}
	return m, nil
}

// Cost counts what the network costs. Open batches count as one.
func (n *Network) Cost() (*cost.Report, []InputShape) { return costOf(n.Graph, n.Shapes, n.options) }

// costOf counts a model at the input shapes that opt fixes. Where only the first axis of an input is open (the batch) it
// counts as one; extents that are still open count as one too, and the report says how many layers they touch.
func costOf(g *graph.Graph, s *shape.Result, opt Options) (*cost.Report, []InputShape) {
	s = costShapes(g, s, opt)
	var shapes []InputShape
	for _, v := range g.Main.Inputs {
		if !v.Constant() {
			shapes = append(shapes, inputShape(v, s.Of(v)))
		}
	}
	return cost.Of(g, s), shapes
}

// costShapes returns the shapes at which costs are counted.
func costShapes(g *graph.Graph, s *shape.Result, opt Options) *shape.Result {
	fixed, changed := map[string][]int64{}, false
	for _, v := range g.Main.Inputs {
		if given := opt.InputShapes[v.Name]; given != nil {
			fixed[v.Name] = given
		} else if dims := singleBatch(v, s); dims != nil {
			fixed[v.Name], changed = dims, true
		}
	}
	if changed {
		if at, err := shape.Infer(g, shape.Options{Inputs: fixed}); err == nil {
			s = at
		}
	}
	return s
}

// singleBatch returns the shape of an input with a batch of one; nil where more than the batch is open, or nothing.
func singleBatch(v *graph.Value, s *shape.Result) []int64 {
	in := s.Of(v)
	if v.Constant() || in.Rank() < 1 {
		return nil
	}
	if _, known := in.Fixed(0); known {
		return nil
	}
	dims := []int64{1}
	for k := 1; k < in.Rank(); k++ {
		n, known := in.Fixed(k)
		if !known {
			return nil
		}
		dims = append(dims, n)
	}
	return dims
}

// InputShape is an input and the shape at which costs are counted.
type InputShape struct {
	Name  string   `json:"name"`
	Type  string   `json:"type"`
	Shape []string `json:"shape"` // numbers, or names of extents that are open
	Open  bool     `json:"open,omitempty"`
}

func inputShape(v *graph.Value, in *shape.Info) InputShape {
	out := InputShape{Name: v.Name, Type: in.Elem.String(), Shape: []string{}, Open: !in.Known}
	for k, d := range in.Dims {
		if _, known := in.Fixed(k); !known {
			out.Open = true
		}
		out.Shape = append(out.Shape, d.String())
	}
	return out
}
