package onnxprune

// The accuracy of a prune on labelled data: of the original, of the cut, of what was repaired, and of the original with a smaller input.

import (
	"context"
	"fmt"
	"math"
	"sync"

	"onnxprune/onnxio"
	"onnxprune/runtime/dataset"
	"onnxprune/runtime/evaluation"
	"onnxprune/runtime/feed"
)

// Accuracy says what is known of how good the pruned model still is: without data nothing.
type Accuracy struct {
	Measured bool         `json:"measured"`
	Summary  string       `json:"summary"`
	Figures  *Measurement `json:"figures,omitempty"`
}

// Measurement is how good a model was and is on a data set. Without labels that is how near it is to the original, whose own figure is 1.
type Measurement struct {
	Data     string           `json:"data"`
	Metric   string           `json:"metric"`
	Labels   bool             `json:"labels"` // the data set has some; else the metric compares with the original
	Pictures int              `json:"pictures"`
	Broken   []dataset.Broken `json:"broken"` // samples that could not be read; they are in no figure
	Engine   string           `json:"engine"`

	Original Figures       `json:"original"`
	Cut      *Figures      `json:"cut,omitempty"` // before the repair, where there was one
	Pruned   Figures       `json:"pruned"`
	Kept     float64       `json:"kept"`                    // of the original's figure, a share
	Smaller  *SmallerInput `json:"smaller_input,omitempty"` // the rival, where it could be measured
}

// Figures are what a model costs, and how good it is.
type Figures struct {
	MACs   int64    `json:"macs"`
	Params int64    `json:"params"`
	Bytes  int64    `json:"bytes"`
	Value  float64  `json:"value"`           // of the metric
	AP50   *float64 `json:"map50,omitempty"` // of detectors on data with boxes
}

func figures(m *Measured) Figures {
	return Figures{MACs: m.MACs, Params: m.Params, Bytes: m.Bytes, Value: m.Value, AP50: ap50(m.Result)}
}

func ap50(r *evaluation.Result) *float64 {
	if r.COCO == nil {
		return nil
	}
	return &r.COCO.AP50
}

// SmallerInput is what the original would give with a smaller input that takes the MACs of the pruned model: a line between the two sizes nearest to it.
type SmallerInput struct {
	MACs   int64       `json:"macs"`
	Value  float64     `json:"value"`
	AP50   *float64    `json:"map50,omitempty"`
	Better bool        `json:"better"` // it keeps more than the prune does
	Sizes  []InputSize `json:"sizes"`  // that were measured, the largest first
}

// InputSize is how good the original is on pictures that were resized for a smaller input.
type InputSize struct {
	Width  int     `json:"width"`
	Height int     `json:"height"`
	MACs   int64   `json:"macs"`
	Value  float64 `json:"value"`
}

// unmeasured says how the accuracy of a prune without data is measured.
func unmeasured(out string, same bool) Accuracy {
	switch {
	case same:
		return Accuracy{Summary: "accuracy is that of the input, which the output equals byte for byte"}
	case out == "":
		out = "OUT"
	}
	return Accuracy{Summary: fmt.Sprintf("accuracy was not measured; `onnxprune eval %s --data DIR` does", out)}
}

// data opens the data set, so that one that does not suit the model is refused before the work.
func (p *pruning) data(ctx context.Context) (err error) {
	if p.size != nil { // two originals, and pictures of two sizes
		return usage("--data measures a prune at the model's own input size; measure %s by `onnxprune eval %s --data %s --against %s`", p.out, p.out, p.opt.Data.Path, p.in)
	}
	p.gauge, err = newGauge(ctx, p.model, p.opt.Data, p.opt.InputShapes, p.opt.Engine)
	return err
}

// measure runs the original, the cut and the repaired model over the data set, and the original on smaller pictures.
func (p *pruning) measure(ctx context.Context) error {
	if p.plan.Empty() {
		return nil
	}
	stage, step := p.counted()
	e := &evaluating{opt: EvaluateOptions{Options: p.opt.Options, Data: p.opt.Data, Engine: p.opt.Engine, Stage: stage, Progress: step}, gauge: p.gauge,
		networks: []*Network{p.network}, files: []string{p.in}}
	add := func(m *onnxio.Model, file string) error {
		n, err := Analyze(m, p.opt.Options)
		e.networks, e.files = append(e.networks, n), append(e.files, file)
		return err
	}
	if p.cut != p.pruned {
		if err := add(p.cut, p.out+" before the repair"); err != nil {
			return err
		}
	}
	if err := add(p.pruned, p.out); err != nil {
		return err
	}
	e.report()
	all, err := e.measure(ctx)
	if err != nil {
		return err
	}
	e.out.Original, e.out.Result = all[0], all[len(all)-1]
	out := &Measurement{Data: p.opt.Data.Path, Metric: e.out.Result.Metric, Pictures: e.out.Result.Pictures, Broken: e.out.Broken, Engine: e.out.Engine,
		Original: figures(all[0]), Pruned: figures(e.out.Result), Kept: e.out.Result.Value}
	if len(all) == 3 {
		cut := figures(all[1])
		out.Cut = &cut
	}
	if evaluation.KindOf(p.gauge.set, p.gauge.reader.Head) == evaluation.Fidelity {
		out.Original.Value = 1
	} else {
		out.Labels = true
		out.Kept = out.Pruned.Value / out.Original.Value
		if math.IsNaN(out.Kept) || math.IsInf(out.Kept, 0) { // the original finds nothing
			out.Kept = 0
		}
		if out.Smaller, err = e.smaller(ctx); err != nil {
			return err
		}
	}
	p.report.Accuracy = Accuracy{Measured: true, Summary: out.summary(), Figures: out}
	for _, n := range p.gauge.notes {
		p.note("%s", n)
	}
	return nil
}

