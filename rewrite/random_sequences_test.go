package rewrite_test

import (
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// Sequences, optional values, and state that runs along a sequence.

var sequences = []blockKind{
	{"sequence", 11, (*graphs).sequence}, {"sequence", 11, (*graphs).sequence}, {"sequenceSplit", 11, (*graphs).sequenceSplit}, {"sequenceMap", 17, (*graphs).sequenceMap},
	{"optional", 18, (*graphs).optional}, {"rnn", 7, (*graphs).rnn}, {"rnn", 7, (*graphs).rnn}, {"lstm", 7, (*graphs).rnn},
}

// aside is f, or a value of its own that leaves f free.
func (g *graphs) aside(f feat) feat {
	if g.r.IntN(3) == 0 {
		return f
	}
	return g.conv(f, f.c, 1, 1)
}

// sequence puts values into a list and takes one out.
func (g *graphs) sequence(f feat) feat {
	a, b := g.aside(f), g.aside(f)
	var s string
	if g.r.IntN(2) == 0 {
		s = g.Node("SequenceConstruct", []string{a.name, b.name})
	} else {
		s = g.Node("SequenceInsert", []string{g.Node("SequenceEmpty", nil), a.name})
		s = g.Node("SequenceInsert", []string{s, b.name, g.Const(int64(0))})
	}
	switch g.r.IntN(4) {
	case 0:
		y := g.Node("ConcatFromSequence", []string{s}, testmodels.Attrs{"axis": 1})
		return g.conv(feat{y, 2 * f.c, f.h, f.w}, g.width(), 1, 1)
	case 1:
		s = g.Node("SequenceErase", []string{s, g.Const(int64(0))})
	case 2:
		n := g.Cast(g.Node("SequenceLength", []string{s}), onnxio.Float)
		f.name = g.Mul(f.name, g.Div(n, g.Const(float32(3))))
		return f
	}
	f.name = g.Add(f.name, g.Node("SequenceAt", []string{s, g.Const(int64(-1))}))
	return f
}

func (g *graphs) sequenceSplit(f feat) feat {
	a := g.aside(f)
	s := g.Node("SplitToSequence", []string{a.name}, testmodels.Attrs{"axis": 1})
	if g.r.IntN(2) == 0 {
		f.name = g.Mul(f.name, g.Sigmoid(g.Node("SequenceAt", []string{s, g.Const(int64(0))})))
		return f
	}
	y := g.Node("ConcatFromSequence", []string{s}, testmodels.Attrs{"axis": 1})
	f.name = g.Add(f.name, y)
	return f
}

func (g *graphs) sequenceMap(f feat) feat {
	a := g.aside(f)
	b := g.Body(g.id("map"))
	x := b.Input(g.id("element"), onnxio.Float)
	b.Output(b.Add(b.Relu(x), g.aside(f).name), onnxio.Float)
	s := g.Node("SequenceMap", []string{g.Node("SequenceConstruct", []string{a.name, f.name})}, testmodels.Attrs{"body": b})
	f.name = g.Add(f.name, g.Node("SequenceAt", []string{s, g.Const(int64(g.r.IntN(2)))}))
	return f
}

func (g *graphs) optional(f feat) feat {
	o := g.Node("Optional", []string{g.aside(f).name})
	if g.r.IntN(2) == 0 {
		has := g.Node("OptionalHasElement", []string{o})
		f.name = g.Node("Where", []string{has, f.name, g.Const(float32(0))})
		return f
	}
	f.name = g.Add(f.name, g.Node("OptionalGetElement", []string{o}))
	return f
}

// rnn runs one of the recurrent layers over the places, in one direction or in both.
func (g *graphs) rnn(f feat) feat {
	if f.h*f.w > 64 {
		return feat{}
	}
	op := []string{"RNN", "GRU", "LSTM"}[g.r.IntN(3)]
	gates, hidden := map[string]int64{"RNN": 1, "GRU": 3, "LSTM": 4}[op], int64(2+g.r.IntN(3))
	direction := []string{"forward", "reverse", "bidirectional"}[g.r.IntN(3)]
	d := int64(1)
	if direction == "bidirectional" {
		d = 2
	}
	c, n := int64(f.c), int64(f.h*f.w)
	x := g.Transpose(g.Reshape(f.name, 0, c, -1), 2, 0, 1)
	in := []string{x, g.Weight(g.id("recurrent"), d, gates*hidden, c), g.Weight(g.id("state"), d, gates*hidden, hidden)}
	if g.r.IntN(2) == 0 {
		in = append(in, g.Weight(g.id("bias"), d, 2*gates*hidden))
	}
	attrs := testmodels.Attrs{"hidden_size": hidden, "direction": direction}
	if op == "GRU" {
		attrs["linear_before_reset"] = g.r.IntN(2)
	}
	y := g.NodeN(op, in, 1+g.r.IntN(2), attrs)[0] // places, directions, batch, hidden
	y = g.Reshape(g.Transpose(y, 2, 1, 3, 0), -1, d*hidden, n)
	return feat{g.Reshape(y, -1, d*hidden, int64(f.h), int64(f.w)), int(d * hidden), f.h, f.w}
}
