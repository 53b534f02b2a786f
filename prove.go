package onnxprune

import (
	"errors"
	"maps"
	"slices"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/proof"
)

// prove checks without a run that a pruned model is exactly what the plan makes of the network's model, and that the plan is what the analysis
// makes of its cuts. What does not follow is a *VerifyError.
func (n *Network) prove(p *plan.Plan, pruned *graph.Graph) (*proof.Report, error) {
	if p.Size != nil { // the network is at that size already
		rest := *p
		rest.Size = nil
		p = &rest
	}
	r, err := proof.Check(n.analysisFor(p), p, pruned, proof.Options{})
	var wrong *proof.Fault
	if errors.As(err, &wrong) && wrong.In == "plan" {
		// Plans record the input shapes that they were made at since these can decide what may go; this network may be open at others.
		if at := p.Request.InputShapes; !maps.EqualFunc(at, n.options.InputShapes, slices.Equal) {
			if other, fails := Analyze(n.Model, Options{InputShapes: at, AllowInexact: p.Request.Inexact}); fails == nil {
				r, err = proof.Check(other.Channels, p, pruned, proof.Options{})
			}
		}
	}
	if err != nil {
		return nil, &VerifyError{Msg: "verification failed before anything was run: " + err.Error(), Err: err}
	}
	return r, nil
}

// analysisFor returns the analysis that allows inexact cuts as the plan's request did.
func (n *Network) analysisFor(p *plan.Plan) *channels.Analysis {
	switch p.Request.Inexact {
	case n.options.AllowInexact:
		return n.Channels
	case true:
		return n.inexact()
	}
	return channels.Analyze(n.Graph, n.Shapes, channels.Options{})
}