// counted returns what tells the progress of passes over the data set; nil where nobody listens.
func (p *pruning) counted() (stage func(string, int), step func()) {
	if p.opt.Compare.Progress == nil {
		return nil, nil
	}
	var mu sync.Mutex
	done, total, what := 0, 0, ""
	tell := func(name string, n, of int) {
		mu.Lock()
		defer mu.Unlock()
		if name != "" {
			what, total, done = name, of, 0
		}
		done += n
		p.opt.Compare.Progress(done, total, what)
	}
	return func(name string, pictures int) { tell(name, 0, pictures) }, func() { tell("", 1, 0) }
}

// smaller measures the two sizes of the resize baseline between which the MACs of the result lie.
func (e *evaluating) smaller(ctx context.Context) (*SmallerInput, error) {
	if e.gauge.prepare == nil || e.out.Result.MACs >= e.out.Original.MACs {
		return nil, nil
	}
	width, height, err := e.gauge.canvas(ctx)
	if err != nil {
		return nil, err
	}
	longer := max(width, height)
	sizes := e.sizes(longer)
	for i, size := range sizes {
		share := float64(size) / float64(longer)
		if share*share*float64(e.out.Original.MACs) <= float64(e.out.Result.MACs) {
			e.opt.Sizes = sizes[max(i-1, 0) : i+1]
			break
		}
	}
	if len(e.opt.Sizes) == 0 { // less than half the size
		return nil, nil
	}
	if err := e.resize(ctx); err != nil {
		return nil, err
	}
	v, ok := e.out.Rival()
	if !ok {
		return nil, nil
	}
	out := &SmallerInput{MACs: e.out.Result.MACs, Value: v, Better: v > e.out.Result.Value}
	for _, z := range e.out.Resize {
		out.Sizes = append(out.Sizes, InputSize{z.Width, z.Height, z.MACs, z.Value})
	}
	if e.out.Result.COCO != nil {
		v, _ := e.out.rival(func(r *evaluation.Result) float64 { return r.COCO.AP50 })
		out.AP50 = &v
	}
	return out, nil
}

// summary is the measurement in a sentence.
func (m *Measurement) summary() string {
	on := fmt.Sprintf("on %d pictures of %s", m.Pictures, m.Data)
	if !m.Labels {
		return fmt.Sprintf("%s %.4f %s", m.Metric, m.Pruned.Value, on)
	}
	text := fmt.Sprintf("%s %.4f of %.4f, %.0f %% kept, %s", m.Metric, m.Pruned.Value, m.Original.Value, 100*m.Kept, on)
	if m.Cut != nil {
		text += fmt.Sprintf("; %.4f before the repair", m.Cut.Value)
	}
	if s := m.Smaller; s != nil {
		text += fmt.Sprintf("; a smaller input gives %.4f at the same MACs", s.Value)
		if s.Better {
			text += ": prefer that to this prune"
		}
	}
	return text
}

// samples are the pictures that a comparison runs on where no files are named: those of the calibration in which the original detects something,
// else those of the data set; nil for random inputs.
func (p *pruning) samples(ctx context.Context, n int) ([]feed.Sample, error) {
	var out []feed.Sample
	if s := p.recovering.pictures; s != nil {
		for _, i := range s.telling() {
			if len(out) < n {
				out = append(out, feed.Sample{Values: s.items[i].Inputs, From: fmt.Sprintf("%s of the calibration pictures", s.items[i].Sample.Name)})
			}
		}
	}
	if len(out) > 0 || p.gauge == nil {
		return out, nil
	}
	for item, err := range p.gauge.loader(1).All(ctx) {
		if err != nil {
			return nil, err
		}
		out = append(out, feed.Sample{Values: item.Inputs, From: fmt.Sprintf("%s of the data set", item.Sample.Name)})
		if len(out) == n {
			break
		}
	}
	return out, nil
}

// telling lists the pictures in which the original is sure to detect something; all where there are none. Pictures that only stand in say
// nothing then.
func (s *sampled) telling() []int {
	var sure, all []int
	for i := range s.items {
		all = append(all, i)
		if s.found == nil {
			continue
		}
		for _, d := range s.found[i] {
			if d.Score >= DrawnScore {
				sure = append(sure, i)
				break
			}
		}
	}
	switch {
	case len(sure) > 0:
		return sure
	case s.report.StandIn:
		return nil
	}
	return all
}
