package verify

// How far the pruned model is from the original itself. The proof says that it equals the original with the removed channels silenced; what silencing
// them changed is another question, and the answer stands beside the proof. How good the pruned model is with real data is a third one, which no
// run on a few inputs answers.

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/heads"
	"onnxprune/runtime/metrics"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
)

// Drift compares the pruned model with the original, on the inputs of the proof.
type Drift struct {
	Outputs    []OutputDrift   `json:"outputs"`
	Detections *DetectionDrift `json:"detections,omitempty"` // where the outputs are a detector's
	Problem    string          `json:"problem,omitempty"`    // why it could not be told
}

// OutputDrift is how far an output is from the original's, in the run in which it is furthest.
type OutputDrift struct {
	Name    string      `json:"name"`
	Shape   []int       `json:"shape"`
	Cosine  float64     `json:"cosine"`  // of the angle between both
	MaxAbs  float64     `json:"max_abs"` // largest absolute difference
	Range   float64     `json:"range"`   // largest magnitude of the original's
	Parts   []PartDrift `json:"parts,omitempty"`
	Problem string      `json:"problem,omitempty"` // shapes that differ: more or fewer boxes, for example
}

// PartDrift is the same for slices of an output that one node makes, where an output joins what several make: boxes and scores.
type PartDrift struct {
	Axis   int     `json:"axis"`
	First  int     `json:"first"` // slice
	Last   int     `json:"last"`
	From   string  `json:"from"` // the node, "" where it can not be told
	Cosine float64 `json:"cosine"`
	MaxAbs float64 `json:"max_abs"`
	Range  float64 `json:"range"`
}

// DetectionDrift counts what a detector finds.
type DetectionDrift struct {
	Head     string  `json:"head"`     // how the outputs are read
	Score    float64 `json:"score"`    // from which a detection counts
	Original int     `json:"original"` // found by the original
	Pruned   int     `json:"pruned"`   // found by the pruned model
	Kept     int     `json:"kept"`     // found by both: the same class, and an IoU of at least 0.5
}

// drift runs the original and compares it with the outputs of the pruned model.
func (c *comparison) drift(ctx context.Context) error {
	original := side{c.opt.Original, "the original"}
	if c.behind != nil {
		original.model, _ = networkOf(original.model).without(c.behind)
	}
	d := &Drift{Outputs: []OutputDrift{}}
	c.report.Original = d
	session, err := c.compile(ctx, original, runtime.Options{})
	if err != nil {
		d.Problem = err.Error()
		return ctx.Err()
	}
	defer session.Close()
	for run := range c.sets {
		was, err := c.alone(ctx, original, session, run)
		if err != nil {
			d.Problem = err.Error()
			return ctx.Err()
		}
		for i, name := range outputNames(c.reference.model) {
			o := c.outputDrift(name, was[name], c.got[run][name])
			switch {
			case run == 0:
				d.Outputs = append(d.Outputs, o)
			case o.Problem != "" || o.Cosine < d.Outputs[i].Cosine && d.Outputs[i].Problem == "":
				d.Outputs[i] = o
			}
		}
		d.detections(original.model, c.sets[run], was, c.got[run])
	}
	return nil
}

// outputDrift compares one output.
func (c *comparison) outputDrift(name string, was, is value.Value) OutputDrift {
	out := OutputDrift{Name: name, Cosine: 1}
	w, ok1 := was.(*value.Tensor)
	g, ok2 := is.(*value.Tensor)
	if !ok1 || !ok2 {
		if !sameShape(was, is) {
			out.Problem = fmt.Sprintf("it is %s, the original's is %s", describe(is), describe(was))
		}
		return out
	}
	out.Shape = w.Shape
	if !slices.Equal(w.Shape, g.Shape) {
		out.Problem = fmt.Sprintf("it has the shape %s, the original's has %s", dims(g.Shape), dims(w.Shape))
		return out
	}
	ws, ok1 := float64s(w)
	gs, ok2 := float64s(g)
	if !ok1 || !ok2 {
		return out
	}
	s := whole(len(ws))
	if w.Type.IsFloat() && len(ws) == w.Len() {
		s = sliced(w.Shape, ws)
	}
	sums := make([]angle, s.n)
	var all angle
	for i := range ws {
		k := i / s.inner % s.n
		sums[k].add(ws[i], gs[i])
	}
	for _, a := range sums {
		all.join(a)
	}
	out.Cosine, out.MaxAbs, out.Range = all.cosine(), all.most, all.top
	if s.axis < 0 {
		return out
	}
	var parts []PartDrift
	var part angle
	for k := 0; k < s.n; k++ {
		from := c.origin(name, s.axis, k)
		if len(parts) == 0 || parts[len(parts)-1].From != from {
			parts, part = append(parts, PartDrift{Axis: s.axis, First: k, From: from}), angle{}
		}
		part.join(sums[k])
		p := &parts[len(parts)-1]
		p.Last, p.Cosine, p.MaxAbs, p.Range = k, part.cosine(), part.most, part.top
	}
	if len(parts) > 1 {
		out.Parts = parts
	}
	return out
}

