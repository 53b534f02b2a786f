package ops

// GridSample and AffineGrid: reading a picture at given places, and the places for an affine map. Order of padding and
// interpolation is ONNX Runtime's: coordinates are reflected or clamped first, then each neighbour is.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "GridSample", buildGridSample, 16, 20, 22)
	Register("com.microsoft", "GridSample", buildGridSample, 1) // what exporters wrote before opset 16
	Register("", "AffineGrid", buildAffineGrid, 20)
}

type gridSampler struct {
	mode    string // nearest, linear, cubic
	padding string
	corners bool // -1 and 1 are the centres of the corner pixels, not their outer edges
}

func buildGridSample(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	g := &gridSampler{}
	if n.Since < 20 {
		words := map[string]string{"bilinear": "linear", "nearest": "nearest", "bicubic": "cubic"}
		g.mode = words[n.OneOf("mode", "bilinear", "nearest", "bicubic")]
	} else {
		g.mode = n.OneOf("mode", "linear", "nearest", "cubic")
	}
	g.padding = n.OneOf("padding_mode", "zeros", "border", "reflection")
	g.corners = n.Bool("align_corners", false)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x, grid := in[0], in[1]
		rank := len(x.Shape)
		if rank < 3 || len(grid.Shape) != rank || grid.Shape[rank-1] != rank-2 || grid.Shape[0] != x.Shape[0] {
			return nil, fmt.Errorf("grid %v for %v", grid, x)
		}
		places, err := floatElements[float64](grid)
		if err != nil {
			return nil, fmt.Errorf("grid: %w", err)
		}
		shape := append(slices.Clone(x.Shape[:2]), grid.Shape[1:rank-1]...)
		if value.Count(x.Shape[2:]) == 0 && value.Count(shape) > 0 {
			return nil, fmt.Errorf("nothing to sample in %v", x)
		}
		switch {
		case x.Type == onnxio.Double:
			return oneOutput(sampleFloats[float64](c, g, x, places, shape))
		case x.Type.IsFloat():
			return oneOutput(sampleFloats[float32](c, g, x, places, shape))
		case g.mode == "nearest":
			return oneOutput(g.pick(c, x, places, shape))
		}
		return nil, fmt.Errorf("%s interpolation of %v is not defined", g.mode, x)
	}), nil
}

// pick is nearest sampling of elements of any type.
func (g *gridSampler) pick(c *Context, x *value.Tensor, places []float64, shape []int) (*value.Tensor, error) {
	out, err := c.New(x.Type, shape...)
	if err != nil || out.Len() == 0 {
		return out, err
	}
	points, in := value.Count(shape[2:]), value.Count(x.Shape[2:])
	dims := x.Shape[2:]
	dst, src := moverOf(out), moverOf(x)
	s := g.newSample(dims)
	for i := range shape[0] * points {
		s.place(places[i*len(dims) : (i+1)*len(dims)])
		if s.at[0] < 0 {
			continue
		}
		b, p := i/points, i%points
		for ch := range shape[1] {
			k := b*shape[1] + ch
			dst.box(nil, []int{1}, k*points+p, []int{1}, src, k*in+s.at[0], []int{1})
		}
	}
	return out, nil
}

func sampleFloats[T kernels.Float](c *Context, g *gridSampler, x *value.Tensor, places []float64, shape []int) (*value.Tensor, error) {
	src, err := floatElements[T](x)
	if err != nil {
		return nil, err
	}
	out, err := newFloatOutput[T](c, x.Type, shape...)
	if err != nil {
		return nil, err
	}
	dims, channels := x.Shape[2:], shape[1]
	points, in := value.Count(shape[2:]), value.Count(dims)
	c.Pool.Do(shape[0]*points, moveGrain/(16*channels+64)+1, func(lo, hi int) {
		s := g.newSample(dims)
		s.narrow = x.Type == onnxio.Float && g.mode == "linear" && g.padding == "zeros" && !g.corners && len(dims) == 2
		taps := len(s.at)
		at, weights := make([]int, gridBlock*taps), make([]T, gridBlock*taps)
		for lo < hi {
			b, p := lo/points, lo%points
			n := min(gridBlock, hi-lo, points-p)
			for i := range n {
				s.place(places[(lo+i)*len(dims) : (lo+i+1)*len(dims)])
				copy(at[i*taps:], s.at)
				for k, w := range s.weights {
					weights[i*taps+k] = T(w)
				}
			}
			for k := b * channels; k < (b+1)*channels; k++ {
				weighPixels(out.data[k*points+p:][:n], src[k*in:(k+1)*in], at, weights, taps)
			}
			lo += n
		}
	})
	return out.done(), nil
}

