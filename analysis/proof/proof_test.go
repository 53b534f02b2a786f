package proof_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/proof"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// network has one of everything that a plan changes: a normalised convolution, a depthwise one with a bias, a reshape whose target is
// written down and one whose target is computed, a number computed from the width, a linear layer; and beside these, what it must leave
// alone: a body, a function, a constant that nothing reads, metadata.
func network() *onnxio.Model {
	b := testmodels.New(17)
	b.Function("local", "twice", []string{"v"}, []string{"w"}, nil, func(f *testmodels.Builder) {
		f.NodeTo("Add", []string{"v", "v"}, []string{"w"})
	})
	x := b.Input("x", onnxio.Float, 1, 3, 8, 8)
	a := b.ConvBNRelu("a", x, 3, 8, 3)
	d := b.Named("d").Conv("d", a, 8, 8, 3, testmodels.Groups(8), testmodels.Bias())
	b.ValueInfo(d, onnxio.Float, 1, 8, 8, 8)
	e := b.BN("e", d, 8)
	flat := b.Reshape(e, 1, 8, 64)
	size := b.Shape(e)
	back := b.Node("Reshape", []string{flat, b.Concat(0, b.Slice(size, 0, 0, 1), b.Const([]int64{8}), b.Slice(size, 0, 2, 4))})
	width := b.Named("width").Node("Cast", []string{b.Gather(size, b.Const([]int64{1}), 0)}, testmodels.Attrs{"to": int(onnxio.Float)})
	scaled := b.Named("scaled").Node("Div", []string{back, b.Node("Sqrt", []string{width})})
	y := b.Conv("head", scaled, 8, 5, 3, testmodels.Bias())
	y = b.Named("call").Node("local::twice", []string{y})
	yes, no := b.Body("yes"), b.Body("no")
	yes.Output(yes.Mul(y, yes.Const([]float32{2})), onnxio.Float)
	no.Output(no.Relu(y), onnxio.Float)
	y = b.Named("choice").Node("If", []string{b.Const(true)}, testmodels.Attrs{"then_branch": yes, "else_branch": no})
	b.Output(y, onnxio.Float)
	b.Weight("unread", 2, 2)
	m := b.Model()
	m.SetMetadata("author", "somebody")
	return m
}

// halved prunes half of the channels of a weight.
func halved(t testing.TB, m *onnxio.Model, name string) *pruning {
	t.Helper()
	g, err := graph.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := prune(t, channels.Analyze(g, s, channels.Options{}), 0.5, name)
	if p == nil {
		t.Fatalf("nothing of %s can go", name)
	}
	return p
}

