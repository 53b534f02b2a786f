package rewrite_test

import (
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// older returns the model with one of its functions written for another version of the operators.
func older(m *onnxio.Model, function string, version int64) *onnxio.Model {
	var fs []*onnxio.Function
	for _, f := range m.Functions {
		if f.Name == function {
			f = onnxio.NewFunction(f.Domain, f.Name, f.Inputs, f.Outputs, []onnxio.Opset{{Version: version}}, f.Nodes...)
		}
		fs = append(fs, f)
	}
	return onnxio.NewModel(m.IRVersion, "test", m.Opsets, m.Graph, fs...)
}

// A function that is written for other versions of the operators than the main graph can not be inlined. What lies in it is pinned, with
// that as the reason, and all else goes on, other functions too.
func TestFunctionsOfOtherVersionsStayAsTheyAre(t *testing.T) {
	type B = testmodels.Builder
	pads := testmodels.Attrs{"pads": []int{1, 1, 1, 1}}
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, 8, 8)
	for _, name := range []string{"New", "Old"} {
		b.Function("local", name, []string{"v"}, []string{"w"}, nil, func(f *B) {
			f.NodeTo("Conv", []string{f.Conv("c", "v", 8, 8, 3), f.Weight("d.weight", 8, 8, 3, 3)}, []string{"w"}, pads)
		})
	}
	y := b.Node("local::New", []string{b.Relu(b.Conv("before", x, 3, 8, 3))})
	z := b.Node("local::Old", []string{b.Relu(b.Conv("between", y, 8, 8, 3))})
	b.NodeTo("Relu", []string{b.Conv("after", z, 8, 6, 3)}, []string{"head"})
	b.Output(b.Conv("last", "head", 6, 5, 1), onnxio.Float, 1, 5, 8, 8)
	m := older(b.Model(), "Old", 16)
	halved(t, m, "before.weight", "after.weight", "last.weight")
	judged(t, m)
	a, err := analysed(m)
	if err != nil {
		t.Fatal(err)
	}
	free, held := 0, 0
	for _, p := range a.Params {
		switch {
		case p.Reason != nil && strings.Contains(p.Reason.Text, "the function Old, which is written for version 16"):
			held++
		case p.Free > 0:
			free++
		}
	}
	if held != 3 || free != 4 { // between and the two in Old; before, the two in New, after
		t.Errorf("%d weights stay because of the function's version, and %d can go; want 3 and 4", held, free)
	}
}

// A target that a function makes is corrected where it is read: a change of the function's own constant would be one for all its calls.
func TestATargetOutOfAFunctionIsChangedForItsReaderAlone(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, 8, 8)
	b.Function("local", "Target", []string{"v"}, []string{"to"}, nil, func(f *testmodels.Builder) {
		f.NodeTo("Concat", []string{f.Unsqueeze(f.Gather(f.Shape("v"), f.Const(int64(0)), 0), 0), f.Const([]int64{8, 64})}, []string{"to"}, testmodels.Attrs{"axis": 0})
	})
	for i, name := range []string{"a", "b"} {
		y := b.Conv(name, x, 3, 8, 3)
		rows := b.Node("Reshape", []string{y, b.Node("local::Target", []string{y})})
		if i == 0 { // its channels end in a sum, so that they can go
			rows = b.Node("ReduceSum", []string{rows, b.Const([]int64{1})})
		}
		b.Output(rows, onnxio.Float, 1, 8-7*(1-i), 64)
	}
	m := b.Model()
	halved(t, m, "a.weight")
	judged(t, m)
}
