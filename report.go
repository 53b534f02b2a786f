package onnxprune

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"onnxprune/analysis/cost"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/proof"
	"onnxprune/analysis/selection"
	"onnxprune/onnxio"
	"onnxprune/runtime/verify"
)

// Report says what a prune did. Its JSON form is what --json prints; docs/json.md describes it.
type Report struct {
	Tool         string             `json:"tool"` // "onnxprune 0.1.0"
	Input        string             `json:"input"`
	Output       string             `json:"output,omitempty"` // "" where nothing was written
	DryRun       bool               `json:"dry_run"`
	Request      plan.Request       `json:"request"`
	Size         *SizeReport        `json:"size,omitempty"`      // where the input size changed
	Allocated    *Allocated         `json:"allocated,omitempty"` // where ratios follow from sensitivity curves
	Plan         string             `json:"plan,omitempty"`      // the plan file that was replayed
	PlanOut      string             `json:"plan_out,omitempty"`  // the plan file that was written
	Cuts         []plan.Cut         `json:"cuts"`
	Weights      []WeightLoss       `json:"weights"` // every weight that lost output channels, the worst first
	Tensors      []TensorCut        `json:"tensors"` // every constant that lost slices
	Left         []Left             `json:"left,omitempty"`
	InputShapes  []InputShape       `json:"input_shapes"` // at which MACs are counted
	Before       Cost               `json:"before"`
	After        Cost               `json:"after"`
	Calibration  *CalibrationReport `json:"calibration,omitempty"`
	Budget       *BudgetReport      `json:"budget,omitempty"`
	Widths       []Width            `json:"widths,omitempty"` // of the groups that a budget narrowed, in graph order
	Verification Verification       `json:"verification"`
	Repair       *RepairReport      `json:"repair,omitempty"`
	Accuracy     Accuracy           `json:"accuracy"`
	Bench        *BenchReport       `json:"bench,omitempty"` // latency of the input and the output
	Stages       []Stage            `json:"stages"`
	Warnings     []string           `json:"warnings,omitempty"` // what is likely not wanted
	Notes        []string           `json:"notes,omitempty"`
}

// TensorCut is a constant that lost slices.
type TensorCut struct {
	Name   string  `json:"name"`
	Before []int64 `json:"before"` // its shape
	After  []int64 `json:"after"`
	Copy   bool    `json:"copy,omitempty"` // only some of its readers see the cut; they read a copy
}

// Left counts the weights that a pattern matched and that can not be pruned.
type Left struct {
	Pattern string   `json:"pattern"`
	Matched int      `json:"matched"`
	Taken   int      `json:"taken"`
	Reasons []Reason `json:"reasons"`
}

// Reason is why weights can not be pruned, and how many of them.
type Reason struct {
	Text  string `json:"text"`
	Count int    `json:"count"`
}

// Cost is what a model costs: multiply-accumulates by kind of layer, parameters, bytes.
type Cost struct {
	MACs              int64 `json:"macs"` // the sum of the next three
	ConvMACs          int64 `json:"conv_macs"`
	ConvTransposeMACs int64 `json:"conv_transpose_macs"`
	LinearMACs        int64 `json:"linear_macs"`
	BodyMACs          int64 `json:"body_macs"`   // of one pass of every control-flow body, in none of the others
	OpenLayers        int   `json:"open_layers"` // layers with an extent that only a run knows: it counts as 1
	Params            int64 `json:"params"`
	ParamTensors      int   `json:"param_tensors"`
	WeightBytes       int64 `json:"weight_bytes"`
	FileBytes         int64 `json:"file_bytes"` // of the model with its external data
}

// Stage is one step of the work, and how long it took.
type Stage struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"`
}

// The modes of verification.
const (
	VerifyMasked = "masked" // run the pruned model against the masked original
	VerifyLoad   = "load"   // load what was written, and check its shapes
	VerifyOff    = "off"
)

// Verification says how far the result was proven.
type Verification struct {
	Mode       string         `json:"mode"`
	Status     string         `json:"status"` // "passed", "not verified"
	Summary    string         `json:"summary"`
	Static     *proof.Report  `json:"static,omitempty"`    // what was compared without a run
	SizeBack   string         `json:"size_back,omitempty"` // what a change back to the original's input size gives
	Comparison *verify.Report `json:"comparison,omitempty"`
	Notes      []string       `json:"notes,omitempty"` // the pruned file says that it comes from another original, or another plan
}

func costs(c *cost.Report, m *onnxio.Model) Cost {
	bytes := m.Size() + externalBytes(m)
	return Cost{MACs: c.MACs(), ConvMACs: c.ConvMACs, ConvTransposeMACs: c.TransposeMACs, LinearMACs: c.LinearMACs, BodyMACs: c.BodyMACs,
		OpenLayers: c.Open, Params: c.Params, ParamTensors: c.ParamTensors, WeightBytes: c.WeightBytes, FileBytes: bytes}
}

// externalBytes is what a model's tensors take in files beside it.
func externalBytes(m *onnxio.Model) int64 {
	n := int64(0)
	for _, t := range m.Tensors() {
		if t.External != nil {
			n += t.Size()
		}
	}
	return n
}

func tensorCuts(p *plan.Plan) []TensorCut {
	out := []TensorCut{}
	for _, t := range p.Tensors {
		c := TensorCut{Name: t.Name, Before: shapeOf(t.Shape), After: shapeOf(t.Shape), Copy: len(t.Uses) > 0}
		for axis, keep := range t.Keep {
			if axis >= 0 && axis < len(c.After) { // a plan file may say anything
				c.After[axis] = int64(len(keep))
			}
		}
		out = append(out, c)
	}
	return out
}

func leftOf(list []selection.Left) []Left {
	var out []Left
	for _, l := range list {
		e := Left{Pattern: l.Pattern, Matched: l.Matched, Taken: l.Taken, Reasons: []Reason{}}
		for text, n := range l.Reasons {
			e.Reasons = append(e.Reasons, Reason{text, n})
		}
		byCount(e.Reasons)
		out = append(out, e)
	}
	return out
}

// byCount puts the most frequent reason first.
func byCount(rs []Reason) {
	slices.SortFunc(rs, func(a, b Reason) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text)) })
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// clock times stages.
type clock struct {
	stages []Stage
	begin  func(string)
}

func (c *clock) run(name string, f func() error) error {
	if c.begin != nil {
		c.begin(name)
	}
	start := time.Now()
	err := f()
	c.stages = append(c.stages, Stage{name, time.Since(start).Seconds()})
	return err
}
