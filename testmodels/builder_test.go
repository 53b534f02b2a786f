package testmodels

import (
	"bytes"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune/onnxio"
)

// weights returns every tensor's dims by name, Constant nodes under their output's name.
func weights(m *onnxio.Model) map[string][]int64 {
	out := map[string][]int64{}
	m.Walk(func(n *onnxio.Node) {
		if a := n.Attribute("value"); n.OpType == "Constant" && a != nil && a.Tensor != nil {
			out[n.Outputs[0]] = a.Tensor.Dims
		}
	}, func(g *onnxio.Graph) {
		for _, t := range g.Initializers {
			out[t.Name] = t.Dims
		}
	})
	return out
}

func TestSixConvolutionsAreThoseOfPaddleSlim(t *testing.T) {
	m := SixConvolutions().Model()
	ws := weights(m)
	for name, want := range map[string][]int64{"conv1_weights": {8, 3, 3, 3}, "conv2_weights": {8, 8, 3, 3}, "conv6_weights": {8, 8, 3, 3}, "conv4_bn_scale": {8}} {
		if !slices.Equal(ws[name], want) {
			t.Errorf("%s is %v, want %v", name, ws[name], want)
		}
	}
	macs, adds := int64(0), 0
	for _, n := range m.Graph.Nodes {
		switch n.OpType {
		case "Conv":
			w := ws[n.Inputs[1]]
			macs += 16 * 16 * w[0] * w[1] * w[2] * w[3]
		case "Add":
			adds++
		}
	}
	if macs != 792576 || adds != 2 {
		t.Errorf("%d MACs and %d additions, want 792576 and 2", macs, adds)
	}
}

func TestTheSameCodeMakesTheSameBytes(t *testing.T) {
	a, b := SixConvolutions(), SixConvolutions()
	if !bytes.Equal(a.Bytes(), b.Bytes()) || !bytes.Equal(a.Bytes(), a.Bytes()) {
		t.Error("two builds differ")
	}
	other := New(17)
	other.Seed = 1
	other.Weight("conv1_weights", 8, 3, 3, 3)
	if bytes.Contains(a.Bytes(), onlyRaw(t, other)) {
		t.Error("another seed draws the same weights")
	}
}

