package onnxprune

import (
	"context"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/evaluation"
)

// The rival of every prune: the same network with a smaller input.

// Resized is a model with a smaller input, or on pictures as for one.
type Resized struct {
	Width  int     `json:"width"` // of the input
	Height int     `json:"height"`
	How    string  `json:"how"`           // HowModel or HowCanvas
	Why    string  `json:"why,omitempty"` // the model could not be brought to that size
	MACs   int64   `json:"macs"`
	Share  float64 `json:"share"` // of the MACs of the input's own size
	*evaluation.Result
}

// The ways in which a smaller input is measured.
const (
	HowModel  = "model"  // the model is brought to that size
	HowCanvas = "canvas" // small pictures are laid on the input that the model has; MACs are those of the smaller input
)

// resize measures what a smaller input gives. Where the model can be brought to that size, it is that model which is measured, on pictures as it would
// be fed; else the original, on pictures that are scaled as for a smaller input and laid on its own.
func (e *evaluating) resize(ctx context.Context) error {
	g := e.gauge
	width, height, err := g.canvas(ctx)
	if err != nil {
		return err
	}
	n := e.networks[0]
	full := e.measured(n, e.files[0]).MACs
	longer := max(width, height)
	for _, size := range e.sizes(longer) {
		if size < 1 || size >= longer {
			return usage("--sizes %d: the resize baseline takes sizes below the input's own, %d", size, longer)
		}
		share := float64(size) / float64(longer)
		z := Resized{Width: int(math.Round(share * float64(width))), Height: int(math.Round(share * float64(height)))}
		small, gauge, why := e.respecialised(ctx, z.Width, z.Height)
		if why == nil {
			c, _ := small.Cost()
			z.How, z.MACs = HowModel, c.MACs()
			z.Share = float64(z.MACs) / float64(max(full, 1))
		} else {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			other := *g
			other.prepare = g.prepare.Shrunk(share)
			small, gauge = n, &other
			z.How, z.Why, z.MACs, z.Share = HowCanvas, Line(why), int64(math.Round(share*share*float64(full))), share*share
		}
		if z.Result, err = e.alone(ctx, small.Model, gauge); err != nil {
			return err
		}
		e.out.Resize = append(e.out.Resize, z)
	}
	return nil
}

// respecialised brings the original to another input size, and works out how it is fed and read there.
func (e *evaluating) respecialised(ctx context.Context, width, height int) (*Network, *gauge, error) {
	m, _, err := sized(e.networks[0].Model, InputSize{Width: int64(width), Height: int64(height)})
	if err != nil {
		return nil, nil, err
	}
	n, err := light(m)
	if err != nil {
		return nil, nil, err
	}
	g, err := newGauge(ctx, m, e.opt.Data, nil, e.opt.Engine)
	if err != nil {
		return nil, nil, err
	}
	if w, h, err := g.canvas(ctx); err != nil || w != width || h != height {
		return nil, nil, refuse("pictures would be prepared for %dx%d (%v)", w, h, err)
	}
	g.reader.Classes = e.gauge.reader.Classes
	return n, g, nil
}

// alone measures one model.
func (e *evaluating) alone(ctx context.Context, m *onnxio.Model, g *gauge) (*evaluation.Result, error) {
	s, err := g.session(m)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	model := evaluation.Model{Run: needed(s, m.Path), Reader: g.reader}
	models, tallies := []evaluation.Model{model}, []*evaluation.Tally{evaluation.NewTally(g.set, &model.Reader)}
	e.stage("resize")
	if err := evaluation.Run(ctx, g.loader(0).All, models, tallies, evaluation.Options{Workers: g.workers(), Progress: e.opt.Progress}); err != nil {
		return nil, err
	}
	return tallies[0].Result(), nil
}

// sizes of the resize baseline: steps of the stride, or finer ones where that gives less than four, down to half.
func (e *evaluating) sizes(longer int) []int {
	if len(e.opt.Sizes) > 0 {
		out := slices.Clone(e.opt.Sizes)
		slices.Sort(out)
		slices.Reverse(out)
		return slices.Compact(out)
	}
	step := 32
	if d := e.out.Preprocessing; d != nil && d.Facts.Stride > 0 {
		step = d.Facts.Stride
	}
	for step > 8 && longer/2/step < 4 {
		step /= 2
	}
	var out []int
	for size := longer - step; size >= longer/2; size -= step {
		out = append(out, size)
	}
	return out
}

// canvas returns the size of the model's input.
func (g *gauge) canvas(ctx context.Context) (width, height int, err error) {
	if g.prepare == nil || evaluation.KindOf(g.set, g.reader.Head) == evaluation.Fidelity {
		return 0, 0, usage("the resize baseline needs pictures with labels")
	}
	for item, err := range g.loader(1).All(ctx) {
		if err != nil {
			return 0, 0, err
		}
		return item.Placement.CanvasWidth, item.Placement.CanvasHeight, nil
	}
	return 0, 0, nil
}

// Rival returns what a smaller input would give at the MACs of the result, between the two nearest sizes; false where they are
// outside of what was measured.
func (e *Evaluation) Rival() (float64, bool) {
	return e.rival(func(r *evaluation.Result) float64 { return r.Value })
}

func (e *Evaluation) rival(figure func(*evaluation.Result) float64) (float64, bool) {
	if e.Original == nil {
		return 0, false
	}
	at := e.Result.MACs
	macs, v := e.Original.MACs, figure(e.Original.Result)
	for _, z := range e.Resize {
		w := figure(z.Result)
		if at <= macs && at >= z.MACs && macs > z.MACs {
			return w + (v-w)*float64(at-z.MACs)/float64(macs-z.MACs), true
		}
		macs, v = z.MACs, w
	}
	return 0, false
}
