package rewrite_test

import (
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// layers are whole parts of networks as exporters write them.
var layers = []blockKind{
	{"tokens", 1, (*graphs).tokens},
	{"attention", 1, (*graphs).attention},
	{"computed", 1, (*graphs).computed},
	{"branch", 1, (*graphs).branch},
	{"loop", 1, (*graphs).loop},
	{"sum", 1, (*graphs).sum},
	{"einsum", 12, (*graphs).einsum},
	{"groupNorm", 1, (*graphs).groupNorm},
	{"mean", 1, (*graphs).mean},
	{"where", 1, (*graphs).where},
	{"tile", 1, (*graphs).tile},
	{"squeezed", 1, (*graphs).squeezed},
	{"dequantised", 13, (*graphs).dequantised},
	{"function", 1, (*graphs).function},
	{"scan", 1, (*graphs).scan},
	{"filled", 1, (*graphs).filled},
	{"recurrent", 1, (*graphs).recurrent},
}

// tokens turns places into a sequence, through a linear layer, and back.
func (g *graphs) tokens(f feat) feat {
	out := g.width()
	y := g.Transpose(g.Reshape(f.name, 0, int64(f.c), -1), 0, 2, 1)
	y = g.MatMul(g.id("linear"), y, f.c, out)
	y = g.Add(y, g.Vector(g.id("bias"), int64(out), 0, 0.1))
	return feat{g.Reshape(g.Transpose(y, 0, 2, 1), 0, int64(out), int64(f.h), int64(f.w)), out, f.h, f.w}
}

func (g *graphs) attention(f feat) feat {
	if f.h*f.w > 16 {
		return feat{}
	}
	heads, d := int64(1+g.r.IntN(3)), int64(2+g.r.IntN(3))
	x := g.Transpose(g.Reshape(f.name, 0, int64(f.c), -1), 0, 2, 1)
	in := func(n string) string {
		return g.Transpose(g.Reshape(g.MatMul(g.id(n), x, f.c, int(heads*d)), 0, -1, heads, d), 0, 2, 1, 3)
	}
	q, k, v := in("q"), in("k"), in("v")
	a := g.Softmax(g.Node("MatMul", []string{q, g.Transpose(k, 0, 1, 3, 2)}), -1)
	y := g.Reshape(g.Transpose(g.Node("MatMul", []string{a, v}), 0, 2, 1, 3), 0, -1, heads*d)
	y = g.MatMul(g.id("proj"), y, int(heads*d), f.c)
	f.name = g.Reshape(g.Transpose(y, 0, 2, 1), 0, int64(f.c), int64(f.h), int64(f.w))
	return f
}

// computed flattens and restores by a shape that is computed at run time, and scales by a number computed from it.
func (g *graphs) computed(f feat) feat {
	shape := g.Shape(f.name)
	part := func(k int64) string { return g.Unsqueeze(g.Gather(shape, g.Const(k), 0), 0) }
	flat := g.Node("Reshape", []string{f.name, g.Concat(0, part(0), g.Const([]int64{int64(f.c)}), g.Const([]int64{-1}))})
	if g.r.IntN(2) == 0 {
		flat = g.Node("Reshape", []string{f.name, g.Concat(0, part(0), part(1), g.Const([]int64{-1}))})
	}
	if g.r.IntN(2) == 0 {
		c := g.Cast(g.Gather(shape, g.Const(int64(1)), 0), onnxio.Float)
		flat = g.Div(flat, g.Node("Sqrt", []string{c}))
	}
	f.name = g.Node("Reshape", []string{flat, shape})
	return f
}

// branch runs an activation, or a convolution of its own, inside an If.
func (g *graphs) branch(f feat) feat {
	body := func(name, op string, own bool) *testmodels.Builder {
		s := g.Body(name)
		y := s.Node(op, []string{f.name})
		if own {
			y = s.Node("Conv", []string{y, s.Weight(g.id("inner"), int64(f.c), int64(f.c), 1, 1)})
		}
		s.Output(y, onnxio.Float)
		return s
	}
	cond := g.Const([]bool{g.r.IntN(2) == 0})
	if g.r.IntN(2) == 0 { // known only at run time
		cond = g.Node("Greater", []string{g.Reshape(g.GlobalAveragePool(g.live[0].name), -1), g.Const([]float32{0})})
		cond = g.Node("Greater", []string{g.Node("ReduceMax", []string{g.Cast(cond, onnxio.Float)}, testmodels.Attrs{"keepdims": 0}), g.Const(float32(0))})
	}
	own := g.r.IntN(2) == 0
	f.name = g.Named(g.id("If")).Node("If", []string{cond},
		testmodels.Attrs{"then_branch": body(g.id("then"), "Relu", own), "else_branch": body(g.id("else"), "Tanh", false)})
	return f
}

// loop adds a value to itself three times.
func (g *graphs) loop(f feat) feat {
	s := g.Body(g.id("body"))
	s.Input(g.id("i"), onnxio.Int64, []int64{})
	cond := s.Input(g.id("cond"), onnxio.Bool, []int64{})
	state := s.Input(g.id("state"), onnxio.Float)
	s.Output(s.Node("Identity", []string{cond}), onnxio.Bool, []int64{})
	s.Output(s.Add(s.Mul(state, s.Const(float32(0.5))), f.name), onnxio.Float)
	f.name = g.Named(g.id("Loop")).Node("Loop", []string{g.Const(int64(3)), g.Const(true), g.Relu(f.name)}, testmodels.Attrs{"body": s})
	return f
}

// sum gates a value by the sum of all its channels.
func (g *graphs) sum(f feat) feat {
	var s string
	if g.Opset() >= 13 {
		s = g.Node("ReduceSum", []string{f.name, g.Const([]int64{1})}, testmodels.Attrs{"keepdims": 1})
	} else {
		s = g.Node("ReduceSum", []string{f.name}, testmodels.Attrs{"axes": []int{1}, "keepdims": 1})
	}
	f.name = g.Mul(f.name, g.Sigmoid(s))
	return f
}

func (g *graphs) einsum(f feat) feat {
	if g.Opset() < 12 {
		return feat{}
	}
	out := g.width()
	w := g.Weight(g.id("einsum"), int64(f.c), int64(out))
	return feat{g.Node("Einsum", []string{f.name, w}, testmodels.Attrs{"equation": "nchw,cd->ndhw"}), out, f.h, f.w}
}

// groupNorm is written out, as exporters do: whole groups are normalised over their channels and places.
func (g *graphs) groupNorm(f feat) feat {
	if f.c%2 != 0 {
		return feat{}
	}
	y := g.Reshape(f.name, 0, 2, -1)
	y = g.Node("InstanceNormalization", []string{y, g.Vector(g.id("ones"), 2, 1, 0), g.Vector(g.id("zeros"), 2, 0, 0)})
	y = g.Reshape(y, -1, int64(f.c), int64(f.h), int64(f.w))
	f.name = g.Add(g.Mul(y, g.Weight(g.id("scale"), int64(f.c), 1, 1)), g.Weight(g.id("shift"), int64(f.c), 1, 1))
	return f
}

// mean takes the mean over places and adds it to all of them.
func (g *graphs) mean(f feat) feat {
	f.name = g.Add(f.name, g.ReduceMean(f.name, 2, 3))
	return f
}

func (g *graphs) where(f feat) feat {
	cond := g.Node("Greater", []string{f.name, g.Const(float32(0))})
	f.name = g.Node("Where", []string{cond, f.name, g.like(f).name})
	return f
}

// tile repeats one value per channel over all places.
func (g *graphs) tile(f feat) feat {
	p := g.conv(feat{g.GlobalAveragePool(f.name), f.c, 1, 1}, f.c, 1, 1)
	f.name = g.Mul(f.name, g.Sigmoid(g.Node("Tile", []string{p.name, g.Const([]int64{1, 1, int64(f.h), int64(f.w)})})))
	return f
}

// squeezed gates channels by a linear layer on their means, without the axes of places in between.
func (g *graphs) squeezed(f feat) feat {
	y := g.Squeeze(g.GlobalAveragePool(f.name), 2, 3)
	y = g.Gemm(g.id("gate"), y, f.c, f.c)
	f.name = g.Mul(f.name, g.Unsqueeze(g.Sigmoid(y), 2, 3))
	return f
}

// dequantised is a convolution whose int8 weight is dequantised channel by channel.
func (g *graphs) dequantised(f feat) feat {
	if g.Opset() < 13 {
		return feat{}
	}
	out := g.width()
	vs := make([]int8, out*f.c)
	for i := range vs {
		vs[i] = int8(g.r.IntN(255) - 127)
	}
	scale := make([]float32, out)
	for i := range scale {
		scale[i] = 0.002 + 0.01*g.r.Float32()
	}
	q := g.ConstDims(g.id("int8"), []int64{int64(out), int64(f.c), 1, 1}, vs)
	w := g.Node("DequantizeLinear", []string{q, g.Const(scale)}, testmodels.Attrs{"axis": 0})
	return feat{g.Node("Conv", []string{f.name, w}), out, f.h, f.w}
}

// function calls a function of the model that holds a weight of its own and writes a size down.
func (g *graphs) function(f feat) feat {
	out := g.width()
	name := g.id("Block")
	g.Builder.Function("fuzz", name, []string{"in"}, []string{"out"}, nil, func(b *testmodels.Builder) {
		b.Constants = true
		y := b.Node("Conv", []string{"in", b.Weight("w", int64(out), int64(f.c), 1, 1)})
		y = b.Reshape(b.Relu(y), -1, int64(out), int64(f.h*f.w))
		b.NodeTo("Reshape", []string{y, b.Const([]int64{-1, int64(out), int64(f.h), int64(f.w)})}, []string{"out"})
	})
	y := feat{g.Node("fuzz::"+name, []string{f.name}), out, f.h, f.w}
	if g.r.IntN(2) == 0 { // the same function twice, for channels that are cut in different ways
		y.name = g.Concat(1, y.name, g.Node("fuzz::"+name, []string{g.like(f).name}))
		y.c *= 2
	}
	return y
}

// scan adds up along the batch axis what a body makes of each picture.
func (g *graphs) scan(f feat) feat {
	s := g.Body(g.id("step"))
	x := s.Input(g.id("slice"), onnxio.Float, f.c, f.h, f.w)
	s.Output(s.Relu(x), onnxio.Float)
	f.name = g.Named(g.id("Scan")).Node("Scan", []string{f.name}, testmodels.Attrs{"body": s, "num_scan_inputs": 1})
	return f
}

// filled adds a constant that is made from a shape.
func (g *graphs) filled(f feat) feat {
	c := g.Node("ConstantOfShape", []string{g.Const([]int64{1, int64(f.c), 1, 1})}, testmodels.Attrs{"value": testmodels.NewTensor("", []float32{0.5})})
	f.name = g.Add(f.name, c)
	return f
}

// recurrent runs a GRU over the places.
func (g *graphs) recurrent(f feat) feat {
	const hidden = 3
	x := g.Transpose(g.Reshape(f.name, 0, int64(f.c), -1), 2, 0, 1)
	w, r := g.Weight(g.id("gru"), 1, 3*hidden, int64(f.c)), g.Weight(g.id("state"), 1, 3*hidden, hidden)
	y := g.Squeeze(g.Node("GRU", []string{x, w, r}, testmodels.Attrs{"hidden_size": hidden}), 1)
	y = g.Reshape(g.Transpose(y, 1, 2, 0), -1, hidden, int64(f.h), int64(f.w))
	return feat{y, hidden, f.h, f.w}
}