func onlyRaw(t *testing.T, b *Builder) []byte {
	raw, err := b.Graph().Initializers[0].Raw()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestDrawnWeightsHaveTheDeviationThatIsAskedFor(t *testing.T) {
	var d draws
	sum, square, extreme := 0.0, 0.0, 0.0
	const n = 100000
	for range n {
		v := d.next()
		sum, square, extreme = sum+v, square+v*v, max(extreme, math.Abs(v))
	}
	if mean, dev := sum/n, math.Sqrt(square/n); math.Abs(mean) > 0.02 || math.Abs(dev-1) > 0.02 || extreme > 3.5 {
		t.Errorf("mean %.3f, deviation %.3f, extreme %.3f; want 0, 1 and less than 3.5", mean, dev, extreme)
	}
}

func TestBodiesFunctionsAndConstantsAreReadBack(t *testing.T) {
	b := New(17)
	b.Function("test", "Scaled", []string{"v"}, []string{"w"}, []string{"slope"}, func(f *Builder) {
		l := f.Node("LeakyRelu", []string{"v"}, Attrs{"alpha": Ref{"slope", onnxio.AttrFloat}})
		f.NodeTo("Mul", []string{l, f.Const(float32(2))}, []string{"w"})
	})
	x := b.Input("x", onnxio.Float, "N", 4, -1, int64(8))
	cond := b.Input("cond", onnxio.Bool, []int64{}) // a scalar
	b.Constants = true
	y := b.Conv("conv", x, 4, 6, 1, Bias())
	then, other := b.Body("then"), b.Body("else")
	then.Output(then.Relu(y), onnxio.Float, "N", 6, -1, 8)
	other.Output(other.Node("test::Scaled", []string{y}, Attrs{"slope": 0.5}), onnxio.Float, "N", 6, -1, 8)
	z := b.Named("choose").Node("If", []string{cond}, Attrs{"then_branch": then, "else_branch": other})
	b.Output(z, onnxio.Float)

	m := b.Model()
	if got := m.Graph.Inputs[0].Type.String(); got != "float32[N,4,?,8]" {
		t.Errorf("input is %s", got)
	}
	if got := m.Graph.Outputs[0].Type.String(); got != "float32[...]" {
		t.Errorf("output is %s", got)
	}
	if m.Opset("test") != 1 || m.Opset("") != 17 || m.IRVersion != 8 {
		t.Errorf("opsets %v, IR version %d", m.Opsets, m.IRVersion)
	}
	if f := m.Functions[0]; f.Name != "Scaled" || f.Nodes[0].Attribute("alpha").RefName != "slope" || !slices.Equal(f.AttributeNames, []string{"slope"}) {
		t.Errorf("function %+v", f)
	}
	var ops []string
	m.Walk(func(n *onnxio.Node) { ops = append(ops, n.OpType) }, nil)
	if got := strings.Join(ops, " "); got != "Constant Constant Conv If Scaled Relu LeakyRelu Constant Mul" {
		t.Errorf("nodes: %s", got)
	}
	if ws := weights(m); !slices.Equal(ws["conv.weight"], []int64{6, 4, 1, 1}) || !slices.Equal(ws["conv.bias"], []int64{6}) {
		t.Errorf("weights: %v", ws)
	}
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := b.Save(path); err != nil {
		t.Fatal(err)
	}
	saved, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer saved.Close()
	if !bytes.Equal(saved.Bytes(), b.Bytes()) {
		t.Error("the saved file is not what Bytes returns")
	}
}

func TestMistakesOfATestPanicWithTheName(t *testing.T) {
	for name, write := range map[string]func(b *Builder){
		`reads "ghost"`:                func(b *Builder) { b.Relu("ghost") },
		`"x" is made twice`:            func(b *Builder) { b.Input("x", onnxio.Float); b.Input("x", onnxio.Float) },
		"value of type map[string]int": func(b *Builder) { b.Node("Relu", nil, Attrs{"a": map[string]int{}}) },
		"3 values for dims [2 2]":      func(b *Builder) { b.ConstDims("c", []int64{2, 2}, []float32{1, 2, 3}) },
	} {
		func() {
			defer func() {
				if got, ok := recover().(string); !ok || !strings.Contains(got, name) {
					t.Errorf("panic %q, want one with %q", got, name)
				}
			}()
			write(New(17))
		}()
	}
}

func TestTypedConstantsHoldTheirValues(t *testing.T) {
	b := New(21)
	for _, c := range []struct {
		value any
		elem  onnxio.DataType
		raw   string
	}{
		{int8(-2), onnxio.Int8, "\xfe"},
		{[]int{1, -1}, onnxio.Int64, "\x01\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"},
		{[]int32{258}, onnxio.Int32, "\x02\x01\x00\x00"},
		{Float16s{1, -2}, onnxio.Float16, "\x00\x3c\x00\xc0"},
		{BFloat16s{1}, onnxio.BFloat16, "\x80\x3f"},
		{[]bool{true, false}, onnxio.Bool, "\x01\x00"},
		{float32(1), onnxio.Float, "\x00\x00\x80\x3f"},
		{1.0, onnxio.Double, "\x00\x00\x00\x00\x00\x00\xf0\x3f"},
	} {
		b.Const(c.value)
		got := b.Graph().Initializers[len(b.Graph().Initializers)-1]
		if raw, err := got.Raw(); err != nil || got.DataType != c.elem || string(raw) != c.raw {
			t.Errorf("%v: %v %x %v, want %v %x", c.value, got.DataType, raw, err, c.elem, c.raw)
		}
	}
	for _, elem := range []onnxio.DataType{onnxio.Float16, onnxio.BFloat16, onnxio.Double, onnxio.Int8, onnxio.Uint8} {
		name := b.WeightOf(elem, "w_"+elem.String(), 4, 3, 3, 3)
		w := b.Graph().Initializers[len(b.Graph().Initializers)-1]
		if raw, err := w.Raw(); w.Name != name || err != nil || len(raw) != 108*elem.Bits()/8 {
			t.Errorf("%v weight: %d bytes, %v", elem, len(raw), err)
		}
	}
}
