package ops

// Operators that draw random numbers. A node with a seed draws the same numbers in every run: those that NumPy's
// RandomState draws for that seed, as ONNX's own reference does. Without a seed the numbers come from the run's source, or, if
// it has none, from seed 0.

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "RandomNormal", buildRandom(readNormal, false), 1, 22)
	Register("", "RandomNormalLike", buildRandom(readNormal, true), 1, 22)
	Register("", "RandomUniform", buildRandom(readUniform, false), 1, 22)
	Register("", "RandomUniformLike", buildRandom(readUniform, true), 1, 22)
	Register("", "Multinomial", buildMultinomial, 7, 22)
	Register("", "Bernoulli", buildBernoulli, 15, 22)
	Register("", "Dropout", buildDropout, 1, 6, 7, 10, 12, 13, 22)
}

// seeding says where a node's numbers come from.
type seeding struct {
	seed  uint32
	fixed bool
}

// readSeed reads a seed that is a float, as all random operators but Dropout have it.
func readSeed(n *Node) seeding {
	s := n.Float("seed", 0)
	seed := uint32(int64(s))
	if float64(s) != math.Trunc(float64(s)) || math.Abs(float64(s)) >= 1<<32 {
		seed = math.Float32bits(s)
	}
	return seeding{seed, n.Has("seed")}
}

// uniforms returns a source of numbers in [0, 1).
func (s seeding) uniforms(c *Context) func() float64 {
	if !s.fixed && c.Random != nil {
		return func() float64 { return float64(c.Random()>>11) / (1 << 53) }
	}
	return newTwister(s.seed).float64
}

func readNormal(n *Node) func(uniform func() float64) func() float64 {
	mean, scale := float64(n.Float("mean", 0)), float64(n.Float("scale", 1))
	return func(uniform func() float64) func() float64 {
		normal := normals(uniform)
		return func() float64 { return mean + scale*normal() }
	}
}

func readUniform(n *Node) func(uniform func() float64) func() float64 {
	low, high := float64(n.Float("low", 0)), float64(n.Float("high", 1))
	return func(uniform func() float64) func() float64 {
		return func() float64 { return low + (high-low)*uniform() }
	}
}

// normals draws from the normal distribution by Marsaglia's polar method, two numbers at a time.
func normals(uniform func() float64) func() float64 {
	spare, has := 0.0, false
	return func() float64 {
		if has {
			has = false
			return spare
		}
		for {
			x, y := 2*uniform()-1, 2*uniform()-1
			r := x*x + y*y
			if r >= 1 || r == 0 {
				continue
			}
			f := math.Sqrt(-2 * math.Log(r) / r)
			spare, has = f*x, true
			return f * y
		}
	}
}

// buildRandom makes the operators that fill a shape of their own, or their input's, with a distribution.
func buildRandom(read func(*Node) func(func() float64) func() float64, like bool) Builder {
	return func(n *Node) (Kernel, error) {
		distribution, seed := read(n), readSeed(n)
		dtype := onnxio.DataType(n.Int("dtype", 0))
		var shape []int
		inputs := 1
		if !like {
			inputs = 0
			shape = n.Ints("shape")
			if !n.Has("shape") {
				return nil, fmt.Errorf("attribute shape is missing")
			}
			if dtype == onnxio.Undefined {
				dtype = onnxio.Float
			}
		}
		if err := n.CheckInputs(inputs, inputs); err != nil {
			return nil, err
		}
		return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			typ, dims := dtype, shape
			if like {
				dims = in[0].Shape
				if typ == onnxio.Undefined {
					typ = in[0].Type
				}
			}
			if !typ.IsFloat() {
				return nil, fmt.Errorf("random numbers of type %v", typ)
			}
			wide, err := c.New(onnxio.Double, dims...)
			if err != nil {
				return nil, err
			}
			draw := distribution(seed.uniforms(c))
			d := wide.Data.([]float64)
			for i := range d {
				d[i] = draw()
			}
			return oneOutput(castTensor(c, wide, typ, castOptions{}))
		}), nil
	}
}

// buildMultinomial draws classes by their unnormalized logarithms of probabilities, one row per batch entry.
func buildMultinomial(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	dtype, seed := onnxio.DataType(n.Int("dtype", int64(onnxio.Int32))), readSeed(n)
	samples := int(n.Int("sample_size", 1))
	if dtype != onnxio.Int32 && dtype != onnxio.Int64 {
		return nil, fmt.Errorf("attribute dtype is %v, want int32 or int64", dtype)
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		scores, ok := in[0].Floats()
		if !ok || len(in[0].Shape) != 2 || in[0].Shape[1] == 0 && in[0].Shape[0] > 0 {
			return nil, fmt.Errorf("input is %v, want a matrix of floats: a row of classes for each of the batch", in[0])
		}
		batch, classes := in[0].Shape[0], in[0].Shape[1]
		out, err := c.New(onnxio.Int64, batch, samples)
		if err != nil {
			return nil, err
		}
		dst, uniform := out.Data.([]int64), seed.uniforms(c)
		sums := make([]float64, classes)
		for b := range batch {
			row := scores[b*classes : (b+1)*classes]
			top, sum := largestFloat(row), 0.0
			for i, v := range row {
				sum += math.Exp(v - top)
				sums[i] = sum
			}
			for s := range samples {
				at := uniform() * sum
				class := 0
				for class < classes-1 && sums[class] <= at {
					class++
				}
				dst[b*samples+s] = int64(class)
			}
		}
		return oneOutput(castTensor(c, out, dtype, castOptions{}))
	}), nil
}

