package onnxio_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"onnxprune/onnxio"
)

// allKinds is a model with one of everything that a setter may touch.
func allKinds() []byte {
	attr := func(name string, t onnxio.AttrType, value msg) msg {
		return append(msg{}.str(1, name), value...).int(20, int64(t))
	}
	body := msg{}.str(2, "body").bytes(1, msg{}.str(1, "x").str(2, "y").str(4, "Relu")).bytes(5, tensor(onnxio.Float, 1).float(4, 1))
	node := msg{}.str(1, "a").str(1, "").str(1, "b").str(2, "c").str(3, "node").str(4, "If").
		bytes(5, attr("axis", onnxio.AttrInt, msg{}.int(3, 1))).
		bytes(5, attr("value", onnxio.AttrTensor, msg{}.bytes(5, tensor(onnxio.Float, 2).float(4, 1).float(4, 2)))).
		bytes(5, attr("then_branch", onnxio.AttrGraph, msg{}.bytes(6, body))).
		str(6, "a doc string").str(999, "an unknown field")
	dims := msg{}.bytes(1, msg{}.int(1, 3)).bytes(1, msg{}.str(2, "N"))
	value := func(name string) msg {
		return msg{}.str(1, name).bytes(2, msg{}.bytes(1, msg{}.int(1, 1).bytes(2, dims)))
	}
	sparse := msg{}.bytes(1, tensor(onnxio.Float, 1).float(4, 1)).bytes(2, tensor(onnxio.Int64, 1).ints(7, 3)).ints(3, 9)
	graph := msg{}.bytes(1, node).str(2, "g").bytes(5, tensor(onnxio.Float, 1).float(4, 1)).bytes(15, sparse).
		bytes(11, value("a")).bytes(12, value("c")).bytes(13, value("b")).bytes(1, msg{}.str(4, "Last").str(7, "ai.onnx"))
	fn := msg{}.str(1, "F").str(4, "v").str(5, "w").str(6, "p").str(10, "d").bytes(9, msg{}.int(2, 17)).
		bytes(7, msg{}.str(1, "v").str(2, "w").str(4, "Relu")).bytes(11, attr("q", onnxio.AttrInt, msg{}.int(3, 2)))
	return msg{}.int(1, 8).str(2, "producer").bytes(7, graph).bytes(8, msg{}.str(1, "d").int(2, 1)).bytes(8, msg{}.int(2, 17)).
		bytes(14, msg{}.str(1, "key").str(2, "value")).bytes(25, fn)
}

