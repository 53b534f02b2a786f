// Package coverage measures how much of a model can be pruned, and what stands in the way of the rest.
//
// The measure is taken from the classes of channels, not from names: an index of an axis of a weight is free when its class may go. A
// multiply-accumulate can go when its input or its output channel can, so a layer whose input and output axes are free to the
// shares fi and fo can lose 1-(1-fi)(1-fo) of its MACs and of its weight.
package coverage

import (
	"context"
	"fmt"
	"time"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/cost"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
)

// Options of Measure and Walk.
type Options struct {
	Ratios       []float64          // of everything that can go, each planned and carried out; nil: 10, 30, 50 and 70 %
	AllowInexact bool               // channels that normalisations and means run across count as free
	InputShapes  map[string][]int64 // for shapes that the model leaves open
	// Verify compares the pruned model with the masked original on a runtime. It returns the largest difference, and how it was
	// found (which runtime, in words). Analysis never runs a model: nil leaves the comparison out.
	Verify func(ctx context.Context, original *onnxio.Model, p *plan.Plan) (maxDifference float64, how string, err error)
	// Progress is told before each model of a walk, and once at the end with an empty path.
	Progress func(done, total int, path string)
}

var defaultRatios = []float64{0.1, 0.3, 0.5, 0.7}

// check refuses ratios that are no shares of channels.
func (o *Options) check() error {
	for _, r := range o.Ratios {
		if err := selection.CheckRatio(r); err != nil {
			return err
		}
	}
	return nil
}

// Model is what was measured of one model. Shares are in 0..1.
type Model struct {
	Path  string `json:"path"`
	Error string `json:"error,omitempty"` // why it could not be measured

	Weights int   `json:"weights"` // of convolutions and linear layers, bodies included
	Params  int64 `json:"params"`  // elements of these weights
	MACs    int64 `json:"macs"`    // of layers outside of bodies; extents that are open count as one

	FreeParams float64 `json:"free_params"` // share of Params that can go
	FreeMACs   float64 `json:"free_macs"`   // share of MACs that can go
	// FreeMACsWithoutLast leaves out the layers whose output channels are the model's outputs.
	FreeMACsWithoutLast float64 `json:"free_macs_without_last"`

	Convolutions int `json:"convolutions"` // nodes, bodies included
	Touched      int `json:"touched"`      // convolutions that can lose input or output channels

	Groups       int     `json:"groups"`        // of channels that can go
	Classes      int     `json:"classes"`       // that can go, one by one
	AnalysisTime float64 `json:"analysis_time"` // seconds: graph, shapes and channels

	Reasons []Reason `json:"reasons,omitempty"` // why output channels of weights stay, the most frequent first
	Cuts    []Cut    `json:"cuts,omitempty"`    // one for each ratio
}

// Reason is one kind of reason, and how many weights have output channels that stay for it.
type Reason struct {
	Kind    string `json:"kind"`
	Weights int    `json:"weights"`
}

// Cut is the outcome of pruning everything that can go at one ratio.
type Cut struct {
	Ratio      float64  `json:"ratio"`
	MACs       int64    `json:"macs"`                 // after the cut
	Params     int64    `json:"params"`               // after the cut: weights, biases and normalisation vectors
	OfMACs     float64  `json:"of_macs"`              // share of the original's that is left
	OfParams   float64  `json:"of_params"`            // share of the original's that is left
	Difference *float64 `json:"difference,omitempty"` // from the masked original, where it was verified
	How        string   `json:"how,omitempty"`
	Inexact    []string `json:"inexact,omitempty"` // why the result can not equal the masked original
	Error      string   `json:"error,omitempty"`
}

// Measure opens a model, analyses it, and prunes everything that can go at each ratio. A cut that fails is an entry with the error;
// a model that can not be read or analysed is an error of Measure, with what is known until then.
func Measure(ctx context.Context, path string, opt Options) (Model, error) {
	out := Model{Path: path}
	if err := opt.check(); err != nil {
		return out, err
	}
	m, err := onnxio.Open(path)
	if err != nil {
		return out, err
	}
	defer m.Close()
	start := time.Now()
	a, err := analyse(m, opt)
	if err != nil {
		return out, err
	}
	out.AnalysisTime = time.Since(start).Seconds()
	before := cost.Of(a.Graph, a.Shapes)
	out.shares(a, before)
	out.reasons(a)
	ratios := opt.Ratios
	if ratios == nil {
		ratios = defaultRatios
	}
	for _, r := range ratios {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		c := Cut{Ratio: r}
		if err := c.carryOut(ctx, m, a, before, opt); err != nil {
			c.Error = err.Error()
		}
		out.Cuts = append(out.Cuts, c)
	}
	return out, nil
}

func analyse(m *onnxio.Model, opt Options) (*channels.Analysis, error) {
	g, err := graph.Build(m)
	if err != nil {
		return nil, err
	}
	s, err := shape.Infer(g, shape.Options{Inputs: opt.InputShapes})
	if err != nil {
		return nil, err
	}
	return channels.Analyze(g, s, channels.Options{AllowInexact: opt.AllowInexact}), nil
}

// carryOut prunes at the cut's ratio and counts what is left.
func (c *Cut) carryOut(ctx context.Context, m *onnxio.Model, a *channels.Analysis, before *cost.Report, opt Options) error {
	p, err := Plan(a, c.Ratio)
	if err != nil {
		return err
	}
	c.Inexact = p.Inexact
	pruned, err := rewrite.Apply(m, p)
	if err != nil {
		return err
	}
	g, err := graph.Build(pruned)
	if err != nil {
		return fmt.Errorf("the pruned model: %w", err)
	}
	s, err := shape.Infer(g, shape.Options{Inputs: opt.InputShapes})
	if err != nil {
		return fmt.Errorf("the pruned model: %w", err)
	}
	after := cost.Of(g, s)
	c.MACs, c.Params = after.MACs(), after.Params
	c.OfMACs, c.OfParams = share(after.MACs(), before.MACs()), share(after.Params, before.Params)
	if opt.Verify == nil || p.Empty() {
		return nil
	}
	d, how, err := opt.Verify(ctx, m, p)
	if err != nil {
		return fmt.Errorf("verifying: %w", err)
	}
	c.Difference, c.How = &d, how
	return nil
}

// Plan picks the ratio of everything that can go, by l1_norm, and works out what that changes. The plan is empty where nothing can go.
func Plan(a *channels.Analysis, ratio float64) (*plan.Plan, error) {
	if len(a.Params) == 0 {
		return plan.Build(a, nil)
	}
	names := []string{"*"}
	wants, _, err := selection.Resolve(a, names, []float64{ratio})
	if err != nil {
		return nil, err
	}
	choice, err := selection.Select(a, wants, selection.Options{})
	if err != nil {
		return nil, err
	}
	p, err := plan.Build(a, choice.Removed)
	if err != nil {
		return nil, err
	}
	p.Cuts = choice.Cuts
	p.Request = plan.Request{Params: names, Ratios: []float64{ratio}}
	return p, nil
}

func share(part, all int64) float64 {
	if all == 0 {
		return 0
	}
	return float64(part) / float64(all)
}