// read returns the pruned model as it is read from its file.
func (p *pruning) read(t testing.TB) *onnxio.Model {
	t.Helper()
	m, err := onnxio.Parse(p.pruned.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestASoundPruneIsProven(t *testing.T) {
	p := halved(t, network(), "a.conv.weight")
	if len(p.plan.Attributes) == 0 || len(p.plan.Operands) == 0 || len(p.plan.Freezes) == 0 || len(p.plan.Values) == 0 || len(p.plan.Masks) == 0 {
		t.Fatalf("the plan does not have one of everything: %+v", p.plan)
	}
	for what, m := range map[string]*onnxio.Model{"in memory": p.pruned, "read again": p.read(t)} {
		r, err := p.check(m, proof.Options{})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if r.Cut != len(p.plan.Tensors) || r.Nodes != len(p.analysis.Graph.Nodes) || r.Tensors < r.Cut || r.Bytes == 0 {
			t.Errorf("%s: it counts %+v, the plan cuts %d tensors of a graph of %d nodes", what, r, len(p.plan.Tensors), len(p.analysis.Graph.Nodes))
		}
	}
}

// What this tool writes into metadata_props about itself may stand there.
func TestEntriesOfThisToolAreNoFault(t *testing.T) {
	p := halved(t, network(), "a.conv.weight")
	m := p.read(t)
	m.SetMetadata("onnxprune.version", "1")
	if _, err := p.check(m, proof.Options{}); err != nil {
		t.Error(err)
	}
}

// node returns the node of the main graph with that name, or the first of that operator.
func node(m *onnxio.Model, name string) *onnxio.Node {
	return m.Graph.Nodes[slices.IndexFunc(m.Graph.Nodes, func(n *onnxio.Node) bool { return n.Name == name || n.OpType == name })]
}

func initializer(m *onnxio.Model, name string) *onnxio.Tensor {
	return m.Graph.Initializers[slices.IndexFunc(m.Graph.Initializers, func(t *onnxio.Tensor) bool { return t.Name == name })]
}

// set writes one float32 of an initializer.
func set(m *onnxio.Model, name string, at int, x float32) {
	w := initializer(m, name)
	data, _ := w.Raw()
	data = bytes.Clone(data)
	binary.LittleEndian.PutUint32(data[4*at:], math.Float32bits(x))
	w.SetRaw(w.Dims, data)
}

// Every forgery of the model, however small, is found, and the message says where.
func TestAForgedModelIsRefused(t *testing.T) {
	for _, c := range []struct {
		what  string
		forge func(m *onnxio.Model)
		want  string
	}{
		{"one element", func(m *onnxio.Model) { set(m, "a.conv.weight", 30, 0.25) }, `the tensor "a.conv.weight" is not what the original's is cut to: element [1 0 1 0] is 0.25`},
		{"the last bit of one", func(m *onnxio.Model) {
			w := initializer(m, "head.bias")
			data, _ := w.Raw()
			data = bytes.Clone(data)
			data[8] ^= 1
			w.SetRaw(w.Dims, data)
		}, `the tensor "head.bias" is not what the original's is cut to: element [2] is`},
		{"minus zero", func(m *onnxio.Model) { set(m, "d.bias", 0, float32(math.Copysign(0, -1))) }, `"d.bias"`},
		{"another shape", func(m *onnxio.Model) {
			w := initializer(m, "head.weight")
			data, _ := w.Raw()
			w.SetRaw([]int64{5, 4, 9, 1}, data)
		}, `the tensor "head.weight" has the shape [5 4 9 1], and should have [5 4 3 3]`},
		{"the neighbour's vector", func(m *onnxio.Model) { node(m, "e").SetInput(3, "a.bn.running_mean") }, `input 3 of BatchNormalization "e" is "a.bn.running_mean", and should be "e.running_mean"`},
		{"the neighbour's activation", func(m *onnxio.Model) { node(m, "e").SetInput(0, node(m, "a.bn").Outputs[0]) }, `input 0 of BatchNormalization "e"`},
		{"no bias", func(m *onnxio.Model) { node(m, "d").SetInputs(node(m, "d").Inputs[:2]...) }, `input 2 of Conv "d" is absent, and should be "d.bias"`},
		{"the old number of groups", func(m *onnxio.Model) { node(m, "d").SetAttribute(onnxio.NewInt("group", 8)) }, `attribute group of Conv "d" is 8, and should be 4`},
		{"another padding", func(m *onnxio.Model) { node(m, "d").SetAttribute(onnxio.NewInts("pads", 1, 1, 1, 0)) }, `attribute pads of Conv "d"`},
		{"another epsilon", func(m *onnxio.Model) { node(m, "e").SetAttribute(onnxio.NewFloat("epsilon", 1.1e-5)) }, `attribute epsilon of BatchNormalization "e"`},
		{"one attribute more", func(m *onnxio.Model) { node(m, "Relu").SetAttribute(onnxio.NewInt("more", 1)) }, `has the attribute more = 1`},
		{"one attribute less", func(m *onnxio.Model) { node(m, "d").RemoveAttribute("group") }, `Conv "d" should have the attribute group = 4`},
		{"another operator", func(m *onnxio.Model) { node(m, "Relu").SetOp("Sigmoid") }, `"relu_1" is written by the node Sigmoid`},
		{"another target of a reshape", func(m *onnxio.Model) {
			n := node(m, "Constant")
			n.SetAttribute(onnxio.NewTensorAttr("value", onnxio.NewInts64("", []int64{3}, []int64{1, 2, 128})))
		}, `element 1 is 2, and should be 4`},
		{"a computed target of a reshape", func(m *onnxio.Model) {
			w := initializer(m, "concat_1_mended")
			w.SetRaw(w.Dims, raw(onnxio.NewInts64("", []int64{4}, []int64{0, 2, 0, 0})))
		}, `"concat_1_mended_value": element 1 is 2, and should be 4`},
		{"an element that nothing reads", func(m *onnxio.Model) {
			w := initializer(m, "concat_1_mended")
			w.SetRaw(w.Dims, raw(onnxio.NewInts64("", []int64{4}, []int64{1, 4, 0, 0})))
		}, `input 1 of Reshape "Reshape(reshape_2)"`},
		{"elements of a computed target", func(m *onnxio.Model) {
			w := initializer(m, "concat_1_mended_where")
			w.SetRaw(w.Dims, []byte{1, 1, 0, 0})
		}, `"concat_1_mended_value": element 0 is 0, and should be element 0 of "slice_1"`},
		{"a node more", func(m *onnxio.Model) {
			m.Graph.AddNode(onnxio.NewNode("Relu", "more", []string{"x"}, []string{"more"}))
		}, `the node Relu "more", which neither the original nor the plan accounts for`},
		{"a node less", func(m *onnxio.Model) {
			relu := node(m, "Relu")
			for _, n := range m.Graph.Nodes {
				if i := slices.Index(n.Inputs, relu.Outputs[0]); i >= 0 {
					n.SetInput(i, relu.Inputs[0])
				}
			}
			m.Graph.RemoveNode(relu)
		}, `input 0 of Conv "d"`},
		{"an initializer more", func(m *onnxio.Model) { m.Graph.AddInitializer(onnxio.NewInts64("more", nil, []int64{1})) }, `the initializer "more", which neither`},
		{"an initializer less", func(m *onnxio.Model) { m.Graph.RemoveInitializer(initializer(m, "unread")) }, `the tensor "unread" is missing`},
		{"an initializer that nothing reads", func(m *onnxio.Model) { set(m, "unread", 1, 7) }, `the tensor "unread" is not what`},
		{"another declared shape", func(m *onnxio.Model) {
			m.Graph.ValueInfos[0].SetShape([]onnxio.Dim{onnxio.Fixed(1), onnxio.Fixed(8), onnxio.Fixed(8), onnxio.Fixed(8)})
		}, `is declared as float32[1,8,8,8], and should be float32[1,4,8,8]`},
		{"no declared shape", func(m *onnxio.Model) { m.Graph.RemoveValueInfo(m.Graph.ValueInfos[0]) }, `it declares 0 of value_info`},
		{"other metadata", func(m *onnxio.Model) { m.SetMetadata("author", "nobody") }, `metadata_props`},
		{"another operator set", func(m *onnxio.Model) { m.SetOpset("", 18) }, `version`},
		{"another output", func(m *onnxio.Model) {
			m.Graph.RemoveOutput(m.Graph.Outputs[0])
			m.Graph.AddOutput(onnxio.NewValueInfo(node(m, "Relu").Outputs[0], onnxio.TensorType(onnxio.Float)))
		}, `is "relu_1", and should be`},
		{"the frozen number", func(m *onnxio.Model) { set(m, "sqrt_1_mended", 0, 4) }, `in place of the frozen value "sqrt_1": element 0 is 4, and should be 2.828`},
		{"a body", func(m *onnxio.Model) { node(m, "choice").Attribute("else_branch").Graph.Nodes[0].SetOp("Sigmoid") }, `is a Sigmoid`},
		{"a constant of a body", func(m *onnxio.Model) {
			w := node(m, "choice").Attribute("then_branch").Graph.Initializers[0]
			w.SetRaw(w.Dims, raw(onnxio.NewFloats32("", []int64{1}, []float32{3})))
		}, `element [0] is 3, and should be 2`},
		{"the bodies exchanged", func(m *onnxio.Model) {
			n := node(m, "choice")
			yes, no := n.Attribute("then_branch"), n.Attribute("else_branch")
			a, b := yes.Renamed("else_branch"), no.Renamed("then_branch")
			n.SetAttribute(a)
			n.SetAttribute(b)
		}, `body`},
		{"a function", func(m *onnxio.Model) { m.Functions[0].Nodes[0].SetOp("Mul") }, `in function "twice"`},
		{"a function's reading", func(m *onnxio.Model) { node(m, "call").SetInput(0, "x") }, `the call "call" of twice reads ["x"], and should read ["conv_3"]`},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := halved(t, network(), "a.conv.weight")
			m := p.read(t)
			c.forge(m)
			m, err := onnxio.Parse(m.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			refused(t, p, m, "model", c.want)
		})
	}
}

func refused(t *testing.T, p *pruning, m *onnxio.Model, in, want string) {
	t.Helper()
	_, err := p.check(m, proof.Options{})
	var fault *proof.Fault
	if !errors.As(err, &fault) || fault.In != in || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want a fault of the %s that says %q", err, in, want)
	}
}

