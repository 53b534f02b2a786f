package rewrite_test

import (
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// Bodies and functions: what they capture, what they shadow, and weights that live in them.

var control = []blockKind{
	{"nested", 11, (*graphs).nested}, {"loopConv", 11, (*graphs).loopConv}, {"loopScan", 11, (*graphs).loopScan}, {"scanCaptured", 9, (*graphs).scanCaptured},
	{"ifCaptured", 11, (*graphs).ifCaptured}, {"functionAttributes", 11, (*graphs).functionAttributes}, {"functionWeight", 11, (*graphs).functionWeight},
	{"functionNested", 11, (*graphs).functionNested}, {"shadowed", 11, (*graphs).shadowed},
}

// counted starts the body of a Loop whose state is one value.
func (g *graphs) counted(outer *testmodels.Builder, name string) (s *testmodels.Builder, state string) {
	s = outer.Body(name)
	s.Input(g.id("i"), onnxio.Int64, []int64{})
	cond := s.Input(g.id("cond"), onnxio.Bool, []int64{})
	state = s.Input(g.id("state"), onnxio.Float)
	s.Output(s.Node("Identity", []string{cond}), onnxio.Bool, []int64{})
	return s, state
}

// nested is an If in a Loop.
func (g *graphs) nested(f feat) feat {
	s, state := g.counted(g.Builder, g.id("body"))
	branch := func(op string) *testmodels.Builder {
		b := s.Body(g.id("branch"))
		b.Output(b.Node(op, []string{state}), onnxio.Float)
		return b
	}
	y := s.Node("If", []string{s.Const(g.r.IntN(2) == 0)}, testmodels.Attrs{"then_branch": branch("Tanh"), "else_branch": branch("Sigmoid")})
	s.Output(y, onnxio.Float)
	f.name = g.Node("Loop", []string{g.Const(int64(2)), "", f.name}, testmodels.Attrs{"body": s})
	return f
}

// loopConv carries a value through a convolution whose weight is outside of the loop, and may be used outside too.
func (g *graphs) loopConv(f feat) feat {
	w := g.Weight(g.id("captured"), int64(f.c), int64(f.c), 1, 1)
	if g.r.IntN(2) == 0 {
		f.name = g.Node("Conv", []string{f.name, w})
	}
	s, state := g.counted(g.Builder, g.id("body"))
	s.Output(s.Node("Tanh", []string{s.Node("Conv", []string{state, w})}), onnxio.Float)
	f.name = g.Node("Loop", []string{g.Const(int64(2)), g.Const(true), f.name}, testmodels.Attrs{"body": s})
	return f
}

// loopScan stacks what each round gives.
func (g *graphs) loopScan(f feat) feat {
	s, state := g.counted(g.Builder, g.id("body"))
	y := s.Mul(state, s.Const(float32(0.5)))
	s.Output(y, onnxio.Float)
	s.Output(s.Relu(y), onnxio.Float)
	out := g.NodeN("Loop", []string{g.Const(int64(3)), g.Const(true), f.name}, 2, testmodels.Attrs{"body": s})
	f.name = g.Add(out[0], g.reduce("ReduceMax", out[1], false, 0))
	return f
}

// scanCaptured carries a sum along the rows of places, and adds a value from outside in each step.
func (g *graphs) scanCaptured(f feat) feat {
	p := g.Squeeze(g.conv(feat{g.GlobalAveragePool(f.name), f.c, 1, 1}, f.c, 1, 1).name, 3) // batch, channels, 1
	s := g.Body(g.id("step"))
	state := s.Input(g.id("state"), onnxio.Float)
	row := s.Input(g.id("slice"), onnxio.Float)
	y := s.Add(s.Mul(state, s.Const(float32(0.5))), s.Relu(row))
	s.Output(y, onnxio.Float)
	s.Output(s.Add(y, p), onnxio.Float)
	start := g.Slice(g.like(f).name, 2, 0, 1)
	out := g.NodeN("Scan", []string{g.Squeeze(start, 2), f.name}, 2, testmodels.Attrs{"body": s, "num_scan_inputs": 1, "scan_input_axes": []int{2}, "scan_output_axes": []int{2}})
	return feat{out[1], f.c, f.h, f.w}
}

// ifCaptured has a convolution outside, one of its own, and a value that both branches read.
func (g *graphs) ifCaptured(f feat) feat {
	o := g.like(f)
	cond := g.Node("Less", []string{g.reduce("ReduceSum", g.whole(2).name, false, 0, 1, 2, 3), g.Const(float32(3))})
	branch := func(op string) *testmodels.Builder {
		b := g.Body(g.id("branch"))
		b.Output(b.Node(op, []string{f.name, o.name}), onnxio.Float)
		return b
	}
	f.name = g.Node("If", []string{cond}, testmodels.Attrs{"then_branch": branch("Add"), "else_branch": branch("Sub")})
	return f
}

// functionAttributes calls a function twice, with an attribute of each call's own.
func (g *graphs) functionAttributes(f feat) feat {
	name := g.id("Leaky")
	g.Builder.Function("fuzz", name, []string{"in", "w"}, []string{"out"}, []string{"slope"}, func(b *testmodels.Builder) {
		y := b.Node("Conv", []string{"in", "w"})
		b.NodeTo("LeakyRelu", []string{y}, []string{"out"}, testmodels.Attrs{"alpha": testmodels.Ref{Name: "slope", Type: onnxio.AttrFloat}})
	})
	for _, slope := range []float64{0.1, 0.4} {
		out := g.width()
		w := g.Weight(g.id("given"), int64(out), int64(f.c), 1, 1)
		f = feat{g.Node("fuzz::"+name, []string{f.name, w}, testmodels.Attrs{"slope": slope}), out, f.h, f.w}
	}
	return f
}

// functionWeight calls a function on two values with one weight.
func (g *graphs) functionWeight(f feat) feat {
	name, out := g.id("Twice"), g.width()
	g.Builder.Function("fuzz", name, []string{"a", "b", "w"}, []string{"out", "unused"}, nil, func(b *testmodels.Builder) {
		x, y := b.Node("Conv", []string{"a", "w"}), b.Relu(b.Node("Conv", []string{"b", "w"}))
		b.NodeTo("Add", []string{x, y}, []string{"out"})
		b.NodeTo("Sub", []string{x, y}, []string{"unused"})
	})
	w := g.Weight(g.id("given"), int64(out), int64(f.c), 1, 1)
	y := g.NodeN("fuzz::"+name, []string{f.name, g.like(f).name, w}, 2)
	return feat{y[g.r.IntN(2)], out, f.h, f.w}
}

// functionNested calls a function that calls a function.
func (g *graphs) functionNested(f feat) feat {
	inner, outer := g.id("Inner"), g.id("Outer")
	out := g.width()
	g.Builder.Function("fuzz", inner, []string{"in"}, []string{"out"}, nil, func(b *testmodels.Builder) {
		b.NodeTo("Conv", []string{"in", b.Weight("w", int64(out), int64(f.c), 1, 1)}, []string{"out"})
	})
	g.Builder.Function("fuzz", outer, []string{"in"}, []string{"out"}, nil, func(b *testmodels.Builder) {
		b.NodeTo("Mul", []string{b.Node("fuzz::"+inner, []string{"in"}), b.Weight("w", int64(out), 1, 1)}, []string{"out"})
	})
	y := feat{g.Node("fuzz::"+outer, []string{f.name}), out, f.h, f.w}
	if g.r.IntN(2) == 0 {
		y.name = g.Add(y.name, g.Node("fuzz::"+inner, []string{g.like(f).name}))
	}
	return y
}

// shadowed has two bodies whose inner values have the same names.
func (g *graphs) shadowed(f feat) feat {
	hidden := g.id("hidden")
	branch := func(op string) *testmodels.Builder {
		b := g.Body(g.id("branch"))
		b.NodeTo(op, []string{f.name}, []string{hidden})
		b.NodeTo("Identity", []string{hidden}, []string{hidden + "_out"})
		b.Output(hidden+"_out", onnxio.Float)
		return b
	}
	cond := g.Const([]bool{g.r.IntN(2) == 0})
	f.name = g.Node("If", []string{cond}, testmodels.Attrs{"then_branch": branch("Relu"), "else_branch": branch("Softplus")})
	f.name = g.Add(f.name, g.Node("If", []string{cond}, testmodels.Attrs{"then_branch": branch("Tanh"), "else_branch": branch("Abs")}))
	return f
}
