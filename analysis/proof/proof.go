// Package proof proves a pruned model against its original and the plan without running either: whatever the pruned model holds must be
// the original's, but for what the plan changes, and whatever the plan changes must be what removing its channels changes.
//
// It is the second opinion on package rewrite, and shares no code with it. Where rewrite edits a copy of the original, this package
// walks both models side by side and explains the pruned one, piece by piece:
//
//   - the plan is made anew from the channels that it says go (plan.go);
//   - every node of the original has its counterpart, or lost its last reader to the plan (nodes.go);
//   - every input of a node reads what the original's reads, or what the plan put there (reading.go, elements.go);
//   - every tensor is, bit by bit, the original's slices (content.go), every attribute the original's (attribute.go);
//   - what the plan stores in place of a computation is what the original computes there (folded.go);
//   - what is declared, and all the rest of the file, is the original's but for shapes (declared.go);
//   - nothing else stands in the pruned model (nodes.go).
//
// Values of the two models are counterparts of one another when they have the same place in the graphs; names of what the user knows
// stay the same too.
package proof

import (
	"fmt"
	"slices"
	"time"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
)

// Options of Check.
type Options struct {
	Repaired []string // tensors of the original whose values may differ after the cut; their types and shapes may not
	Threads  int      // of the comparison of tensors; 0: one for each processor
}

// Report counts what was compared.
type Report struct {
	Nodes   int           `json:"nodes"`    // of the original, those of bodies and functions included
	Tensors int           `json:"tensors"`  // readings of constants that were compared with the original's content
	Cut     int           `json:"cut"`      // of them, those that lost slices
	Bytes   int64         `json:"bytes"`    // of their content in the pruned model
	Free    int           `json:"repaired"` // of the tensors, those whose values were allowed to differ
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Fault is the first thing found that does not follow from the original and the plan.
type Fault struct {
	In   string // "plan" or "model"
	Text string
}

func (f *Fault) Error() string {
	if f.In == "plan" {
		return "the plan does not follow from the original: " + f.Text
	}
	return "the pruned model is not what the original and the plan make it: " + f.Text
}

func fault(format string, args ...any) error {
	return &Fault{In: "model", Text: fmt.Sprintf(format, args...)}
}

// Check proves that pruned is exactly what the plan makes of the original, and that the plan changes exactly what removing
// its channels changes. The analysis of the original must allow inexact cuts where the plan's request did. A *Fault
// names the first tensor, node or entry of the plan that differs.
func Check(original *channels.Analysis, p *plan.Plan, pruned *graph.Graph, opt Options) (*Report, error) {
	start := time.Now()
	planned := make(chan error, 1)
	go func() { planned <- checkPlan(original, p) }() // nothing of the analysis that it looks up is looked up here
	c := newChecker(original, p, pruned, opt)
	err := c.model()
	if wrong := <-planned; wrong != nil { // what a wrong plan makes is beside the point
		return nil, wrong
	}
	if err != nil {
		return nil, err
	}
	c.report.Nodes = len(c.o.Nodes)
	c.report.Elapsed = time.Since(start)
	return &c.report, nil
}

// model compares the two models.
func (c *checker) model() error {
	for _, step := range []func() error{c.file, c.workOut, c.nodes, c.declarations, c.contents} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// checker compares the original o with the pruned model p.
type checker struct {
	a      *channels.Analysis
	plan   *plan.Plan
	o, p   *graph.Graph
	opt    Options
	report Report

	// The plan, by what it is about.
	cuts       map[string][]*plan.Tensor // by tensor
	attributes map[string][]*plan.Attribute
	operands   map[plan.Use]*plan.Operand
	freezes    map[string]*plan.Freeze // by value
	folds      map[*graph.Value]folded // values that the plan makes constants

	// What is known of the two graphs so far.
	peer      []*graph.Value              // by Value.ID: of the original's values in the pruned model
	origin    []*graph.Value              // and back
	pair      map[*graph.Node]*graph.Node // of the original's nodes in the pruned model
	kept      map[*onnxio.Node]bool       // nodes of the pruned main graph that have a counterpart
	explained map[*onnxio.Node]bool       // and those that the plan accounts for
	constants map[*graph.Value]bool       // of the pruned main graph: accounted for
	replaced  map[graph.Use]bool          // readings of the original that the plan gave something else
	mended    map[graph.Use]map[int]int64 // elements of integer constants that the plan changes, by reading
	inlined   bool                        // calls of functions were replaced by their nodes
	external  bool                        // data may lie outside of the files, so that equal messages prove nothing

	jobs []job
	done map[comparison]bool
}

func newChecker(a *channels.Analysis, p *plan.Plan, pruned *graph.Graph, opt Options) *checker {
	c := &checker{a: a, plan: p, o: a.Graph, p: pruned, opt: opt,
		cuts: map[string][]*plan.Tensor{}, attributes: map[string][]*plan.Attribute{}, operands: map[plan.Use]*plan.Operand{}, freezes: map[string]*plan.Freeze{},
		peer: make([]*graph.Value, len(a.Graph.Values)), origin: make([]*graph.Value, len(pruned.Values)), pair: make(map[*graph.Node]*graph.Node, len(a.Graph.Nodes)),
		kept: map[*onnxio.Node]bool{}, explained: map[*onnxio.Node]bool{}, constants: map[*graph.Value]bool{},
		replaced: map[graph.Use]bool{}, mended: map[graph.Use]map[int]int64{}, done: map[comparison]bool{}}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		c.cuts[t.Name] = append(c.cuts[t.Name], t)
	}
	for i := range p.Attributes {
		at := &p.Attributes[i]
		c.attributes[at.Node] = append(c.attributes[at.Node], at)
	}
	for i := range p.Operands {
		c.operands[p.Operands[i].Use] = &p.Operands[i]
	}
	c.folds = map[*graph.Value]folded{}
	for i := range p.Freezes {
		c.freezes[p.Freezes[i].Value] = &p.Freezes[i]
	}
	for _, m := range []*onnxio.Model{c.o.Model, c.p.Model} {
		c.external = c.external || slices.ContainsFunc(m.Tensors(), func(t *onnxio.Tensor) bool { return t.External != nil })
	}
	return c
}

// useOf names a reading as plans do.
func useOf(n *graph.Node, input int) plan.Use { return plan.Use{Node: n.Path, Input: input} }

// peerOf is the counterpart of one of the original's values, nil for none.
func (c *checker) peerOf(o *graph.Value) *graph.Value {
	if o == nil {
		return nil
	}
	return c.peer[o.ID]
}

// originOf is the value of the original whose counterpart p is, nil for none.
func (c *checker) originOf(p *graph.Value) *graph.Value {
	if p == nil {
		return nil
	}
	return c.origin[p.ID]
}

// match makes two values counterparts.
func (c *checker) match(o, p *graph.Value) {
	if o != nil && p != nil {
		c.peer[o.ID], c.origin[p.ID] = p, o
	}
}