// buildBernoulli draws ones with the probabilities of its input. The comparison is NumPy's.
func buildBernoulli(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	dtype, seed := onnxio.DataType(n.Int("dtype", 0)), readSeed(n)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		p, ok := in[0].Floats()
		if !ok || !in[0].Type.IsFloat() {
			return nil, fmt.Errorf("input is %v, want floats", in[0])
		}
		typ := dtype
		if typ == onnxio.Undefined {
			typ = in[0].Type
		}
		ones, err := c.New(onnxio.Bool, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		d, uniform := ones.Data.([]bool), seed.uniforms(c)
		for i, v := range p {
			if !(v >= 0 && v <= 1) {
				return nil, fmt.Errorf("element %d of %v, %g, is no probability", i, in[0], v)
			}
			switch u := uniform(); {
			case v == 0:
			case v <= 0.5:
				d[i] = u > 1-v
			default:
				d[i] = u <= v
			}
		}
		return oneOutput(castTensor(c, ones, typ, castOptions{}))
	}), nil
}

// dropout zeroes elements at random in training, and passes its input on otherwise.
type dropout struct {
	ratio    float64
	training bool
	seed     seeding
	maskType onnxio.DataType // Undefined: that of the input
	outputs  int
}

func buildDropout(n *Node) (Kernel, error) {
	d := dropout{maskType: onnxio.Bool, outputs: max(1, len(n.Outputs))}
	most := 1
	switch {
	case n.Since >= 12:
		most = 3
		d.ratio = 0.5
		d.seed = seeding{uint32(n.Int("seed", 0)), n.Has("seed")}
	default:
		d.ratio = float64(n.Float("ratio", 0.5))
	}
	if n.Since < 10 {
		d.maskType = onnxio.Undefined
	}
	if n.Since < 7 {
		ignoreMemoryHint(n)
		d.training = !n.Bool("is_test", false)
	}
	if err := n.CheckInputs(1, most); err != nil {
		return nil, err
	}
	return viaFloat32(d.run), nil
}

func (d dropout) run(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
	x := in[0]
	if len(in) > 1 && in[1] != nil {
		ratio, ok := in[1].Floats()
		if !ok || len(ratio) != 1 {
			return nil, fmt.Errorf("the ratio is %v, want one float", in[1])
		}
		d.ratio = ratio[0]
	}
	if len(in) > 2 && in[2] != nil {
		training, ok := in[2].Data.([]bool)
		if !ok || len(training) != 1 {
			return nil, fmt.Errorf("training_mode is %v, want one bool", in[2])
		}
		d.training = training[0]
	}
	if d.ratio < 0 || d.ratio >= 1 {
		return nil, fmt.Errorf("the ratio is %g, want at least 0 and less than 1", d.ratio)
	}
	out := make([]*value.Tensor, d.outputs)
	drops := d.training && d.ratio > 0
	if !drops && d.outputs == 1 {
		out[0] = x.View(x.Shape...)
		return out, nil
	}
	mask, err := c.New(onnxio.Bool, x.Shape...)
	if err != nil {
		return nil, err
	}
	keep := mask.Data.([]bool)
	uniform := d.seed.uniforms(c)
	for i := range keep {
		keep[i] = !drops || uniform() >= d.ratio
	}
	out[0] = x.View(x.Shape...)
	if drops {
		if out[0], err = c.New(x.Type, x.Shape...); err != nil {
			return nil, err
		}
		switch src := x.Data.(type) {
		case []float32:
			scaleKept(out[0].Data.([]float32), src, keep, 1/(1-d.ratio))
		case []float64:
			scaleKept(out[0].Data.([]float64), src, keep, 1/(1-d.ratio))
		default:
			return nil, fmt.Errorf("it has no meaning for %v", x)
		}
	}
	if d.outputs > 1 {
		typ := d.maskType
		if typ == onnxio.Undefined {
			typ = x.Type
		}
		out[1], err = castTensor(c, mask, typ, castOptions{})
	}
	return out, err
}

func scaleKept[T kernels.Float](dst, x []T, keep []bool, scale float64) {
	for i, v := range x {
		if keep[i] {
			dst[i] = T(float64(v) * scale)
		}
	}
}