// A plan that is not what the analysis makes of its channels is refused, and so is the model that it makes.
func TestAForgedPlanIsRefused(t *testing.T) {
	tensor := func(p *plan.Plan, name string) *plan.Tensor {
		return &p.Tensors[slices.IndexFunc(p.Tensors, func(e plan.Tensor) bool { return e.Name == name })]
	}
	// other gives a keep list one index that went in place of one that stays.
	other := func(keep []int) []int {
		out := slices.Clone(keep)
		for i := range 8 {
			if !slices.Contains(keep, i) {
				out[0] = i
				break
			}
		}
		slices.Sort(out)
		return out
	}
	for _, c := range []struct {
		what  string
		forge func(p *plan.Plan)
		want  string
	}{
		{"another index of one tensor", func(p *plan.Plan) { e := tensor(p, "d.bias"); e.Keep[0] = other(e.Keep[0]) }, `which none of its cuts names`},
		{"another index of one tensor, without cuts", func(p *plan.Plan) {
			e := tensor(p, "d.bias")
			e.Keep[0], p.Cuts = other(e.Keep[0]), nil
		}, `the cut of tensor "a.conv.weight"`},
		{"an order", func(p *plan.Plan) { e := tensor(p, "a.bn.weight"); slices.Reverse(e.Keep[0]) }, `the cut of tensor "a.bn.weight"`},
		{"an index twice", func(p *plan.Plan) { e := tensor(p, "a.bn.weight"); e.Keep[0][1] = e.Keep[0][0] }, `a.bn.weight`},
		{"a cut that names fewer channels", func(p *plan.Plan) { p.Cuts[0].Removed = p.Cuts[0].Removed[1:] }, `which none of its cuts names`},
		{"no cuts where weights were asked for", func(p *plan.Plan) { p.Request.Params, p.Cuts = []string{"a.conv.weight"}, nil }, `names no cut`},
		{"a mask of an index that is not there", func(p *plan.Plan) { p.Masks[0].Removed[0] = 99 }, `the mask of input`},
		{"a cut that counts wrong", func(p *plan.Plan) { p.Cuts[0].After++ }, `it says that 5 of 8 output channels of "a.conv.weight" stay`},
		{"a cut of other channels too", func(p *plan.Plan) {
			p.Cuts[0].Removed = []int{0, 1, 2, 3, 4, 5, 6}
			p.Cuts[0].After = 1
		}, `is not what removing its channels makes of the original`},
		{"a tensor less", func(p *plan.Plan) {
			p.Tensors = slices.DeleteFunc(p.Tensors, func(e plan.Tensor) bool { return e.Name == "d.bias" })
		}, `it lacks the cut of a tensor that removing its channels changes in the original: the cut of tensor "d.bias"`},
		{"a tensor more", func(p *plan.Plan) {
			p.Tensors = append(p.Tensors, plan.Tensor{Name: "head.bias", Shape: []int64{5}, Keep: map[int][]int{0: {0, 1}}})
		}, `which can not go: captured by If`},
		{"a mask less", func(p *plan.Plan) { p.Masks = p.Masks[1:] }, `it lacks a mask`},
		{"a mask of fewer channels", func(p *plan.Plan) { p.Masks[0].Removed = p.Masks[0].Removed[1:] }, `the mask of input`},
		{"an attribute", func(p *plan.Plan) { *p.Attributes[0].Int++ }, `attribute group of node "d"`},
		{"an operand", func(p *plan.Plan) {
			for k := range p.Operands[0].Elements {
				p.Operands[0].Elements[k]++
			}
			if len(p.Operands[0].Whole) > 0 {
				p.Operands[0].Whole[0]++
			}
		}, `of node`},
		{"a frozen number", func(p *plan.Plan) { p.Freezes[0].Elements[0] = 4 }, `the frozen value`},
		{"a frozen number of a shape out of this world", func(p *plan.Plan) { p.Freezes[0].Shape = []int64{1 << 40} }, `the frozen value`},
		{"a declared shape", func(p *plan.Plan) {
			for k := range p.Values[0].Size {
				p.Values[0].Size[k]++
			}
		}, `the declared shape of`},
		{"inexactness, under which nothing would be compared", func(p *plan.Plan) { p.Inexact = []string{"so it is"} }, `inexact`},
		{"a tensor that is not there", func(p *plan.Plan) { p.Tensors[0].Name = "nothing" }, `"nothing"`},
		{"an index that is not there", func(p *plan.Plan) { tensor(p, "d.bias").Keep[0][0] = 99 }, `keeps index 99`},
	} {
		t.Run(c.what, func(t *testing.T) {
			p := halved(t, network(), "a.conv.weight")
			c.forge(p.plan)
			refused(t, p, p.pruned, "plan", c.want)
		})
	}
}

