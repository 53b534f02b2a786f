package proof

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
)

// comparison is one constant of the pruned model as what one of the original's is to become.
type comparison struct {
	o, p *graph.Value
	cut  *plan.Tensor // nil: as it is
}

// job is a comparison of content that is still to be done. All are done at the end, on all processors.
type job struct {
	comparison
	reader string
}

// cutOf returns the plan's cut of a constant for one reading (none: Input -1), nil where that reading sees it as it is.
func (c *checker) cutOf(v *graph.Value, use graph.Use) *plan.Tensor {
	if f, ok := c.folds[v]; ok {
		return f.cut
	}
	var all *plan.Tensor
	for _, t := range c.cuts[v.FullName()] {
		switch {
		case len(t.Uses) == 0:
			all = t
		case use.Node != nil && slices.Contains(t.Uses, useOf(use.Node, use.Input)):
			return t
		}
	}
	return all
}

// constant checks that w holds what the reading of the constant v is to see.
func (c *checker) constant(use graph.Use, v, w *graph.Value) error {
	reader := "the model"
	if use.Node != nil {
		reader = use.Node.Title()
	}
	o := c.originOf(w)
	if !w.Constant() || o != nil && o != v {
		return fault("input %d of %s is %s, and should be %s", use.Input, reader, named(w), named(v))
	}
	c.constants[w] = true
	c.replaced[use] = c.replaced[use] || o == nil
	if v.Sparse != nil || w.Sparse != nil {
		if v.Sparse == nil || w.Sparse == nil {
			return fault("input %d of %s, %s, is sparse in one of the models only", use.Input, reader, named(v))
		}
		if why := sparseAsItIs(v.Sparse, w.Sparse); why != "" {
			return fault("%s", why)
		}
		return nil
	}
	if over := c.mended[use]; over != nil && use.Node != nil {
		return c.mendedConstant(use, v, w, over)
	}
	k := comparison{v, w, c.cutOf(v, use)}
	if !c.done[k] {
		c.done[k] = true
		c.jobs = append(c.jobs, job{k, reader})
	}
	return nil
}

// contents compares the tensors, and returns the first fault in the order in which they were met.
func (c *checker) contents() error {
	faults := make([]error, len(c.jobs))
	var next atomic.Int64
	var wait sync.WaitGroup
	threads := c.opt.Threads
	if threads < 1 {
		threads = runtime.GOMAXPROCS(0)
	}
	for range min(threads, len(c.jobs)) {
		wait.Go(func() {
			for i := next.Add(1) - 1; int(i) < len(c.jobs); i = next.Add(1) - 1 {
				faults[i] = c.content(c.jobs[i])
			}
		})
	}
	wait.Wait()
	for i, err := range faults {
		if err != nil {
			return err
		}
		j := c.jobs[i]
		c.report.Tensors++
		c.report.Bytes += j.p.Tensor.Size()
		if j.cut != nil {
			c.report.Cut++
		}
		if c.free(j.o) {
			c.report.Free++
		}
	}
	return nil
}

// free reports whether the values of a tensor may differ.
func (c *checker) free(v *graph.Value) bool { return slices.Contains(c.opt.Repaired, v.FullName()) }

func (c *checker) content(j job) error {
	o, p := c.tensorOf(j.o), j.p.Tensor
	if j.cut == nil && o.External == nil && p.External == nil && onnxio.Same(o, p) {
		return nil
	}
	name := fmt.Sprintf("the tensor %q", j.o.FullName())
	if c.originOf(j.p) == nil {
		name = fmt.Sprintf("the tensor %q, which stands for %q where %s reads it,", j.p.FullName(), j.o.FullName(), j.reader)
	} else if o.Name != p.Name && !(c.inlined && j.p.InBody()) {
		return fault("%s is called %q", name, p.Name)
	}
	keep, dims, err := kept(o, j.cut)
	if err != nil {
		return err
	}
	if why := sameForm(o, p, dims); why != "" {
		return fault("%s %s", name, why)
	}
	if c.free(j.o) {
		return nil
	}
	if why := sameContent(o, p, keep); why != "" {
		return fault("%s is not what the original's is cut to: %s", name, why)
	}
	return nil
}

