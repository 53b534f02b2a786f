package allocation_test

import (
	"errors"
	"math"
	"testing"

	"onnxprune/analysis/allocation"
	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/cost"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/recovery"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/testmodels"
)

func analysed(t *testing.T, m *onnxio.Model) (*channels.Analysis, *shape.Result) {
	t.Helper()
	g, err := graph.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return channels.Analyze(g, s, channels.Options{}), s
}

// chain is four convolutions of 64 channels, and a head.
func chain() *onnxio.Model {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, 32, 32)
	in := 3
	for _, name := range []string{"a", "b", "c", "d"} {
		x = b.Relu(b.Conv(name, x, in, 64, 3))
		in = 64
	}
	b.Output(b.Conv("head", x, 64, 5, 1), onnxio.Float, 1, 5, 32, 32)
	return b.Model()
}

// straight are curves whose error grows by the same for each channel, the same for all groups.
func straight(a *channels.Analysis) []*recovery.Curve {
	var out []*recovery.Curve
	for _, g := range a.Groups {
		if g.Reason != nil {
			continue
		}
		c := &recovery.Curve{Group: g, Classes: g.Classes, Error: []float64{0}}
		for i := range len(g.Classes) * 9 / 10 {
			c.Error = append(c.Error, float64(i+1)/float64(len(g.Classes)))
		}
		out = append(out, c)
	}
	return out
}

// What is left, counted on the model that the plan makes, is the budget within a percent; widths are on the grid.
func TestBudgetsAreMet(t *testing.T) {
	m := chain()
	for _, unit := range []allocation.Unit{allocation.MACs, allocation.Params, allocation.Bytes} {
		for _, share := range []float64{0.9, 0.7, 0.5, 0.3} {
			for _, align := range []int{1, 4} {
				a, s := analysed(t, m)
				meter, err := allocation.NewMeter(a, s, unit)
				if err != nil {
					t.Fatal(err)
				}
				before := count(cost.Of(a.Graph, s), unit)
				if math.Abs(meter.Total()-before) > 0.5 {
					t.Fatalf("%s: the meter counts %v, the model has %v", unit, meter.Total(), before)
				}
				made, err := allocation.Allocate(a, straight(a), meter, share*before, allocation.Options{Align: align})
				if err != nil {
					t.Fatal(err)
				}
				p, err := plan.Build(a, made.Removed)
				if err != nil {
					t.Fatal(err)
				}
				cut, err := rewrite.Apply(m, p)
				if err != nil {
					t.Fatal(err)
				}
				after, shapes := analysed(t, cut)
				left := count(cost.Of(after.Graph, shapes), unit)
				if math.Abs(left-share*before) > 0.01*share*before && align == 1 || left > 1.01*share*before {
					t.Errorf("%s, %v, multiples of %d: %v of %v is left, which is %.3f", unit, share, align, left, before, left/before)
				}
				for _, w := range made.Widths {
					if w.After%align != 0 {
						t.Errorf("%s, %v: a width of %d is no multiple of %d", unit, share, w.After, align)
					}
				}
			}
		}
	}
}

func count(r *cost.Report, unit allocation.Unit) float64 {
	switch unit {
	case allocation.MACs:
		return float64(r.MACs())
	case allocation.Params:
		return float64(r.Params)
	}
	return float64(r.WeightBytes)
}

// The group that the outputs feel least of gives most; what is held gives nothing.
func TestTheCheapestGroupGives(t *testing.T) {
	a, s := analysed(t, chain())
	meter, err := allocation.NewMeter(a, s, allocation.MACs)
	if err != nil {
		t.Fatal(err)
	}
	curves := straight(a)
	held := map[atoms.ID]bool{}
	for _, c := range curves[1].Group.Classes {
		held[c] = true
	}
	made, err := allocation.Allocate(a, curves, meter, 0.8*meter.Total(), allocation.Options{Weights: []float64{1, 0.001, 0.1, 1}, Held: func(c atoms.ID) bool { return held[c] }})
	if err != nil {
		t.Fatal(err)
	}
	w := made.Widths
	if w[1].After != 64 || w[2].After >= 50 || w[0].After < 60 || w[3].After < 60 {
		t.Errorf("the widths are %d, %d, %d, %d; the third should give, the second is held", w[0].After, w[1].After, w[2].After, w[3].After)
	}
}

func TestABudgetOutOfReachSaysWhatIsPossible(t *testing.T) {
	a, s := analysed(t, chain())
	meter, err := allocation.NewMeter(a, s, allocation.MACs)
	if err != nil {
		t.Fatal(err)
	}
	before := meter.Total()
	_, err = allocation.Allocate(a, straight(a), meter, 0.001*before, allocation.Options{})
	var out *allocation.UnreachableError
	if !errors.As(err, &out) || out.Least <= 0.001*before || out.Least > 0.1*before {
		t.Errorf("got %v, want the least that is possible", err)
	}
}
