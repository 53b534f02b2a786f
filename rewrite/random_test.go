package rewrite_test

import (
	"fmt"
	"math/rand/v2"

	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// graphs draws small valid models at random: convolutions of all kinds, joins, splits, reshapes, attention, computed shapes,
// control flow, shared and constant weights, in any order. The same seed gives the same model.
type graphs struct {
	*testmodels.Builder
	r    *rand.Rand
	n    int    // of names
	live []feat // values that may be read on
}

// feat is a value of shape [batch, c, h, w].
type feat struct {
	name    string
	c, h, w int
}

// randomModel draws a model with one input x of [batch, c, h, w]; batch is 1 or a symbol.
func randomModel(seed uint64) (*testmodels.Builder, []int) {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	g := &graphs{Builder: testmodels.New([]int64{11, 13, 17, 20}[r.IntN(4)]), r: r}
	c, s := 1+r.IntN(4), 4*(1+r.IntN(2))
	var batch any = 1
	if r.IntN(3) == 0 {
		batch = "N"
	}
	x := g.Input("x", onnxio.Float, batch, c, s, s)
	g.live = []feat{{x, c, s, s}}
	g.push(g.conv(g.live[0], g.width(), 3, 1))
	for range 2 + r.IntN(9) {
		g.step()
	}
	for k := range 1 + r.IntN(2) {
		f := g.pick()
		if k == 0 {
			f = g.live[len(g.live)-1]
		}
		g.Output(g.finish(f), onnxio.Float)
	}
	return g.Builder, []int{1 + r.IntN(2)*btoi(batch != any(1)), c, s, s}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (g *graphs) id(what string) string {
	g.n++
	return fmt.Sprintf("%s%d", what, g.n)
}

func (g *graphs) width() int { return []int{2, 3, 4, 6, 8, 8, 12}[g.r.IntN(7)] }

func (g *graphs) push(f feat) { g.live = append(g.live, f) }

func (g *graphs) pick() feat {
	if g.r.IntN(3) > 0 {
		return g.live[len(g.live)-1]
	}
	return g.live[g.r.IntN(len(g.live))]
}

func (g *graphs) conv(f feat, out, k, groups int) feat {
	opts := []testmodels.ConvOption{testmodels.Groups(groups)}
	if g.r.IntN(2) == 0 {
		opts = append(opts, testmodels.Bias())
	}
	g.Constants = g.r.IntN(5) == 0
	y := g.Conv(g.id("conv"), f.name, f.c, out, k, opts...)
	g.Constants = false
	return feat{y, out, f.h, f.w}
}

// like makes a value of the same shape as f out of another one.
func (g *graphs) like(f feat) feat {
	for _, o := range g.live {
		if o != f && o.c == f.c && o.h == f.h && o.w == f.w && g.r.IntN(2) == 0 {
			return o
		}
	}
	var same []feat
	for _, o := range g.live {
		if o.h == f.h && o.w == f.w {
			same = append(same, o)
		}
	}
	return g.conv(same[g.r.IntN(len(same))], f.c, 1, 1)
}

// step adds one block.
func (g *graphs) step() {
	f := g.pick()
	blocks := []func(feat) feat{g.plain, g.plain, g.grouped, g.depthwise, g.activation, g.activation, g.norm, g.residual, g.residual, g.concat, g.concat,
		g.split, g.slice, g.gather, g.excite, g.pool, g.upsample, g.transposed, g.pixelShuffle, g.shuffle, g.frozen, g.attention, g.computed, g.branch, g.loop,
		g.sum, g.twice, g.shared, g.tokens, g.padded, g.expand, g.spaceToDepth, g.einsum, g.groupNorm, g.mean, g.where, g.tile, g.squeezed, g.quantised,
		g.function, g.scan, g.filled, g.halved, g.widthAsNumber, g.recurrent}
	if y := blocks[g.r.IntN(len(blocks))](f); y.name != "" {
		g.push(y)
	}
}

func (g *graphs) plain(f feat) feat { return g.conv(f, g.width(), 1+2*g.r.IntN(2), 1) }

func (g *graphs) grouped(f feat) feat {
	for _, n := range []int{2, 3, 4} {
		if f.c%n == 0 && f.c > n {
			return g.conv(f, n*(1+g.r.IntN(3)), 3, n)
		}
	}
	return feat{}
}

func (g *graphs) depthwise(f feat) feat { return g.conv(f, f.c*(1+g.r.IntN(2)), 3, f.c) }

func (g *graphs) activation(f feat) feat {
	switch g.r.IntN(5) {
	case 0:
		f.name = g.Relu(f.name)
	case 1:
		f.name = g.Sigmoid(f.name)
	case 2:
		f.name = g.LeakyRelu(f.name, 0.1)
	case 3:
		f.name = g.Node("PRelu", []string{f.name, g.Weight(g.id("slope"), int64(f.c), 1, 1)})
	default:
		f.name = g.Clip(f.name, 0, 6)
	}
	return f
}

func (g *graphs) norm(f feat) feat {
	if g.r.IntN(3) == 0 {
		f.name = g.Node("InstanceNormalization", []string{f.name, g.Vector(g.id("scale"), int64(f.c), 1, 0.2), g.Vector(g.id("bias"), int64(f.c), 0, 0.2)})
		return f
	}
	f.name = g.BN(g.id("bn"), f.name, f.c)
	return f
}

func (g *graphs) residual(f feat) feat {
	f.name = g.Node([]string{"Add", "Mul", "Sub", "Max"}[g.r.IntN(4)], []string{f.name, g.like(f).name})
	return f
}

func (g *graphs) concat(f feat) feat {
	names, c := []string{f.name}, f.c
	for range 1 + g.r.IntN(2) {
		o := g.pick()
		if o.h == f.h && o.w == f.w && c+o.c < 40 {
			names, c = append(names, o.name), c+o.c
		}
	}
	return feat{g.Concat(1, names...), c, f.h, f.w}
}

func (g *graphs) split(f feat) feat {
	if f.c < 2 {
		return feat{}
	}
	k := 1 + g.r.IntN(f.c-1)
	s := g.Split(f.name, 1, int64(k), int64(f.c-k))
	a := g.conv(feat{s[0], k, f.h, f.w}, f.c-k, 1, 1)
	if g.r.IntN(2) == 0 {
		return feat{g.Add(a.name, s[1]), f.c - k, f.h, f.w}
	}
	return feat{g.Concat(1, s[1], a.name), 2 * (f.c - k), f.h, f.w}
}

func (g *graphs) slice(f feat) feat {
	if f.c < 3 {
		return feat{}
	}
	from := g.r.IntN(f.c - 1)
	to := from + 1 + g.r.IntN(f.c-from)
	return feat{g.Slice(f.name, 1, int64(from), int64(min(to, f.c))), min(to, f.c) - from, f.h, f.w}
}

func (g *graphs) gather(f feat) feat {
	index := make([]int64, f.c)
	for i, k := range g.r.Perm(f.c) {
		index[i] = int64(k)
	}
	index = index[:1+g.r.IntN(f.c)]
	return feat{g.Gather(f.name, g.Const(index), 1), len(index), f.h, f.w}
}

func (g *graphs) excite(f feat) feat {
	s := feat{g.GlobalAveragePool(f.name), f.c, 1, 1}
	s = g.conv(s, 2, 1, 1)
	s.name = g.Relu(s.name)
	s = g.conv(s, f.c, 1, 1)
	f.name = g.Mul(f.name, g.Sigmoid(s.name))
	return f
}

func (g *graphs) pool(f feat) feat {
	if f.h < 4 {
		return feat{}
	}
	if g.r.IntN(2) == 0 {
		return feat{g.MaxPool(f.name, 2, 2, testmodels.Pad(0)), f.c, f.h / 2, f.w / 2}
	}
	return feat{g.AveragePool(f.name, 2, 2, testmodels.Pad(0)), f.c, f.h / 2, f.w / 2}
}

func (g *graphs) upsample(f feat) feat {
	if f.h > 8 {
		return feat{}
	}
	return feat{g.Upsample(f.name, 2), f.c, 2 * f.h, 2 * f.w}
}

func (g *graphs) transposed(f feat) feat {
	if f.h > 8 {
		return feat{}
	}
	n, out := 1, g.width()
	if f.c%2 == 0 && out%2 == 0 && g.r.IntN(2) == 0 {
		n = 2
	}
	return feat{g.ConvTranspose(g.id("up"), f.name, f.c, out, 2, testmodels.Stride(2), testmodels.Pad(0), testmodels.Groups(n)), out, 2 * f.h, 2 * f.w}
}

func (g *graphs) pixelShuffle(f feat) feat {
	f = g.conv(f, 4*(1+g.r.IntN(3)), 1, 1)
	c := int64(f.c / 4)
	if g.r.IntN(2) == 0 {
		mode := []string{"DCR", "CRD"}[g.r.IntN(2)]
		return feat{g.Node("DepthToSpace", []string{f.name}, testmodels.Attrs{"blocksize": 2, "mode": mode}), int(c), 2 * f.h, 2 * f.w}
	}
	y := g.Transpose(g.Reshape(f.name, -1, c, 2, 2, int64(f.h), int64(f.w)), 0, 1, 4, 2, 5, 3)
	return feat{g.Reshape(y, -1, c, int64(2*f.h), int64(2*f.w)), int(c), 2 * f.h, 2 * f.w}
}

func (g *graphs) shuffle(f feat) feat {
	for _, n := range []int64{2, 3, 4} {
		if int64(f.c)%n == 0 && int64(f.c) > n {
			y := g.Reshape(f.name, -1, n, int64(f.c)/n, int64(f.h), int64(f.w))
			f.name = g.Reshape(g.Transpose(y, 0, 2, 1, 3, 4), -1, int64(f.c), int64(f.h), int64(f.w))
			return f
		}
	}
	return feat{}
}

func (g *graphs) frozen(f feat) feat {
	f.name = g.Mul(f.name, g.Weight(g.id("scale"), 1, int64(f.c), 1, 1))
	f.name = g.Add(f.name, g.Weight(g.id("shift"), int64(f.c), 1, 1))
	return f
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
	if f.h > 4 {
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

func (g *graphs) twice(f feat) feat {
	if f.c > 12 {
		return feat{}
	}
	return feat{g.Concat(1, f.name, f.name), 2 * f.c, f.h, f.w}
}

// shared uses one weight for two values.
func (g *graphs) shared(f feat) feat {
	o := g.like(f)
	out := g.width()
	w := g.Weight(g.id("shared"), int64(out), int64(f.c), 1, 1)
	return feat{g.Add(g.Node("Conv", []string{f.name, w}), g.Relu(g.Node("Conv", []string{o.name, w}))), out, f.h, f.w}
}

// padded adds channels of zeros, as shortcuts of CIFAR's ResNets do.
func (g *graphs) padded(f feat) feat {
	pads := []int64{0, int64(g.r.IntN(2)), 0, 0, 0, 2, 0, 0}
	return feat{g.Node("Pad", []string{f.name, g.Const(pads)}), f.c + int(pads[1]) + 2, f.h, f.w}
}

// expand repeats one value per channel over all places and adds it.
func (g *graphs) expand(f feat) feat {
	p := g.conv(feat{g.GlobalAveragePool(f.name), f.c, 1, 1}, f.c, 1, 1)
	f.name = g.Add(f.name, g.Node("Expand", []string{p.name, g.Const([]int64{1, int64(f.c), int64(f.h), int64(f.w)})}))
	return f
}

func (g *graphs) spaceToDepth(f feat) feat {
	if f.h < 4 || f.h%2 != 0 || f.w%2 != 0 || f.c > 8 {
		return feat{}
	}
	return feat{g.Node("SpaceToDepth", []string{f.name}, testmodels.Attrs{"blocksize": 2}), 4 * f.c, f.h / 2, f.w / 2}
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

// quantised is a convolution whose int8 weight is dequantised channel by channel.
func (g *graphs) quantised(f feat) feat {
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

// halved takes the second half of the channels, by bounds that are computed from the shape.
func (g *graphs) halved(f feat) feat {
	if f.c%2 != 0 {
		return feat{}
	}
	width := g.Unsqueeze(g.Gather(g.Shape(f.name), g.Const(int64(1)), 0), 0)
	half := g.Div(width, g.Const([]int64{2}))
	return feat{g.Node("Slice", []string{f.name, half, width, g.Const([]int64{1})}), f.c / 2, f.h, f.w}
}

// widthAsNumber bounds another axis by the number of channels.
func (g *graphs) widthAsNumber(f feat) feat {
	if f.c > f.h || f.c < 2 {
		return feat{}
	}
	width := g.Unsqueeze(g.Gather(g.Shape(f.name), g.Const(int64(1)), 0), 0)
	return feat{g.Node("Slice", []string{f.name, g.Const([]int64{0}), width, g.Const([]int64{2})}), f.c, f.c, f.w}
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

// finish ends in a linear layer, a convolution, or as it is.
func (g *graphs) finish(f feat) string {
	switch g.r.IntN(3) {
	case 0:
		return g.conv(f, 3, 1, 1).name
	case 1:
		flat := g.Flatten(f.name)
		return g.Gemm(g.id("fc"), flat, f.c*f.h*f.w, 4)
	}
	return g.Relu(f.name)
}
