// Package importance scores the output channels of a weight: the lower the score, the sooner a channel goes.
//
// The criteria are those of PaddleSlim's Pruner (l1_norm, geometry_median, bn_scale), with l2_norm and random beside them.
// Scores are computed in float64 on the weight as the model uses it: a quantised weight is dequantised first, and one that the graph
// computes from constants (the norm of its filters, a low-rank update) is worked out.
package importance

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/option"
	"onnxprune/onnxio"
)

// Criterion names a way of scoring.
type Criterion string

// The criteria.
const (
	L1Norm         Criterion = "l1_norm"         // sum of magnitudes; Li et al., Pruning Filters for Efficient ConvNets, 2017
	L2Norm         Criterion = "l2_norm"         // root of the sum of squares
	GeometryMedian Criterion = "geometry_median" // sum of distances to all other filters; He et al., FPGM, 2019
	BNScale        Criterion = "bn_scale"        // magnitude of the batch norm's scale; Liu et al., Network Slimming, 2017
	Random         Criterion = "random"          // by the seed and the weight's name

	// These read statistics of a run on pictures: package recovery.
	Reconstruction Criterion = "reconstruction" // what the layers behind lose, after their repair; after Hassibi and Stork, 1993
	Activation     Criterion = "activation"     // mean square of what the layers behind see
)

// NeedsStatistics reports whether a criterion reads more than weights.
func (c Criterion) NeedsStatistics() bool { return c == Reconstruction || c == Activation }

// Criteria lists all criteria, the default first.
var Criteria = []Criterion{L1Norm, L2Norm, GeometryMedian, BNScale, Random, Reconstruction, Activation}

// Parse returns the criterion of that name. An unknown one is an *option.Error.
func Parse(name string) (Criterion, error) {
	if c := Criterion(name); slices.Contains(Criteria, c) {
		return c, nil
	}
	names := make([]string, len(Criteria))
	for i, c := range Criteria {
		names[i] = string(c)
	}
	return "", option.Errorf("criterion %q is not known; there are %s", name, strings.Join(names, ", "))
}