// Every setter changes a clone; what it did must be there after writing and reading, and the original must not know.
func TestSettersChangeTheCloneAlone(t *testing.T) {
	given := allKinds()
	node := func(m *onnxio.Model) *onnxio.Node { return m.Graph.Nodes[0] }
	newNode := onnxio.NewNode("Add", "new", []string{"p", "", "q"}, []string{"r"}, onnxio.NewFloats("f", 1, -2), onnxio.NewString("s", "t"))
	one := onnxio.NewFloats32("one", nil, []float32{1})
	for _, c := range []struct {
		name string
		do   func(m *onnxio.Model) error
		want func(m *onnxio.Model) any
		is   any
	}{
		{"SetInputs", func(m *onnxio.Model) error { node(m).SetInputs("p", "", "q", ""); return nil },
			func(m *onnxio.Model) any { return node(m).Inputs }, []string{"p", "", "q", ""}},
		{"SetInput in the middle", func(m *onnxio.Model) error { node(m).SetInput(1, "p"); return nil },
			func(m *onnxio.Model) any { return node(m).Inputs }, []string{"a", "p", "b"}},
		{"SetInput beyond the end", func(m *onnxio.Model) error { node(m).SetInput(4, "p"); return nil },
			func(m *onnxio.Model) any { return node(m).Inputs }, []string{"a", "", "b", "", "p"}},
		{"SetOutputs", func(m *onnxio.Model) error { node(m).SetOutputs("p", "q"); return nil },
			func(m *onnxio.Model) any { return node(m).Outputs }, []string{"p", "q"}},
		{"SetOp", func(m *onnxio.Model) error { node(m).SetOp("Loop"); return nil },
			func(m *onnxio.Model) any { return node(m).OpType }, "Loop"},
		{"SetDomain", func(m *onnxio.Model) error { node(m).SetDomain("d"); return nil },
			func(m *onnxio.Model) any { return node(m).Domain }, "d"},
		{"SetAttribute in place", func(m *onnxio.Model) error { node(m).SetAttribute(onnxio.NewInts("axis", -1, 300)); return nil },
			func(m *onnxio.Model) any { return fmt.Sprint(attributeNames(m), node(m).Attribute("axis").Ints) }, "[axis value then_branch] [-1 300]"},
		{"SetAttribute anew", func(m *onnxio.Model) error { node(m).SetAttribute(onnxio.NewFloat("alpha", 0.5)); return nil },
			func(m *onnxio.Model) any { return fmt.Sprint(attributeNames(m), node(m).Attribute("alpha").F) }, "[axis value then_branch alpha] 0.5"},
		{"RemoveAttribute", func(m *onnxio.Model) error {
			node(m).RemoveAttribute("value")
			node(m).RemoveAttribute("none")
			return nil
		},
			func(m *onnxio.Model) any { return attributeNames(m) }, []string{"axis", "then_branch"}},
		{"SetTensor", func(m *onnxio.Model) error { return node(m).Attribute("value").SetTensor(one) },
			func(m *onnxio.Model) any { return numbers(node(m).Attribute("value").Tensor) }, "one[1]"},
		{"SetRef", func(m *onnxio.Model) error { node(m).Attribute("axis").SetRef("outer"); return nil },
			func(m *onnxio.Model) any { return node(m).Attribute("axis").RefName }, "outer"},
		{"Cut in an attribute", func(m *onnxio.Model) error { return node(m).Attribute("value").Tensor.Cut([][]int{{1}}) },
			func(m *onnxio.Model) any { return numbers(node(m).Attribute("value").Tensor) }, "w[2]"},
		{"SetRaw in a body", func(m *onnxio.Model) error {
			return node(m).Attribute("then_branch").Graph.Initializers[0].SetRaw(nil, []byte{0, 0, 0, 0x40})
		}, func(m *onnxio.Model) any { return numbers(node(m).Attribute("then_branch").Graph.Initializers[0]) }, "w[2]"},
		{"SetRaw in a sparse tensor", func(m *onnxio.Model) error {
			return m.Graph.Sparse[0].Values.SetRaw([]int64{1}, []byte{0, 0, 0, 0x40})
		}, func(m *onnxio.Model) any { return numbers(m.Graph.Sparse[0].Values) }, "w[2]"},
		{"SetName", func(m *onnxio.Model) error { m.Graph.Initializers[0].SetName("n"); return nil },
			func(m *onnxio.Model) any { return numbers(m.Graph.Initializers[0]) }, "n[1]"},
		{"SetShape", func(m *onnxio.Model) error {
			return m.Graph.Inputs[0].SetShape([]onnxio.Dim{onnxio.Named("B"), {}, onnxio.Fixed(0)})
		}, func(m *onnxio.Model) any { return m.Graph.Inputs[0].Type.String() }, "float32[B,?,0]"},
		{"InsertNode", func(m *onnxio.Model) error { m.Graph.InsertNode(1, newNode); return nil },
			func(m *onnxio.Model) any { return ops(m) }, "If Add Last"},
		{"InsertNode at the front", func(m *onnxio.Model) error { m.Graph.InsertNode(0, newNode); return nil },
			func(m *onnxio.Model) any { return ops(m) }, "Add If Last"},
		{"AddNode", func(m *onnxio.Model) error { m.Graph.AddNode(newNode); return nil },
			func(m *onnxio.Model) any { return ops(m) }, "If Last Add"},
		{"RemoveNode", func(m *onnxio.Model) error { m.Graph.RemoveNode(m.Graph.Nodes[0]); return nil },
			func(m *onnxio.Model) any { return ops(m) }, "Last"},
		{"AddInitializer", func(m *onnxio.Model) error { m.Graph.AddInitializer(one); return nil },
			func(m *onnxio.Model) any { return numbers(m.Graph.Initializers[1]) }, "one[1]"},
		{"RemoveInitializer", func(m *onnxio.Model) error { m.Graph.RemoveInitializer(m.Graph.Initializers[0]); return nil },
			func(m *onnxio.Model) any { return len(m.Graph.Initializers) }, 0},
		{"AddInput", func(m *onnxio.Model) error { m.Graph.AddInput(onnxio.NewValueInfo("i", nil)); return nil },
			func(m *onnxio.Model) any { return names(m.Graph.Inputs) }, "a:float32[3,N] i:unknown type"},
		{"AddOutput", func(m *onnxio.Model) error {
			m.Graph.AddOutput(onnxio.NewValueInfo("o", &onnxio.Type{Kind: onnxio.KindSequence, Of: onnxio.TensorType(onnxio.Int64)}))
			return nil
		}, func(m *onnxio.Model) any { return names(m.Graph.Outputs) }, "c:float32[3,N] o:sequence of int64[]"},
		{"AddValueInfo of a map", func(m *onnxio.Model) error {
			m.Graph.AddValueInfo(onnxio.NewValueInfo("v", &onnxio.Type{Kind: onnxio.KindMap, Elem: onnxio.String, Of: &onnxio.Type{Kind: onnxio.KindTensor, Elem: onnxio.Float}}))
			return nil
		}, func(m *onnxio.Model) any { return names(m.Graph.ValueInfos) }, "b:float32[3,N] v:map from string to float32[...]"},
		{"AddValueInfo of a sequence of nothing known", func(m *onnxio.Model) error {
			m.Graph.AddValueInfo(onnxio.NewValueInfo("v", &onnxio.Type{Kind: onnxio.KindSequence}))
			return nil
		}, func(m *onnxio.Model) any { return names(m.Graph.ValueInfos) }, "b:float32[3,N] v:sequence of unknown type"},
		{"RemoveInput", func(m *onnxio.Model) error { m.Graph.RemoveInput(m.Graph.Inputs[0]); return nil },
			func(m *onnxio.Model) any { return names(m.Graph.Inputs) }, ""},
		{"RemoveOutput", func(m *onnxio.Model) error { m.Graph.RemoveOutput(m.Graph.Outputs[0]); return nil },
			func(m *onnxio.Model) any { return names(m.Graph.Outputs) }, ""},
		{"RemoveValueInfo", func(m *onnxio.Model) error { m.Graph.RemoveValueInfo(m.Graph.ValueInfos[0]); return nil },
			func(m *onnxio.Model) any { return names(m.Graph.ValueInfos) }, ""},
		{"SetOpset", func(m *onnxio.Model) error { m.SetOpset("ai.onnx", 18); m.SetOpset("e", 2); return nil },
			func(m *onnxio.Model) any { return fmt.Sprint(m.Opset(""), m.Opset("d"), m.Opset("e"), len(m.Opsets)) }, "18 1 2 3"},
		{"SetMetadata anew", func(m *onnxio.Model) error { m.SetMetadata("k", "v"); return nil },
			func(m *onnxio.Model) any { return m.Metadata("key") + m.Metadata("k") }, "valuev"},
		{"SetMetadata in place", func(m *onnxio.Model) error { m.SetMetadata("key", "w"); return nil },
			func(m *onnxio.Model) any { return m.Metadata("key") }, "w"},
		{"RemoveMetadata", func(m *onnxio.Model) error {
			m.SetMetadata("other", "v")
			m.RemoveMetadata("ke")
			m.RemoveMetadata("absent")
			return nil
		}, func(m *onnxio.Model) any { return m.Metadata("key") + m.Metadata("other") }, "v"},
		{"AddAttributeNames", func(m *onnxio.Model) error { m.Functions[0].AddAttributeNames("r"); return nil },
			func(m *onnxio.Model) any { return m.Functions[0].AttributeNames }, []string{"p", "r"}},
		{"a node inside a function", func(m *onnxio.Model) error { m.Functions[0].Nodes[0].SetOp("Tanh"); return nil },
			func(m *onnxio.Model) any { return m.Functions[0].Nodes[0].OpType }, "Tanh"},
	} {
		m, err := onnxio.Parse(given)
		if err != nil {
			t.Fatal(err)
		}
		n, other := m.Clone(), m.Clone()
		if err := c.do(n); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := state(n, c.want); got != fmt.Sprint(c.is) {
			t.Errorf("%s: %v, want %v", c.name, got, c.is)
		}
		b := n.Bytes()
		again, err := onnxio.Parse(b)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := state(again, c.want); got != fmt.Sprint(c.is) {
			t.Errorf("%s: %v after reading it again, want %v", c.name, got, c.is)
		}
		if int64(len(b)) != n.Size() || !n.Changed() || !bytes.Contains(b, []byte("an unknown field")) && c.name != "RemoveNode" {
			t.Errorf("%s: %d bytes, announced %d; changed %v", c.name, len(b), n.Size(), n.Changed())
		}
		for what, x := range map[string]*onnxio.Model{"the original": m, "another clone": other} {
			if x.Changed() || !bytes.Equal(x.Bytes(), given) || state(x, c.want) == fmt.Sprint(c.is) {
				t.Errorf("%s: %s changed too: %v", c.name, what, state(x, c.want))
			}
		}
		if deep := n.Clone(); state(deep, c.want) != fmt.Sprint(c.is) || !bytes.Equal(deep.Bytes(), b) {
			t.Errorf("%s: a clone of the changed clone differs from it", c.name)
		}
	}
}