// A repair may change the values of the tensors that it lists, and nothing else.
func TestRepairedTensorsKeepTheirForm(t *testing.T) {
	p := halved(t, network(), "a.conv.weight")
	for _, c := range []struct {
		what     string
		forge    func(m *onnxio.Model)
		repaired []string
		want     string
	}{
		{"its values", func(m *onnxio.Model) { set(m, "head.weight", 0, 9) }, []string{"head.weight", "head.bias"}, ""},
		{"another's values", func(m *onnxio.Model) { set(m, "head.weight", 0, 9) }, []string{"head.bias"}, `the tensor "head.weight" is not what`},
		{"its shape", func(m *onnxio.Model) {
			w := initializer(m, "head.weight")
			data, _ := w.Raw()
			w.SetRaw([]int64{4, 5, 3, 3}, data)
		}, []string{"head.weight"}, `the tensor "head.weight" has the shape [4 5 3 3], and should have [5 4 3 3]`},
	} {
		t.Run(c.what, func(t *testing.T) {
			m := p.read(t)
			c.forge(m)
			r, err := p.check(m, proof.Options{Repaired: c.repaired})
			switch {
			case c.want == "" && (err != nil || r.Free != len(c.repaired)):
				t.Errorf("got %v, %+v; want %d repaired tensors", err, r, len(c.repaired))
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// raw are the bytes of a tensor that was made here.
func raw(t *onnxio.Tensor) []byte {
	b, err := t.Raw()
	if err != nil {
		panic(err)
	}
	return b
}