// Scores returns one score for every index of the weight's output axis. Random scores depend on seed and the weight's
// name only.
func Scores(c Criterion, p *channels.Param, seed uint64) ([]float64, error) {
	if _, err := Parse(string(c)); err != nil {
		return nil, err
	}
	if c == Random {
		h := fnv.New64a()
		h.Write([]byte(p.Name))
		r := rand.New(rand.NewPCG(seed, h.Sum64()))
		out := make([]float64, p.Out)
		for i := range out {
			out[i] = r.Float64()
		}
		return out, nil
	}
	if c.NeedsStatistics() {
		return nil, fmt.Errorf("criterion %s needs statistics of a run on pictures", c)
	}
	if c == BNScale {
		return bnScale(p)
	}
	if p.Tensor == nil && p.Used == nil { // computed from a shape: all filters are alike
		return make([]float64, p.Out), nil
	}
	if c == GeometryMedian {
		w, err := filters(p)
		if err != nil {
			return nil, fmt.Errorf("scoring %s: %w", p.Name, err)
		}
		return distances(w), nil
	}
	out := make([]float64, p.Out)
	err := runs(p, func(ch int, vs []float64) {
		for _, v := range vs {
			if c == L2Norm {
				out[ch] += v * v
			} else {
				out[ch] += math.Abs(v)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("scoring %s: %w", p.Name, err)
	}
	if c == L2Norm {
		for i, v := range out {
			out[i] = math.Sqrt(v)
		}
	}
	return out, nil
}

// filters returns the weight as one row per output channel.
func filters(p *channels.Param) ([][]float64, error) {
	out := make([][]float64, p.Out)
	err := runs(p, func(ch int, vs []float64) { out[ch] = append(out[ch], vs...) })
	return out, err
}

// runLength is how many elements are decoded at a time.
const runLength = 4096

// runs hands the elements of the weight out in order, in runs that belong to one output channel; a quantised weight is
// dequantised. Only one run is in memory at a time.
func runs(p *channels.Param, visit func(ch int, vs []float64)) error {
	if p.Used != nil {
		return usedRuns(p.Used, visit)
	}
	t := p.Tensor
	raw, err := t.Raw()
	if err != nil {
		return err
	}
	decode, width, err := decoder(t.DataType)
	if err != nil {
		return err
	}
	inner, n := 1, int(p.Out)
	for _, d := range p.Shape[p.Axis+1:] {
		inner *= int(d)
	}
	plain, q := t.DataType.IsFloat(), (*quantisation)(nil)
	if !plain {
		if q, err = quantisationOf(p); err != nil {
			return err
		}
	}
	var buf [runLength]float64
	total := len(raw) / width
	for at := 0; at < total; {
		ch := at / inner % n
		length, s, z := runLength, 1.0, 0.0
		if !plain {
			s, z, length = q.at(at)
		}
		vs := buf[:min(length, runLength, inner-at%inner)]
		decode(vs, raw[at*width:])
		if !plain {
			for i := range vs {
				vs[i] = (vs[i] - z) * s
			}
		}
		visit(ch, vs)
		at += len(vs)
	}
	return nil
}

// usedRuns is runs of a weight that is computed in the graph.
func usedRuns(u *channels.Used, visit func(ch int, vs []float64)) error {
	t, err := u.Elements()
	if err != nil {
		return err
	}
	inner := 1
	for _, d := range t.Shape[u.Axis+1:] {
		inner *= d
	}
	for at := 0; at < len(t.Data); at += inner {
		if ch := u.Of[at/inner%len(u.Of)]; ch >= 0 {
			visit(ch, t.Data[at:at+inner])
		}
	}
	return nil
}

// decoder returns how elements of a type are read from little-endian bytes, and how many bytes each takes.
func decoder(t onnxio.DataType) (decode func(dst []float64, b []byte), width int, err error) {
	le := binary.LittleEndian
	each := func(width int, at func(b []byte) float64) (func([]float64, []byte), int, error) {
		return func(dst []float64, b []byte) {
			for i := range dst {
				dst[i] = at(b[i*width:])
			}
		}, width, nil
	}
	switch t {
	case onnxio.Float:
		return func(dst []float64, b []byte) {
			for i := range dst {
				dst[i] = float64(math.Float32frombits(le.Uint32(b[4*i:])))
			}
		}, 4, nil
	case onnxio.Double:
		return each(8, func(b []byte) float64 { return math.Float64frombits(le.Uint64(b)) })
	case onnxio.Float16:
		return each(2, func(b []byte) float64 { return float64(onnxio.Float16ToFloat32(le.Uint16(b))) })
	case onnxio.BFloat16:
		return each(2, func(b []byte) float64 { return float64(onnxio.BFloat16ToFloat32(le.Uint16(b))) })
	case onnxio.Int8:
		return each(1, func(b []byte) float64 { return float64(int8(b[0])) })
	case onnxio.Uint8:
		return each(1, func(b []byte) float64 { return float64(b[0]) })
	case onnxio.Int16:
		return each(2, func(b []byte) float64 { return float64(int16(le.Uint16(b))) })
	case onnxio.Uint16:
		return each(2, func(b []byte) float64 { return float64(le.Uint16(b)) })
	case onnxio.Int32:
		return each(4, func(b []byte) float64 { return float64(int32(le.Uint32(b))) })
	case onnxio.Int64:
		return each(8, func(b []byte) float64 { return float64(int64(le.Uint64(b))) })
	}
	return nil, 0, fmt.Errorf("its elements are %v, which have no score; choose criterion random", t)
}

// distances returns, for each filter, the sum of its Euclidean distances to all others.
func distances(w [][]float64) []float64 {
	out := make([]float64, len(w))
	var wg sync.WaitGroup
	const workers = 8 // rows are independent, so their number does not change the result
	for k := range workers {
		wg.Go(func() {
			for i := k; i < len(w); i += workers {
				for j := range w {
					d := 0.0
					for x, v := range w[i] {
						e := v - w[j][x]
						d += e * e
					}
					out[i] += math.Sqrt(d)
				}
			}
		})
	}
	wg.Wait()
	return out
}

// bnScale returns |gamma| of the batch norm that reads the layer's output.
func bnScale(p *channels.Param) ([]float64, error) {
	for _, n := range p.Nodes {
		if scale := normScale(n.Output(0)); scale != nil {
			return magnitudes(scale, p)
		}
	}
	return nil, fmt.Errorf("criterion bn_scale: no BatchNormalization with a constant scale reads the output of %s; choose another criterion", p.Name)
}

// normScale returns the constant scale of the batch norm that reads v; both may stand behind Identity nodes.
func normScale(v *graph.Value) *onnxio.Tensor {
	if v == nil {
		return nil
	}
	for _, u := range v.Uses {
		switch {
		case u.Node.Op == "Identity":
			if t := normScale(u.Node.Output(0)); t != nil {
				return t
			}
		case u.Node.Op == "BatchNormalization" && u.Input == 0:
			scale := u.Node.Input(1)
			for scale != nil && scale.Tensor == nil && scale.Producer != nil && scale.Producer.Op == "Identity" {
				scale = scale.Producer.Input(0)
			}
			if scale != nil && scale.Tensor != nil {
				return scale.Tensor
			}
		}
	}
	return nil
}

func magnitudes(t *onnxio.Tensor, p *channels.Param) ([]float64, error) {
	fs, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	if int64(len(fs)) != p.Out {
		return nil, fmt.Errorf("criterion bn_scale: %s has %d channels, its batch norm %d", p.Name, p.Out, len(fs))
	}
	out := make([]float64, len(fs))
	for i, f := range fs {
		out[i] = math.Abs(float64(f))
	}
	return out, nil
}
