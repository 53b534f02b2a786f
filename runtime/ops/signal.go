package ops

// Window functions for signals, and the matrix from a spectrum to mel bands.

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "HannWindow", buildWindow(0.5, 0.5, 0), 17)
	Register("", "HammingWindow", buildWindow(25.0/46, 21.0/46, 0), 17)
	Register("", "BlackmanWindow", buildWindow(0.42, 0.5, 0.08), 17)
	Register("", "MelWeightMatrix", buildMelWeights, 17)
}

// buildWindow makes the builder of w(n) = a - b cos(2 pi n/N) + c cos(4 pi n/N), where N is the size, or, for
// a symmetric window, one less (which leaves no number for a symmetric window of one).
func buildWindow(a, b, c float64) Builder {
	return func(n *Node) (Kernel, error) {
		target := onnxio.DataType(n.Int("output_datatype", int64(onnxio.Float)))
		periodic := n.Bool("periodic", true)
		return TensorFunc(func(ctx *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			size, ok := in[0].Ints()
			if !ok || len(size) != 1 || size[0] < 0 {
				return nil, fmt.Errorf("size is %v", in[0])
			}
			w, err := ctx.New(onnxio.Double, int(size[0]))
			if err != nil {
				return nil, err
			}
			period := float64(size[0])
			if !periodic {
				period--
			}
			for i, d := 0, value.Of[float64](w); i < len(d); i++ {
				angle := 2 * math.Pi * float64(i) / period
				d[i] = a - b*math.Cos(angle) + c*math.Cos(2*angle)
			}
			return oneOutput(castTensor(ctx, w, target, castOptions{}))
		}), n.CheckInputs(1, 1)
	}
}

func buildMelWeights(n *Node) (Kernel, error) {
	target := onnxio.DataType(n.Int("output_datatype", int64(onnxio.Float)))
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		var v [5]float64 // bands, length of the DFT, sample rate, lower and upper edge in hertz
		for i := range v {
			f, ok := in[i].Floats()
			if !ok || len(f) != 1 {
				return nil, fmt.Errorf("input %d is %v, want one number", i, in[i])
			}
			v[i] = f[0]
		}
		bands, length := int(v[0]), int(v[1])
		if bands < 1 || length < 1 || v[2] <= 0 {
			return nil, fmt.Errorf("%d bands of a spectrum of %d samples at %v hertz", bands, length, v[2])
		}
		m, err := c.New(onnxio.Double, length/2+1, bands)
		if err != nil {
			return nil, err
		}
		edges := melEdges(bands, length, v[2], v[3], v[4])
		for _, e := range edges {
			if e < 0 || e > length/2 {
				return nil, fmt.Errorf("edges of %v and %v hertz lie outside of a spectrum up to %v", v[3], v[4], v[2]/2)
			}
		}
		fillMelBands(value.Of[float64](m), bands, edges)
		return oneOutput(castTensor(c, m, target, castOptions{}))
	}), n.CheckInputs(5, 5)
}

// melEdges are the bins of the spectrum where bands begin, peak and end, equally far apart in mel
// (2595 log10(1 + hertz/700)).
func melEdges(bands, length int, rate, lower, upper float64) []int {
	mel := func(hertz float64) float64 { return 2595 * math.Log10(1+hertz/700) }
	edges := make([]int, bands+2)
	step := (mel(upper) - mel(lower)) / float64(len(edges))
	for i := range edges {
		hertz := 700 * (math.Pow(10, (float64(i)*step+mel(lower))/2595) - 1)
		edges[i] = int(math.Floor(float64(length+1) * hertz / rate))
	}
	return edges
}

// fillMelBands writes a triangle for every band.
func fillMelBands(m []float64, bands int, edges []int) {
	for i := range bands {
		from, peak, to := edges[i], edges[i+1], edges[i+2]
		if from == peak {
			m[peak*bands+i] = 1
		}
		for j := from; j <= peak && from < peak; j++ {
			m[j*bands+i] = float64(j-from) / float64(peak-from)
		}
		for j := peak; j < to; j++ {
			m[j*bands+i] = float64(to-j) / float64(to-peak)
		}
	}
}
