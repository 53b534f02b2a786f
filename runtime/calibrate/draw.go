package calibrate

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"

	"onnxprune/analysis/statistics"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/value"
)

// draw takes rows from a layer's input.
func (c *collector) draw(a *accumulator, x *value.Tensor) error {
	data, ok := float32s(x)
	if !ok {
		return fmt.Errorf("it holds %v, not floats", x.Type)
	}
	if a.pending == nil {
		a.start()
	}
	if a.window.Spatial == 0 {
		return c.drawVectors(a, x.Shape, data)
	}
	return c.drawPlaces(a, x.Shape, data)
}

func float32s(x *value.Tensor) ([]float32, bool) {
	if fs, ok := x.Data.([]float32); ok {
		return fs, true
	}
	if !x.Type.IsFloat() {
		return nil, false
	}
	vs, ok := x.Floats()
	if !ok {
		return nil, false
	}
	out := make([]float32, len(vs))
	for i, v := range vs {
		out[i] = float32(v)
	}
	return out, true
}

// drawVectors takes rows of a linear layer's input, whose channels are on its last axis.
func (c *collector) drawVectors(a *accumulator, shape []int, data []float32) error {
	if len(shape) == 0 || a.window.Axis != len(shape)-1 || shape[len(shape)-1] != a.size {
		return fmt.Errorf("its shape %v does not end in the %d channels of the layer", shape, a.size)
	}
	places := len(data) / a.size
	for _, p := range c.choose(a, places, nil) {
		copy(a.row(0), data[p*a.size:(p+1)*a.size])
		c.next(a)
	}
	return nil
}

func (c *collector) next(a *accumulator) {
	if a.waiting++; a.waiting == a.block {
		a.flush(c.pool, &c.scratch)
	}
}

// drawPlaces takes rows at places of a map: of the layer's output, or of its input where rows are single channels.
func (c *collector) drawPlaces(a *accumulator, shape []int, data []float32) error {
	w := &a.window
	if len(shape) != 2+w.Spatial || shape[1] != a.groups*a.channels {
		return fmt.Errorf("its shape %v does not have the %d channels of the layer", shape, a.groups*a.channels)
	}
	in := shape[2:]
	g := geometry{in: in, out: slices.Clone(in), begin: make([]int, w.Spatial)}
	if a.form == statistics.Patch {
		g.slide(a)
	}
	per := value.Count(g.out)
	if per <= 0 {
		return nil
	}
	var weights []float64
	if c.found != nil && w.Spatial == 2 {
		weights = emphasis(c.found, g.out[0], g.out[1])
	}
	plane := value.Count(in)
	at := make([]int, w.Spatial)
	for _, p := range c.choose(a, shape[0]*per, weights) {
		rest := p % per
		for k := w.Spatial - 1; k >= 0; k-- {
			at[k] = rest % g.out[k]
			rest /= g.out[k]
		}
		image := data[p/per*shape[1]*plane:]
		for q := range a.groups {
			row := a.row(q)
			planes := image[q*a.channels*plane : (q+1)*a.channels*plane]
			if a.form == statistics.Channels {
				for ch := range row {
					row[ch] = planes[ch*plane+p%per]
				}
				continue
			}
			g.patch(row, planes, a, at)
		}
		c.next(a)
	}
	return nil
}

// geometry is how a kernel lies on a map.
type geometry struct {
	in, out, begin []int
}

// slide works out the output's extents and the padding before it.
func (g *geometry) slide(a *accumulator) {
	w := &a.window
	for k := range w.Spatial {
		span := (w.Kernel[k]-1)*w.Dilations[k] + 1
		begin, end := w.Pads[k], w.Pads[w.Spatial+k]
		switch w.AutoPad {
		case "VALID":
			begin, end = 0, 0
		case "SAME_UPPER", "SAME_LOWER":
			out := (g.in[k] + w.Strides[k] - 1) / w.Strides[k]
			total := max(0, (out-1)*w.Strides[k]+span-g.in[k])
			begin = total / 2
			if w.AutoPad == "SAME_LOWER" {
				begin = total - begin
			}
			end = total - begin
		}
		g.begin[k] = begin
		g.out[k] = max(0, (g.in[k]+begin+end-span)/w.Strides[k]+1)
	}
}

// patch writes what the kernel sees at a place of the output: channel after channel, taps within, zeros where it lies on the padding.
func (g *geometry) patch(row, planes []float32, a *accumulator, at []int) {
	w := &a.window
	taps := a.size / a.channels
	plane := value.Count(g.in)
	tap := make([]int, w.Spatial)
	for t := range taps {
		place, inside := 0, true
		for k := range w.Spatial {
			i := at[k]*w.Strides[k] - g.begin[k] + tap[k]*w.Dilations[k]
			inside = inside && i >= 0 && i < g.in[k]
			place = place*g.in[k] + i
		}
		for ch := range a.channels {
			if inside {
				row[ch*taps+t] = planes[ch*plane+place]
			} else {
				row[ch*taps+t] = 0
			}
		}
		for k := w.Spatial - 1; k >= 0; k-- {
			if tap[k]++; tap[k] < w.Kernel[k] {
				break
			}
			tap[k] = 0
		}
	}
}

// choose draws places without putting them back, in proportion to their weights (nil: all alike), and returns them in order. weights hold for
// one picture of a batch and are repeated for the others. After Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
func (c *collector) choose(a *accumulator, places int, weights []float64) []int {
	out := make([]int, places)
	for i := range out {
		out[i] = i
	}
	if places <= c.rows {
		return out
	}
	h := fnv.New64a()
	h.Write([]byte(a.seed))
	r := rand.New(rand.NewPCG(h.Sum64(), uint64(c.picture)))
	keys := make([]float64, places)
	for i := range keys {
		weight := 1.0
		if weights != nil {
			weight = weights[i%len(weights)]
		}
		keys[i] = -math.Log(1-r.Float64()) / weight
	}
	slices.SortFunc(out, func(i, j int) int { return cmp.Or(cmp.Compare(keys[i], keys[j]), cmp.Compare(i, j)) })
	out = out[:c.rows]
	slices.Sort(out)
	return out
}

// emphasis returns a weight for every cell of a map of h x w cells that covers the model's input: the score of the best detection whose
// box touches the cell, and 0.1.
func emphasis(found []detection.Detection, h, w int) []float64 {
	out := make([]float64, h*w)
	for _, d := range found {
		y0, y1 := cell(math.Floor(d.Box.Y0*float64(h)), h), cell(math.Ceil(d.Box.Y1*float64(h))-1, h)
		x0, x1 := cell(math.Floor(d.Box.X0*float64(w)), w), cell(math.Ceil(d.Box.X1*float64(w))-1, w)
		for y := y0; y <= y1; y++ {
			for x := x0; x <= x1; x++ {
				out[y*w+x] = max(out[y*w+x], d.Score)
			}
		}
	}
	for i := range out {
		out[i] += background
	}
	return out
}

// cell is the nearest cell that there is.
func cell(at float64, cells int) int {
	if math.IsNaN(at) {
		return 0
	}
	return int(min(max(at, 0), float64(cells-1)))
}