// gridBlock is how many places are worked out before the channels are read at them.
const gridBlock = 128

// weighPixels sets each of dst to the weighted sum of its pixels; those at -1 are zero.
func weighPixels[T kernels.Float](dst, plane []T, at []int, weights []T, taps int) {
	for i := range dst {
		var sum T
		w := weights[i*taps : (i+1)*taps]
		if taps == 4 {
			w, p := (*[4]T)(w), (*[4]int)(at[4*i:])
			switch {
			case p[0]|p[1]|p[2]|p[3] >= 0: // all inside
				dst[i] = w[0]*plane[p[0]] + w[1]*plane[p[1]] + w[2]*plane[p[2]] + w[3]*plane[p[3]]
				continue
			case p[0]&p[1]&p[2]&p[3] < 0: // all outside
				dst[i] = 0
				continue
			}
		}
		for k, p := range at[i*taps : (i+1)*taps] {
			if p >= 0 {
				sum += w[k] * plane[p]
			}
		}
		dst[i] = sum
	}
}

// sample is the neighbours of one place: their offsets in a plane, -1 for a zero outside, and their weights.
type sample struct {
	*gridSampler
	dims, strides []int
	taps          int // neighbours along each axis
	at            []int
	weights       []float64
	narrow        bool  // place in float32: the last bits of ONNX Runtime, by which a quantised model rounds
	axisAt        []int // per axis, taps offsets
	axisWeights   []float64
}

func (g *gridSampler) newSample(dims []int) *sample {
	taps := map[string]int{"nearest": 1, "linear": 2, "cubic": 4}[g.mode]
	total := 1
	for range dims {
		total *= taps
	}
	return &sample{gridSampler: g, dims: dims, strides: stridesOf(dims), taps: taps, at: make([]int, total), weights: make([]float64, total),
		axisAt: make([]int, len(dims)*taps), axisWeights: make([]float64, len(dims)*taps)}
}

// place works out the neighbours of a place, whose last axis comes first.
func (s *sample) place(p []float64) {
	for d, n := range s.dims {
		s.placeAxis(d, p[len(p)-1-d], n)
	}
	for i := range s.at {
		at, w, rest := 0, 1.0, i
		for d := len(s.dims) - 1; d >= 0; d-- {
			k := d*s.taps + rest%s.taps
			rest /= s.taps
			if s.axisAt[k] < 0 {
				at = -1
				break
			}
			at += s.axisAt[k] * s.strides[d]
			w *= s.axisWeights[k]
		}
		s.at[i], s.weights[i] = at, w
	}
}

// gridCubicA is the coefficient of the cubic kernel that the standard fixes for GridSample.
const gridCubicA = -0.75

var gridCubic = cubicKernel(gridCubicA)

