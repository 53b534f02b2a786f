package onnxio_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// This file gives the reader and the cutter arbitrary input. A model is hostile until proven otherwise: no bytes
// may make the package panic, hang, or take memory that they do not justify.
//
//	go test -run '^$' -fuzz FuzzParse -fuzztime 10m ./onnxio

// FuzzParse reads bytes as a model, asks for everything that it holds, and writes it again.
func FuzzParse(f *testing.F) {
	for _, b := range seedModels(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		given := bytes.Clone(b)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := onnxio.Parse(b)
		runtime.ReadMemStats(&after)
		// The smallest node is two bytes of the file and 300 in memory; garbage and the runtime's own need the rest.
		if took, limit := after.TotalAlloc-before.TotalAlloc, uint64(400*len(b)+1<<16); took > limit {
			t.Errorf("reading %d bytes took %d bytes of memory, more than %d", len(b), took, limit)
		}
		if err != nil {
			return
		}
		visit(t, m, len(b))
		c := m.Clone()
		if m.Changed() || c.Changed() || !bytes.Equal(m.Bytes(), given) || !bytes.Equal(c.Bytes(), given) {
			t.Error("an unchanged model is not written as it was read")
		}
		rewrite(t, c)
		if !bytes.Equal(m.Bytes(), given) || !bytes.Equal(b, given) {
			t.Error("changing a clone changed the original")
		}
	})
}

// visit asks for everything in a model that was read from size bytes.
func visit(t *testing.T, m *onnxio.Model, size int) {
	types := func(vs []*onnxio.ValueInfo) {
		for _, v := range vs {
			_ = v.Type.String()
		}
	}
	m.Walk(func(n *onnxio.Node) {
		for _, a := range n.Attributes {
			_ = a.Type.String()
			_ = a.TP.String()
			_ = n.Attribute(a.Name).Subgraphs()
		}
	}, func(g *onnxio.Graph) {
		types(g.Inputs)
		types(g.Outputs)
		types(g.ValueInfos)
		for _, s := range g.Sparse {
			_ = s.Name()
		}
	})
	_, _ = m.Metadata("author"), m.Opset("ai.onnx")
	for _, w := range m.Tensors() {
		if raw, err := w.Raw(); err == nil {
			if want, _ := w.DataType.Bytes(w.Len()); int64(len(raw)) != want || len(raw) > 8*size {
				t.Errorf("%d bytes in a tensor %v%v of a file of %d bytes", len(raw), w.DataType, w.Dims, size)
			}
		}
		_, _ = w.Ints()
		_, _ = w.Float32s()
		_, _ = w.Strings()
	}
}

// rewrite changes whatever can be changed, and checks that the result can be read.
func rewrite(t *testing.T, m *onnxio.Model) {
	for _, w := range m.Tensors() {
		kept := make([][]int, len(w.Dims))
		for a, d := range w.Dims {
			if d > 1 && d < 100 {
				kept[a] = []int{0, int(d) - 1}
			}
		}
		_ = w.Cut(kept)
		w.SetName("renamed")
	}
	m.Walk(func(n *onnxio.Node) {
		n.SetInput(len(n.Inputs), "extra")
		n.SetAttribute(onnxio.NewInt("axis", 1))
	}, func(g *onnxio.Graph) {
		for _, v := range g.ValueInfos {
			_ = v.SetShape([]onnxio.Dim{onnxio.Fixed(1)})
		}
		g.AddNode(onnxio.NewNode("Relu", "", []string{"a"}, []string{"b"}))
	})
	m.SetMetadata("author", "nobody")
	b := m.Bytes()
	if int64(len(b)) != m.Size() {
		t.Errorf("%d bytes written, %d announced", len(b), m.Size())
	}
	again, err := onnxio.Parse(b)
	if err != nil {
		t.Fatalf("a changed model can not be read: %v", err)
	}
	if again.Metadata("author") != "nobody" || len(again.Tensors()) != len(m.Tensors()) {
		t.Error("a changed model is not read as it was written")
	}
}

// seedModels are small models that hold every kind of message.
func seedModels(tb testing.TB) [][]byte {
	b := testmodels.New(17)
	b.Function("test", "Twice", []string{"v"}, []string{"w"}, []string{"to"}, func(f *testmodels.Builder) {
		f.NodeTo("Mul", []string{"v", f.Const(float32(2))}, []string{"w"})
	})
	x := b.Input("x", onnxio.Float, "N", 2, -1, 3)
	c := b.Input("c", onnxio.Bool, []int64{})
	y := b.Conv("conv", x, 2, 3, 1, testmodels.Bias())
	then, other := b.Body("then"), b.Body("else")
	then.Output(then.Relu(y), onnxio.Float, "N", 3)
	other.Output(other.Node("test::Twice", []string{y}), onnxio.Float)
	b.Output(b.Node("If", []string{c}, testmodels.Attrs{"then_branch": then, "else_branch": other}), onnxio.Float)
	b.Const([]string{"one", "two"})
	b.Const(testmodels.Float16s{1, 2, 3})
	b.OutputType(b.Node("SequenceConstruct", []string{y}), &onnxio.Type{Kind: onnxio.KindSequence, Of: onnxio.TensorType(onnxio.Float)})
	seeds := [][]byte{b.Bytes(), {}, []byte("not a model"), typedModel()}
	if dir := os.Getenv("ONNXPRUNE_CORPUS"); dir != "" {
		paths, _ := filepath.Glob(filepath.Join(dir, "models", "*", "*.onnx"))
		for _, p := range paths {
			if st, err := os.Stat(p); err == nil && st.Size() < 8<<10 {
				if b, err := os.ReadFile(p); err == nil {
					seeds = append(seeds, b)
				}
			}
		}
	}
	return seeds
}

