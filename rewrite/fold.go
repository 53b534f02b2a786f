package rewrite

import (
	"fmt"
	"slices"

	"onnxprune/analysis/fold"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// workOut computes the values that the plan folds, on the model as it is before any cut. On another checkpoint they are that
// checkpoint's own.
func (e *editor) workOut(list []plan.Fold) ([]*fold.Tensor, error) {
	if len(list) == 0 {
		return nil, nil
	}
	shapes, err := shape.Infer(e.graph, shape.Options{})
	if err != nil {
		return nil, err
	}
	values := fold.New(e.graph, shapes)
	out := make([]*fold.Tensor, len(list))
	for i, f := range list {
		v, err := e.value(f.Value)
		if err != nil {
			return nil, err
		}
		if v.Producer == nil || v.Constant() || !values.Can(v) {
			return nil, fmt.Errorf("the plan does not fit the model: %q is not computed from constants", f.Value)
		}
		t, err := values.Of(v)
		if err != nil {
			return nil, err
		}
		dims := make([]int64, len(t.Shape))
		for k, d := range t.Shape {
			dims[k] = int64(d)
		}
		if !slices.Equal(dims, f.Shape) || int32(t.Type) != f.Type {
			return nil, fmt.Errorf("the plan does not fit the model: %q is %v%v, the plan was made for %v%v", f.Value, t.Type, dims, onnxio.DataType(f.Type), f.Shape)
		}
		out[i] = t
	}
	return out, nil
}

// store puts what was worked out in the place of what is computed, cut as the plan says.
func (e *editor) store(f plan.Fold, t *fold.Tensor) error {
	v := e.values[f.Value]
	kept, err := keepLists(plan.Tensor{Name: f.Value, Shape: f.Shape, Keep: f.Keep})
	if err != nil {
		return err
	}
	stored := t.Proto(v.Name)
	if err := stored.Cut(kept); err != nil {
		return err
	}
	p := v.Producer.Proto
	computed := e.fresh(v.Name + "_computed")
	outs := slices.Clone(p.Outputs)
	outs[v.Index] = computed
	p.SetOutputs(outs...)
	e.addConstant(stored)
	e.replaced = append(e.replaced, &graph.Value{ID: -1, Name: computed, Scope: v.Scope, Producer: v.Producer})
	return nil
}
