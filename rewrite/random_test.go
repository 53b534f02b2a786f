package rewrite_test

import (
	"fmt"
	"math/rand/v2"
	"slices"

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

	batch  int64                      // of the input; 0 where it is a symbol
	plugin bool                       // the outputs come out of an operator that nothing knows
	exact  []feat                     // values that are whole numbers, the same bit by bit in whatever order they were summed
	drawn  func(name string, ok bool) // is told of every block
}

// feat is a value of shape [batch, c, h, w].
type feat struct {
	name    string
	c, h, w int
}

// opsets are those that models are drawn in, the usual ones more often.
var opsets = []int64{9, 10, 11, 12, 13, 13, 14, 15, 16, 17, 17, 18, 18, 19, 20, 20, 21, 22, 23, 24, 25, 26, 27}

// randomModel draws a model with one input x of [batch, c, h, w]; batch is 1 or a symbol.
func randomModel(seed uint64) (*testmodels.Builder, []int) { return drawModel(seed, nil) }

// drawModel is randomModel that tells of every block.
func drawModel(seed uint64, drawn func(name string, ok bool)) (*testmodels.Builder, []int) {
	r := rand.New(rand.NewPCG(seed, 0x5eed))
	g := &graphs{Builder: testmodels.New(opsets[r.IntN(len(opsets))]), r: r, drawn: drawn, batch: 1}
	g.Import("ai.onnx.ml", 2) // its first operators are also in its second version, the others are not in the first
	c, s := 1+r.IntN(4), 4*(1+r.IntN(2))
	var batch any = 1
	if r.IntN(3) == 0 {
		batch, g.batch = "N", 0
	}
	x := g.Input("x", onnxio.Float, batch, c, s, s)
	g.live = []feat{{x, c, s, s}}
	g.push(g.conv(g.live[0], g.width(), 3, 1))
	for range 2 + r.IntN(9) {
		g.step()
	}
	if !slices.Contains(seeds, seed) {
		g.extend(rand.New(rand.NewPCG(seed, 0xc0de)))
	}
	var ends []string
	for k := range 1 + r.IntN(2) {
		f := g.pick()
		if k == 0 {
			f = g.live[len(g.live)-1]
		}
		ends = append(ends, g.finish(f))
	}
	if g.plugin { // an operator that nothing here knows picks from them, as those of TensorRT pick boxes
		ends = g.NodeN(pluginDomain+"::Select", ends, 2)
	}
	for _, y := range ends {
		g.Output(y, onnxio.Float)
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

// blockKind is one kind of step: it reads a value and makes another one, or none where it does not fit.
type blockKind struct {
	name  string
	since int64 // the first opset that has it
	make  func(*graphs, feat) feat
}

// families are the kinds of blocks. The first is what networks are made of, and is drawn as often as all others together.
var families = [][]blockKind{structure, layers, elementwise, discontinuous, convOther, pools, norms, reductions, moves, resizes, quantised, microsoft, control, sequences,
	opaque, weights}

// others are the blocks of all families but the first.
var others = slices.Concat(families[1:]...)

// step adds one block.
func (g *graphs) step() {
	family := families[0]
	if g.r.IntN(2) == 0 {
		family = others
	}
	g.block(family)
}

// pluginDomain is that of operators which no rule and no runtime knows.
const pluginDomain = "plugin"

// extend adds what came later, by numbers of its own, to half of the models.
func (g *graphs) extend(r *rand.Rand) {
	if r.IntN(2) > 0 {
		return
	}
	own := g.r
	g.r, g.plugin = r, r.IntN(4) == 0
	if in := g.Graph().Inputs[0]; g.batch == 0 && r.IntN(2) == 0 { // as some exporters write an open extent
		dims := slices.Clone(in.Type.Shape)
		dims[0] = onnxio.Fixed(-1)
		if err := in.SetShape(dims); err != nil {
			panic(err)
		}
	}
	for range 1 + r.IntN(3) {
		g.block(computed)
	}
	g.r = own
}

// block adds a block of a family.
func (g *graphs) block(family []blockKind) {
	b := family[g.r.IntN(len(family))]
	if g.Opset() < b.since {
		return
	}
	y := b.make(g, g.pick())
	if g.drawn != nil {
		g.drawn(b.name, y.name != "")
	}
	if y.name != "" {
		g.push(y)
	}
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
