package runtime_test

import (
	"context"
	"math/rand/v2"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// branches is a network of two ways with a batch norm, a sum and a depthwise convolution; scale multiplies the weights of one convolution
// in its middle.
func branches(scale float32) *onnxio.Model {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, 12, 12)
	r := rand.New(rand.NewPCG(1, 1))
	w := make([]float32, 8*8*9)
	for i := range w {
		w[i] = scale * float32(r.NormFloat64())
	}
	b.ConstDims("w", []int64{8, 8, 3, 3}, w)
	stem := b.ConvBNRelu("stem", x, 3, 8, 3)
	way := b.Relu(b.BN("n", b.Node("Conv", []string{stem, "w"}, testmodels.Attrs{"pads": []int{1, 1, 1, 1}}), 8))
	sum := b.Relu(b.Add(b.Conv("d", way, 8, 8, 3, testmodels.Groups(8)), stem))
	b.NodeTo("Conv", []string{sum, b.Weight("h", 5, 8, 1, 1)}, []string{"one"})
	b.NodeTo("Conv", []string{stem, b.Weight("g", 4, 8, 1, 1)}, []string{"two"})
	b.Output("one", onnxio.Float, 1, 5, 12, 12)
	b.Output("two", onnxio.Float, 1, 4, 12, 12)
	return b.Model()
}

// A variant gives what its model gives when it is run as a whole, and leaves out what does not change.
func TestAVariantGivesWhatItsModelGives(t *testing.T) {
	other := branches(-2)
	replay, err := runtime.NewReplay(branches(1), runtime.Options{Threads: 2, To: []string{"one", "two"}})
	if err != nil {
		t.Fatal(err)
	}
	defer replay.Close()
	v, err := replay.Variant(other)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := runtime.Compile(other, runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	plain, err := runtime.Compile(branches(1), runtime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	for i := range 3 {
		r := rand.New(rand.NewPCG(2, uint64(i)))
		data := make([]float32, 3*144)
		for k := range data {
			data[k] = float32(r.NormFloat64())
		}
		in := map[string]value.Value{"x": value.From(data, 1, 3, 12, 12)}
		trace, err := replay.Run(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // a trace is taken up as often as one likes
			got, err := trace.Variant(v)
			if err != nil {
				t.Fatal(err)
			}
			want := run(t, whole, in)
			if len(got) != 1 {
				t.Fatalf("%d values may differ, want one alone", len(got))
			}
			wantFloats(t, got["one"], value.Of[float32](want["one"].(*value.Tensor))...)
		}
		own, err := trace.Values()
		if err != nil {
			t.Fatal(err)
		}
		want := run(t, plain, in)
		for _, name := range []string{"one", "two"} {
			wantFloats(t, own[name], value.Of[float32](want[name].(*value.Tensor))...)
		}
		trace.Close()
	}
}

func TestAVariantWithOtherNodesIsRefused(t *testing.T) {
	replay, err := runtime.NewReplay(branches(1), runtime.Options{To: []string{"one"}})
	if err != nil {
		t.Fatal(err)
	}
	defer replay.Close()
	if _, err := replay.Variant(twoInputs()); err == nil {
		t.Error("a model with other nodes is taken for a variant")
	}
}
