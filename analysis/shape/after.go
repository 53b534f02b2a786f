package shape

import (
	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// After infers the model as it would be after a cut whose effect on shapes is known already: dims returns the
// extents of a value after the cut, nil where they stay what base says. What is inferred anew is the content of small tensors:
// the numbers that chains of Shape, Gather, Mul and Concat will compute. Contradictions are no errors here, since
// they are what the caller looks for; what they concern is left unknown.
//
// base must come from Infer on the same graph and options.
func After(g *graph.Graph, base *Result, dims func(v *graph.Value) []Dim) *Result {
	inf := &inference{res: &Result{infos: make([]Info, len(g.Values))}}
	inf.after = func(v *graph.Value) *Info {
		in := *base.Of(v)
		if ds := dims(v); ds != nil {
			in.Dims = ds
		}
		return &in
	}
	for _, v := range g.Values {
		if v.Constant() || v.Input {
			in := *inf.after(v)
			if ds := dims(v); ds != nil {
				in.Nums = nil
			}
			inf.res.infos[v.ID] = in
		}
	}
	_ = inf.scope(g.Main, 0, true) // lenient: its error is a contradiction that the caller mends
	return inf.res
}

// override sets what is known of a value's extents beforehand.
func (inf *inference) override(v *graph.Value) {
	if inf.after == nil {
		return
	}
	in, known := &inf.res.infos[v.ID], inf.after(v)
	if known.Kind != onnxio.KindTensor || !known.Known {
		return
	}
	nums := in.Nums
	*in = Info{Kind: known.Kind, Elem: known.Elem, Known: true, Dims: known.Dims}
	if n, ok := in.Len(); ok {
		if c, ok := n.Const(); ok && int64(len(nums)) == c {
			in.Nums = nums
		}
	}
}
