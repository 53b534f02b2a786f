package proof

import (
	"onnxprune/analysis/fold"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
)

// folded is a value that the original computes from constants, and that the plan stores as a constant.
type folded struct {
	tensor *onnxio.Tensor // before the cut
	cut    *plan.Tensor
}

// workOut computes the values that the plan folds out of the original's constants.
func (c *checker) workOut() error {
	if len(c.plan.Folds) == 0 {
		return nil
	}
	values := fold.New(c.o, c.a.Shapes)
	byName := map[string]*graph.Value{}
	for _, v := range c.o.Values {
		byName[v.FullName()] = v
	}
	for _, f := range c.plan.Folds {
		v := byName[f.Value]
		if v == nil || v.Producer == nil || v.Constant() || !values.Can(v) {
			return planFault("it folds %q, which the original does not compute from constants", f.Value)
		}
		t, err := values.Of(v)
		if err != nil {
			return planFault("it folds %q: %v", f.Value, err)
		}
		c.folds[v] = folded{t.Proto(v.Name), &plan.Tensor{Name: f.Value, Shape: f.Shape, Keep: f.Keep}}
	}
	return nil
}

// constantly reports whether what is read as v is to be a constant.
func (c *checker) constantly(v *graph.Value) bool { return v.Constant() || c.folds[v].tensor != nil }

// tensorOf is the content of a constant before the cut.
func (c *checker) tensorOf(v *graph.Value) *onnxio.Tensor {
	if f, ok := c.folds[v]; ok {
		return f.tensor
	}
	return v.Tensor
}
