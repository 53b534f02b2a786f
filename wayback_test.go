package onnxprune

import (
	"errors"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// The proof of a change of size fails where the changed model is not the original at another size.
func TestTheWayBackFindsWhatElseChanged(t *testing.T) {
	build := func() *onnxio.Model {
		b := testmodels.New(17)
		x := b.Input("x", onnxio.Float, 1, 3, 64, 64)
		y := b.Reshape(b.Relu(b.Conv("conv", x, 3, 8, 3, testmodels.Stride(2))), 1, 8, 32*32)
		b.Output(b.Mul(y, b.NamedConst("gain", []float32{3})), onnxio.Float, 1, 8, 32*32)
		return b.Model()
	}
	m := build()
	small, s, err := sized(m, InputSize{Width: 32, Height: 48})
	if err != nil {
		t.Fatal(err)
	}
	if back, err := provenSize(m, small, s); err != nil || back != "the original, byte for byte" {
		t.Fatalf("%q, %v", back, err)
	}
	for _, c := range []struct {
		what   string
		change func(m *onnxio.Model) error
		why    string
	}{
		{"a weight", func(m *onnxio.Model) error {
			for _, w := range m.Graph.Initializers {
				if w.Name == "gain" {
					return w.Restore([]int64{1}, []byte{0, 0, 0x80, 0x3f})
				}
			}
			return errors.New("no such weight")
		}, `"gain", differs`},
		{"a declared shape", func(m *onnxio.Model) error { return m.Graph.Outputs[0].SetExtents(map[int]int64{2: 7}) }, "is declared as"},
		{"an attribute", func(m *onnxio.Model) error {
			m.Graph.Nodes[0].Attribute("dilations").SetInts([]int64{1, 2})
			m.Graph.Nodes[0].Attribute("pads").SetInts([]int64{1, 2, 1, 2})
			return nil
		}, "differs"},
	} {
		other := small.Clone()
		if err := c.change(other); err != nil {
			t.Fatal(err)
		}
		if _, err := provenSize(m, other, s); ExitCode(err) != ExitUnproven || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s is another one: %v, want it to say %q", c.what, err, c.why)
		}
	}
}
