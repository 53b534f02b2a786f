package graph_test

import (
	"strings"
	"testing"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// Small models in which names are hard to follow, and models whose names lead nowhere.

func TestCapturesReachThroughTwoLevels(t *testing.T) {
	b := testmodels.New(17)
	x, flag := b.Input("x", onnxio.Float, 1, 8), b.Input("flag", onnxio.Bool)
	far := b.Relu(x)
	branch := func(outer *testmodels.Builder, name string, write func(c *testmodels.Builder) string) *testmodels.Builder {
		c := outer.Body(name)
		c.Output(write(c), onnxio.Float, 1, 8)
		return c
	}
	fork := func(outer *testmodels.Builder, name string, then, other func(c *testmodels.Builder) string) string {
		return outer.Named(name).Node("If", []string{flag}, testmodels.Attrs{"then_branch": branch(outer, "then", then), "else_branch": branch(outer, "else", other)})
	}
	y := fork(b, "outer", func(c *testmodels.Builder) string {
		near := c.Sigmoid(x)
		return fork(c, "inner", func(d *testmodels.Builder) string { return d.Add(far, near) }, func(d *testmodels.Builder) string { return d.Relu(near) })
	}, func(c *testmodels.Builder) string { return c.Relu(x) })
	b.Output(y, onnxio.Float, 1, 8)
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range g.Nodes {
		if n.Op != "If" {
			continue
		}
		names := map[string]bool{}
		for _, v := range n.Captures {
			names[v.Name] = true
		}
		switch n.Path {
		case "outer":
			if !names[x] || !names[far] || !names[flag] || len(names) != 3 {
				t.Errorf("the outer If captures %v, want x, flag and %s", names, far)
			}
		case "outer/then_branch/inner":
			if !names[far] || len(names) != 2 {
				t.Errorf("the inner If captures %v, want %s and the Sigmoid's output", names, far)
			}
		default:
			t.Errorf("an If has the path %s", n.Path)
		}
	}
}

// model makes a model of nodes on the input "x" and the output "y".
func model(nodes ...*onnxio.Node) *onnxio.Model {
	g := onnxio.NewGraph("main")
	g.AddInput(onnxio.NewValueInfo("x", onnxio.TensorType(onnxio.Float, onnxio.Fixed(4))))
	g.AddOutput(onnxio.NewValueInfo("y", onnxio.TensorType(onnxio.Float, onnxio.Fixed(4))))
	for _, n := range nodes {
		g.AddNode(n)
	}
	return onnxio.NewModel(8, "test", []onnxio.Opset{{Version: 17}, {Domain: "f", Version: 1}}, g)
}

func relu(name, from, to string) *onnxio.Node {
	return onnxio.NewNode("Relu", name, []string{from}, []string{to})
}

func TestUnsortedNodesAreSorted(t *testing.T) {
	g, err := graph.Build(model(relu("third", "b", "y"), relu("first", "x", "a"), relu("second", "a", "b")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range g.Main.Nodes {
		got = append(got, n.Path)
	}
	if s := strings.Join(got, " "); s != "first second third" {
		t.Errorf("the order is %s", s)
	}
}

func TestBrokenNamesAreRefused(t *testing.T) {
	for _, c := range []struct {
		what  string
		model *onnxio.Model
		want  []string
	}{
		{"a cycle", model(relu("one", "b", "a"), relu("two", "a", "b"), relu("last", "b", "y")), []string{"Relu", `"one"`, "its own output"}},
		{"a value made twice", model(relu("one", "x", "a"), relu("two", "x", "a"), relu("last", "a", "y")), []string{`"two"`, `"a"`}},
		{"an input made again", model(relu("one", "x", "x"), relu("last", "x", "y")), []string{`"one"`, `"x"`}},
		{"a name that nothing makes", model(relu("one", "nowhere", "y")), []string{`"one"`, `"nowhere"`}},
		{"an output that nothing makes", model(relu("one", "x", "a")), []string{`output "y"`}},
	} {
		_, err := graph.Build(c.model)
		if err == nil {
			t.Errorf("%s: taken", c.what)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: refused with %q, want it to say %s", c.what, err, w)
			}
		}
	}
}

func TestAFunctionThatCallsItselfIsRefused(t *testing.T) {
	call := onnxio.NewNode("Again", "call", []string{"x"}, []string{"y"})
	call.SetDomain("f")
	inner := onnxio.NewNode("Again", "again", []string{"a"}, []string{"b"})
	inner.SetDomain("f")
	m := model(call)
	opsets := []onnxio.Opset{{Version: 17}, {Domain: "f", Version: 1}}
	m = onnxio.NewModel(8, "test", opsets, m.Graph, onnxio.NewFunction("f", "Again", []string{"a"}, []string{"b"}, opsets, inner))
	if _, err := graph.Build(m); err == nil || !strings.Contains(err.Error(), "Again") {
		t.Errorf("got %v, want an error that names the function", err)
	}
}

func TestAnAbsentFunctionInputIsAbsentInside(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 4)
	b.Function("f", "Limit", []string{"v", "low", "high"}, []string{"r"}, nil, func(f *testmodels.Builder) {
		f.NodeTo("Clip", []string{"v", "low", "high"}, []string{"r"})
	})
	b.Output(b.Node("f::Limit", []string{x, "", b.Const(float32(1))}), onnxio.Float, 4)
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	n := g.Main.Nodes[len(g.Main.Nodes)-1]
	if n.Op != "Clip" || n.Input(0) == nil || n.Input(1) != nil || n.Input(2) == nil {
		t.Errorf("got %s with inputs %v, want a Clip without its low", n.Title(), n.Inputs)
	}
}

// A body that makes a name of its own reads its own, whatever the name means outside.
func TestABodysOwnNameHidesTheOuterOne(t *testing.T) {
	body := onnxio.NewGraph("body")
	body.AddNode(relu("hidden", "x", "a"))
	body.AddNode(relu("reader", "a", "z"))
	body.AddOutput(onnxio.NewValueInfo("z", onnxio.TensorType(onnxio.Float, onnxio.Fixed(4))))
	fork := onnxio.NewNode("If", "fork", []string{"x"}, []string{"y"}, onnxio.NewGraphAttr("then_branch", body))
	g, err := graph.Build(model(relu("outer", "x", "a"), fork))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range g.Nodes {
		if n.Proto.Name == "reader" && (n.Input(0).Producer == nil || n.Input(0).Producer.Proto.Name != "hidden") {
			t.Errorf("the body reads %q, want its own a", n.Input(0).FullName())
		}
		if n.Op == "If" && (len(n.Captures) != 1 || n.Captures[0].Name != "x") {
			t.Errorf("the If captures %v, want x alone", n.Captures)
		}
	}
	if v := g.Main.Lookup("a"); len(v.Uses) != 0 {
		t.Errorf("the outer a has %d readers, want none", len(v.Uses))
	}
}

func TestPathsAreUnique(t *testing.T) {
	g, err := graph.Build(model(relu("n", "x", "a"), relu("n#2", "a", "b"), relu("n", "b", "c"), relu("n", "c", "y")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range g.Main.Nodes {
		got = append(got, n.Path)
	}
	if s := strings.Join(got, " "); s != "n n#2 n#3 n#4" {
		t.Errorf("the paths are %s", s)
	}
}