// state prints what a case looks at; a model where it is not there has none.
func state(m *onnxio.Model, look func(*onnxio.Model) any) (s string) {
	defer func() {
		if recover() != nil {
			s = "not there"
		}
	}()
	return fmt.Sprint(look(m))
}

func attributeNames(m *onnxio.Model) []string {
	var out []string
	for _, a := range m.Graph.Nodes[0].Attributes {
		out = append(out, a.Name)
	}
	return out
}

func ops(m *onnxio.Model) string {
	var out []string
	for _, n := range m.Graph.Nodes {
		out = append(out, n.OpType)
	}
	return strings.Join(out, " ")
}

func names(vs []*onnxio.ValueInfo) string {
	var out []string
	for _, v := range vs {
		out = append(out, v.Name+":"+v.Type.String())
	}
	return strings.Join(out, " ")
}

func numbers(w *onnxio.Tensor) string {
	v, err := w.Float32s()
	if err != nil {
		return err.Error()
	}
	return w.Name + fmt.Sprint(v)
}

func TestAttributesOfEveryKindAreReadBack(t *testing.T) {
	body := onnxio.NewGraph("body")
	made := []*onnxio.Attribute{onnxio.NewInt("i", -5), onnxio.NewFloat("f", 1.5), onnxio.NewString("s", "text"), onnxio.NewInts("is", 1, -1),
		onnxio.NewFloats("fs", 0.5), onnxio.NewStrings("ss", "a", ""), onnxio.NewTensorAttr("t", onnxio.NewInts64("x", nil, []int64{7})),
		onnxio.NewGraphAttr("g", body), onnxio.NewTypeAttr("tp", onnxio.TensorType(onnxio.Bool, onnxio.Fixed(2))), onnxio.NewRef("r", onnxio.AttrInts, "outer")}
	g := onnxio.NewGraph("main")
	g.AddNode(onnxio.NewNode("Op", "", nil, nil, made...))
	m, err := onnxio.Parse(onnxio.NewModel(8, "test", []onnxio.Opset{{Version: 17}}, g).Bytes())
	if err != nil {
		t.Fatal(err)
	}
	n := m.Graph.Nodes[0]
	got := fmt.Sprintln(n.Attribute("i").I, n.Attribute("f").F, string(n.Attribute("s").S), n.Attribute("is").Ints, n.Attribute("fs").Floats,
		len(n.Attribute("ss").Strings), n.Attribute("t").Tensor.Name, n.Attribute("g").Graph.Name, n.Attribute("tp").TP, n.Attribute("r").RefName)
	if want := "-5 1.5 text [1 -1] [0.5] 2 x body bool[2] outer\n"; got != want {
		t.Errorf("read %s, want %s", got, want)
	}
	for i, a := range n.Attributes {
		if a.Type != made[i].Type {
			t.Errorf("attribute %q is a %v, want a %v", a.Name, a.Type, made[i].Type)
		}
	}
	says(t, "SetTensor of an integer", n.Attribute("i").SetTensor(onnxio.NewInts64("x", nil, []int64{7})), `"i"`, "not a tensor")
	says(t, "SetShape of a sequence", onnxio.NewValueInfo("v", &onnxio.Type{Kind: onnxio.KindSequence}).SetShape(nil), `"v"`, "not as a tensor")
}

func TestTensorsAreListedInFileOrder(t *testing.T) {
	m, err := onnxio.Parse(allKinds())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range m.Tensors() {
		got = append(got, fmt.Sprintf("%v%v", w.DataType, w.Dims))
	}
	if want := []string{"float32[1]", "float32[1]", "int64[1]", "float32[2]", "float32[1]"}; !slices.Equal(got, want) {
		t.Errorf("tensors %v, want %v: initializers, sparse ones, the attribute's, the body's", got, want)
	}
}