// kept returns, along every axis, the indices of a tensor that stay (nil: all), and its extents then.
func kept(t *onnxio.Tensor, cut *plan.Tensor) (keep [][]int, dims []int64, err error) {
	keep, dims = make([][]int, len(t.Dims)), slices.Clone(t.Dims)
	if cut == nil {
		return keep, dims, nil
	}
	for k, ks := range cut.Keep {
		if k < 0 || k >= len(dims) {
			return nil, nil, planFault("it cuts axis %d of %q, which has %d axes", k, cut.Name, len(dims))
		}
		for _, i := range ks {
			if i < 0 || int64(i) >= t.Dims[k] {
				return nil, nil, planFault("it keeps index %d of axis %d of %q, which has the shape %v", i, k, cut.Name, t.Dims)
			}
		}
		keep[k], dims[k] = ks, int64(len(ks))
	}
	return keep, dims, nil
}

// sameForm says how a tensor differs in what is not its content; "" for not at all.
func sameForm(o, p *onnxio.Tensor, dims []int64) string {
	switch {
	case o.DataType != p.DataType:
		return fmt.Sprintf("is of %v, and should be of %v", p.DataType, o.DataType)
	case !slices.Equal(p.Dims, dims):
		return fmt.Sprintf("has the shape %v, and should have %v", p.Dims, dims)
	case !onnxio.SameBesides(o, p, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14): // dims, type, name, every form of data
		return "has another doc string or other metadata than the original's"
	}
	return ""
}

// tensorAsItIs says how a tensor that nothing cuts differs; "" for not at all.
func tensorAsItIs(o, p *onnxio.Tensor) string {
	if o.External == nil && p.External == nil && onnxio.Same(o, p) {
		return ""
	}
	why := sameForm(o, p, o.Dims)
	if why == "" && o.Name != p.Name {
		why = fmt.Sprintf("is called %q", p.Name)
	}
	if why == "" {
		why = sameContent(o, p, make([][]int, len(o.Dims)))
	}
	if why != "" {
		return fmt.Sprintf("the tensor %q %s", o.Name, why)
	}
	return ""
}

func sparseAsItIs(o, p *onnxio.SparseTensor) string {
	if !slices.Equal(o.Dims, p.Dims) || (o.Indices == nil) != (p.Indices == nil) || (o.Values == nil) != (p.Values == nil) {
		return fmt.Sprintf("the sparse tensor %q has the shape %v, and should have %v", o.Name(), p.Dims, o.Dims)
	}
	why := ""
	if o.Values != nil {
		why = tensorAsItIs(o.Values, p.Values)
	}
	if why == "" && o.Indices != nil {
		why = tensorAsItIs(o.Indices, p.Indices)
	}
	return why
}

// mendedConstant compares an integer constant some elements of which the plan changes. Where the plan's operand is only
// computed from it, the old elements are right too: then the plan's were put over what is computed, which is compared there.
func (c *checker) mendedConstant(use graph.Use, v, w *graph.Value, over map[int]int64) error {
	keep, dims, err := kept(v.Tensor, c.cutOf(v, use))
	if err != nil {
		return err
	}
	if why := sameForm(v.Tensor, w.Tensor, dims); why != "" {
		return fault("the tensor %q, read by %s, %s", w.FullName(), use.Node.Title(), why)
	}
	all, err := v.Tensor.Ints()
	if err != nil {
		return fault("%v", err)
	}
	have, err := w.Tensor.Ints()
	if err != nil {
		return fault("%v", err)
	}
	o := c.operands[useOf(use.Node, use.Input)]
	c.report.Tensors++
	for k, from := range sources(v.Tensor.Dims, keep) {
		want := all[from]
		if x, ok := over[k]; ok && (o != nil || have[k] == x) {
			want = x
		}
		if have[k] != want {
			return fault("the tensor %q, read by %s: element %d is %d, and should be %d", w.FullName(), use.Node.Title(), k, have[k], want)
		}
	}
	return nil
}