func (s *sample) placeAxis(d int, g float64, n int) {
	if s.narrow {
		s.placeNarrow(d, float32(g), n)
		return
	}
	lo, hi := -0.5, float64(n)-0.5
	x := ((g+1)*float64(n) - 1) / 2
	if s.corners {
		lo, hi = 0, float64(n-1)
		x = (g + 1) / 2 * float64(n-1)
	}
	if s.taps == 1 {
		x = math.RoundToEven(x)
	}
	if x < lo || x > hi {
		switch s.padding {
		case "border":
			if s.taps < 4 { // cubic reaches beyond the border, where each neighbour is clamped by itself
				x = min(max(x, 0), float64(n-1))
			}
		case "reflection":
			x = reflected(x, lo, hi)
		}
	}
	at, weights := s.axisAt[d*s.taps:(d+1)*s.taps], s.axisWeights[d*s.taps:(d+1)*s.taps]
	base := math.Floor(x)
	for k := range at {
		p := base + float64(k)
		switch s.taps {
		case 1:
			weights[k] = 1
		case 2:
			weights[k] = linearKernel(p - x)
		case 4:
			p--
			weights[k] = gridCubic(p - x)
		}
		at[k] = s.pixel(p, n, lo, hi)
	}
}

// placeNarrow is placeAxis for linear interpolation with zeros around, rounded at each step.
func (s *sample) placeNarrow(d int, g float32, n int) {
	x := (float32((g+1)*float32(n)) - 1) / 2
	base := math.Floor(float64(x))
	s.axisWeights[2*d] = float64(float32(base+1) - x)
	s.axisWeights[2*d+1] = float64(x - float32(base))
	for k := range 2 {
		s.axisAt[2*d+k] = s.pixel(base+float64(k), n, 0, 0)
	}
}

// pixel resolves a neighbour that may lie outside; -1 stands for zero. NaN is outside of everything.
func (s *sample) pixel(p float64, n int, lo, hi float64) int {
	if p >= 0 && p < float64(n) {
		return int(p)
	}
	switch s.padding {
	case "border":
		p = min(max(p, 0), float64(n-1))
	case "reflection":
		p = min(max(math.Trunc(reflected(p, lo, hi)), 0), float64(n-1))
	default:
		return -1
	}
	if math.IsNaN(p) {
		return -1
	}
	return int(p)
}

// reflected mirrors x at both ends of a range until it lies inside.
func reflected(x, lo, hi float64) float64 {
	span := hi - lo
	if span == 0 {
		return lo
	}
	away := 0.0
	inward := 1.0
	from := lo
	switch {
	case x < lo:
		away = lo - x
	case x > hi:
		away, inward, from = x-hi, -1, hi
	default:
		return x
	}
	turns := math.Floor(away / span)
	rest := away - turns*span
	if math.Mod(turns, 2) == 0 {
		return from + inward*rest
	}
	return lo + hi - from - inward*rest
}

func buildAffineGrid(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	corners := n.Bool("align_corners", false)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		size, err := intsOf(in[1], "the size")
		if err != nil {
			return nil, err
		}
		dims := len(size) - 2
		if dims != 2 && dims != 3 || !slices.Equal(in[0].Shape, []int{size[0], dims, dims + 1}) {
			return nil, fmt.Errorf("theta %v for size %v", in[0], size)
		}
		return oneOutput(affineGrid(c, in[0], size, dims, corners))
	}), nil
}

// affineGrid maps the pixel positions of a picture, in [-1, 1], last axis first, by one matrix per batch entry.
func affineGrid(c *Context, theta *value.Tensor, size []int, dims int, corners bool) (*value.Tensor, error) {
	m, err := floatElements[float64](theta)
	if err != nil {
		return nil, fmt.Errorf("theta: %w", err)
	}
	shape := append(append([]int{size[0]}, size[2:]...), dims)
	out, err := newFloatOutput[float64](c, theta.Type, shape...)
	if err != nil {
		return nil, err
	}
	points := value.Count(size[2:])
	at, p := make([]int, dims), make([]float64, dims+1)
	p[dims] = 1
	for i := range size[0] * points {
		unravelIndex(i%points, size[2:], at)
		for d, k := range at {
			n := float64(size[2+d])
			step, start := 2/n, 1/n-1
			if corners {
				step, start = 2/max(n-1, 1), -1
			}
			p[dims-1-d] = start + step*float64(k)
		}
		rows := m[i/points*dims*(dims+1):]
		for r := range dims {
			for k, v := range p {
				out.data[i*dims+r] += rows[r*(dims+1)+k] * v
			}
		}
	}
	return out.done(), nil
}
