package shape

import (
	"os"
	"path/filepath"
	"testing"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// at returns the value of d for given values of the input symbols; ok is false where d depends on anything else.
func (d Dim) at(values map[string]int64) (int64, bool) {
	sum := d.n
	for _, t := range d.terms {
		p := t.coef
		for _, f := range t.factors {
			v, ok := values[f.sym.name]
			if f.sym.floor != nil {
				if v, ok = f.sym.floor.of.at(values); ok {
					v = floorInt(v, f.sym.floor.by)
				}
			}
			if p := f.sym.pick; p != nil {
				v, ok = p.at(values)
			}
			if !ok {
				return 0, false
			}
			for range f.pow {
				p *= v
			}
		}
		sum += p
	}
	return sum, true
}

// at returns the greater or the lesser of the operands' values.
func (c *choice) at(values map[string]int64) (int64, bool) {
	a, ok := c.a.at(values)
	b, fine := c.b.at(values)
	if (a > b) == c.greater {
		return a, ok && fine
	}
	return b, ok && fine
}

// TestSymbolicInferenceAgreesWithFixed makes batch, height and width of every image input of the corpus symbols, and
// compares what comes out, evaluated at the original extents, with inference at those extents.
func TestSymbolicInferenceAgreesWithFixed(t *testing.T) {
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "models", "*", "*.onnx"))
	if filled := os.Getenv("ONNXPRUNE_FILLED"); filled != "" {
		more, _ := filepath.Glob(filepath.Join(filled, "*.onnx"))
		paths = append(paths, more...)
	}
	if len(paths) == 0 {
		t.Skip("the shared models are not here; set ONNXPRUNE_CORPUS to their folder")
	}
	extents, compared := 0, 0
	for _, path := range paths {
		if filepath.Base(filepath.Dir(path)) == "invalid" {
			continue
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			m, err := onnxio.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			g, err := graph.Build(m)
			if err != nil {
				t.Fatal(err)
			}
			values := loosen(g)
			fixed := inferFixed(t, g, values)
			symbolic, err := Infer(g, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range g.Values {
				a, b := symbolic.Of(v), fixed.Of(v)
				if a.Known && b.Known && len(a.Dims) != len(b.Dims) && !v.InBody() {
					t.Errorf("%q: symbolic %v, fixed %v", v.FullName(), a, b)
					continue
				}
				for i := range min(len(a.Dims), len(b.Dims)) {
					extents++
					x, ok := a.Dims[i].at(values)
					y, fine := b.Dims[i].Const()
					if ok && fine {
						compared++
						if x != y {
							t.Errorf("%q axis %d: symbolic %v is %d, fixed %v", v.FullName(), i, a, x, b)
						}
					}
				}
				for i := range min(len(a.Nums), len(b.Nums)) {
					p, ok := a.Nums[i].Int()
					q, fine := b.Nums[i].Int()
					if !ok || !fine {
						continue
					}
					x, ok := p.at(values)
					if y, fine := q.Const(); ok && fine && x != y {
						t.Errorf("%q element %d: symbolic %v is %d, fixed %d", v.FullName(), i, p, x, y)
					}
				}
			}
		})
	}
	t.Logf("%d extents, %d compared", extents, compared)
}

// loosen makes the batch and the spatial extents of the inputs symbols, forgets what is declared of everything
// else, and returns the extents that there were.
func loosen(g *graph.Graph) map[string]int64 {
	values := map[string]int64{}
	for _, v := range g.Values {
		if !v.Input || v.InBody() {
			v.Declared = nil
			continue
		}
		if v.Constant() || v.Declared == nil || len(v.Declared.Shape) != 4 {
			continue
		}
		typ := *v.Declared
		typ.Shape = append([]onnxio.Dim(nil), typ.Shape...)
		for i, d := range typ.Shape {
			if i == 1 && d.Known {
				continue
			}
			name := v.Name + "_" + string(rune('a'+i))
			values[name] = []int64{1, 3, 320, 416}[i]
			if d.Known {
				values[name] = d.Value
			}
			typ.Shape[i] = onnxio.Named(name)
		}
		v.Declared = &typ
	}
	return values
}

func inferFixed(t *testing.T, g *graph.Graph, values map[string]int64) *Result {
	t.Helper()
	inputs := map[string][]int64{}
	for _, v := range g.Main.Inputs {
		if v.Constant() || v.Declared == nil {
			continue
		}
		shape, all := []int64{}, true
		for _, d := range v.Declared.Shape {
			n, named := values[d.Param]
			if d.Known {
				n = d.Value
			} else if !named {
				all = false
			}
			shape = append(shape, n)
		}
		if all && v.Declared.Kind == onnxio.KindTensor {
			inputs[v.Name] = shape
		}
	}
	r, err := Infer(g, Options{Inputs: inputs})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