// FuzzCut cuts a tensor and compares every element with the one that the indices name.
func FuzzCut(f *testing.F) {
	f.Add([]byte{3, 4, 2, 1, 0xff, 0, 1, 2, 3}, int32(onnxio.Float))
	f.Add([]byte{5, 1, 3, 7, 2, 2, 0}, int32(onnxio.Int4))
	f.Add([]byte{2, 2, 2, 2, 0xaa, 0x55}, int32(onnxio.Uint2))
	f.Add([]byte{4, 4, 1, 1, 9, 9}, int32(onnxio.String))
	f.Fuzz(func(t *testing.T, b []byte, elem int32) {
		if len(b) < 5 {
			return
		}
		dtype := onnxio.DataType(elem)
		dims := make([]int64, b[0]%5)
		n := 1
		for i := range dims {
			dims[i] = int64(b[1+i%4] % 7)
			n *= int(dims[i])
		}
		kept := make([][]int, len(dims))
		rest := b[5:]
		take := func() int {
			if len(rest) == 0 {
				return 0
			}
			v := int(rest[0])
			rest = rest[1:]
			return v
		}
		for a, d := range dims {
			if count := take(); count%3 != 0 && d > 0 {
				kept[a] = []int{}
				for range count % 9 {
					kept[a] = append(kept[a], take()%int(d))
				}
			}
		}
		w := numbered(dtype, dims, n)
		if w == nil {
			return
		}
		want := expected(w, kept)
		if err := w.Cut(kept); err != nil {
			t.Fatal(err)
		}
		got := elements(t, w)
		if len(got) != len(want) {
			t.Fatalf("%v%v cut to %v: %d elements, want %d", dtype, dims, kept, len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%v%v cut to %v: element %d is %q, want %q", dtype, dims, kept, i, got[i], want[i])
			}
		}
	})
}

// numbered makes a tensor whose elements tell their place; nil for types that there are none of.
func numbered(dtype onnxio.DataType, dims []int64, n int) *onnxio.Tensor {
	if dtype == onnxio.String {
		ss := make([]string, n)
		for i := range ss {
			ss[i] = string(binary.LittleEndian.AppendUint16(nil, uint16(i)))
		}
		return onnxio.NewStringTensor("w", dims, ss)
	}
	size, ok := dtype.Bytes(int64(n))
	if !ok {
		return nil
	}
	raw := make([]byte, size)
	for i := range raw {
		raw[i] = byte(i*37 + i>>8*11)
	}
	if left := n * dtype.Bits() % 8; left > 0 { // what pads the last byte is zero
		raw[size-1] &= 1<<left - 1
	}
	return onnxio.NewTensor("w", dtype, dims, raw)
}

// elements returns each element by itself, as its bytes; elements below 8 bits get a byte each.
func elements(t testing.TB, w *onnxio.Tensor) []string {
	if w.DataType == onnxio.String {
		ss, err := w.Strings()
		if err != nil {
			t.Fatal(err)
		}
		return ss
	}
	raw, err := w.Raw()
	if err != nil {
		t.Fatal(err)
	}
	out := make([]string, w.Len())
	bits := w.DataType.Bits()
	for i := range out {
		if bits >= 8 {
			out[i] = string(raw[i*bits/8 : (i+1)*bits/8])
			continue
		}
		v := byte(0)
		for k := range bits {
			at := i*bits + k
			v |= raw[at/8] >> (at % 8) & 1 << k
		}
		out[i] = string([]byte{v})
	}
	return out
}

// expected cuts element by element.
func expected(w *onnxio.Tensor, kept [][]int) []string {
	all := elements(nil, w)
	var out []string
	var walk func(axis, at int)
	walk = func(axis, at int) {
		if axis == len(w.Dims) {
			out = append(out, all[at])
			return
		}
		for i := range int(w.Dims[axis]) {
			if kept[axis] == nil {
				walk(axis+1, at*int(w.Dims[axis])+i)
			}
		}
		for _, i := range kept[axis] {
			walk(axis+1, at*int(w.Dims[axis])+i)
		}
	}
	walk(0, 0)
	return out
}