// angle sums up two vectors.
type angle struct{ dot, ww, gg, most, top float64 }

func (a *angle) add(w, g float64) {
	if d := math.Abs(w - g); d <= math.MaxFloat64 { // numbers in both
		a.dot, a.ww, a.gg = a.dot+w*g, a.ww+w*w, a.gg+g*g
		a.most, a.top = max(a.most, d), max(a.top, math.Abs(w))
	}
}

func (a *angle) join(b angle) {
	a.dot, a.ww, a.gg = a.dot+b.dot, a.ww+b.ww, a.gg+b.gg
	a.most, a.top = max(a.most, b.most), max(a.top, b.top)
}

// cosine is 1 for two zero vectors and 0 where one of them is zero.
func (a *angle) cosine() float64 {
	switch {
	case a.ww > 0 && a.gg > 0:
		return max(-1, min(1, a.dot/math.Sqrt(a.ww)/math.Sqrt(a.gg)))
	case a.ww == a.gg:
		return 1
	}
	return 0
}

// detections reads a detector's outputs of one run, and counts what both models find. Nothing is counted where no head fits.
func (d *Drift) detections(m *onnxio.Model, in []feed.Input, was, is values) {
	at, ok := canvas(in)
	if !ok {
		return
	}
	head, err := heads.Find(m, was, heads.Options{Width: at.CanvasWidth, Height: at.CanvasHeight})
	if err != nil || head.Task != heads.Detection {
		return
	}
	old, err1 := head.Detect(was, at)
	new, err2 := head.Detect(is, at)
	if err1 != nil || err2 != nil {
		return
	}
	old, new = sure(old), sure(new)
	if d.Detections == nil {
		d.Detections = &DetectionDrift{Head: head.Name, Score: metrics.FidelityScore}
	}
	d.Detections.Original += len(old)
	d.Detections.Pruned += len(new)
	d.Detections.Kept += foundAgain(old, new)
}

// canvas is where a picture lies that fills the model's first input of pictures.
func canvas(in []feed.Input) (detection.Placement, bool) {
	for _, i := range in {
		t, ok := i.Value.(*value.Tensor)
		if !ok {
			continue
		}
		if a, ok := preprocess.AxesOf(t.Type, t.Shape); ok {
			h, w := t.Shape[a.Height], t.Shape[a.Width]
			return detection.Placement{Width: w, Height: h, CanvasWidth: w, CanvasHeight: h, ScaleX: 1, ScaleY: 1}, true
		}
	}
	return detection.Placement{}, false
}

func sure(all []detection.Detection) []detection.Detection {
	return slices.DeleteFunc(all, func(d detection.Detection) bool { return !(d.Score >= metrics.FidelityScore) })
}

// foundAgain counts the detections of old that new has too. Each takes the best of those that are left, the surest first.
func foundAgain(old, new []detection.Detection) int {
	const least = 0.5 // IoU
	taken := make([]bool, len(new))
	n := 0
	for _, o := range old {
		best, at := least, -1
		for i, d := range new {
			if iou := o.Box.IoU(d.Box); !taken[i] && d.Class == o.Class && iou >= best && (at < 0 || iou > best) {
				best, at = iou, i
			}
		}
		if at >= 0 {
			taken[at] = true
			n++
		}
	}
	return n
}

// String says it in a sentence's part, with what is furthest from the original.
func (d *Drift) String() string {
	if d.Problem != "" {
		return "the original itself did not run beside it: " + d.Problem
	}
	var out []string
	for _, o := range d.Outputs {
		switch {
		case o.Problem != "":
			out = append(out, fmt.Sprintf("%q: %s", o.Name, o.Problem))
		case o.MaxAbs == 0:
		case len(o.Parts) > 0:
			var parts []string
			for _, p := range o.Parts {
				slices := fmt.Sprintf("slices %d to %d", p.First, p.Last)
				if p.First == p.Last {
					slices = fmt.Sprintf("slice %d", p.First)
				}
				parts = append(parts, fmt.Sprintf("%s%s cosine %s, by up to %.3g of %.3g", slices, madeBy(p.From), cosine(p.Cosine), p.MaxAbs, p.Range))
			}
			out = append(out, fmt.Sprintf("%q, %s", o.Name, listed(parts)))
		default:
			out = append(out, fmt.Sprintf("%q cosine %s, by up to %.3g of %.3g", o.Name, cosine(o.Cosine), o.MaxAbs, o.Range))
		}
	}
	text := "against the original itself, the outputs are the same"
	if out != nil {
		text = "against the original itself, outputs differ: " + listed(out)
	}
	if k := d.Detections; k != nil {
		if k.Original == 0 {
			return text + "; the original detects nothing in these inputs"
		}
		text += fmt.Sprintf("; %d of %d detections are kept", k.Kept, k.Original)
	}
	return text
}

// cosine shows as many digits as it takes to see that it is not 1.
func cosine(c float64) string {
	digits := 3
	for d := 1e-3; 1-c < d && digits < 7; d /= 10 {
		digits++
	}
	return strings.TrimSuffix(strconv.FormatFloat(c, 'f', digits, 64), ".")
}
