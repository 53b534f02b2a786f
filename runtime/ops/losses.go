package ops

// Losses of classification: the negative logarithm of the probability that the right class was given, per position,
// weighted by class, and reduced to a sum or a mean.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "NegativeLogLikelihoodLoss", buildNegativeLogLikelihood, 12, 13, 22)
	Register("", "SoftmaxCrossEntropyLoss", buildSoftmaxCrossEntropy, 12, 13)
}

// classLoss is what a loss node says.
type classLoss struct {
	reduction   string
	ignore      int64
	ignoresOne  bool // ignore is set
	wantLogProb bool
}

func readClassLoss(n *Node) (classLoss, error) {
	l := classLoss{
		reduction: n.OneOf("reduction", "mean", "sum", "none"),
		ignore:    n.Int("ignore_index", 0), ignoresOne: n.Has("ignore_index"),
		wantLogProb: n.HasOutput(1),
	}
	return l, n.CheckInputs(2, 3)
}

func buildNegativeLogLikelihood(n *Node) (Kernel, error) {
	l, err := readClassLoss(n)
	if err != nil {
		return nil, err
	}
	return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		return oneOutput(l.run(c, in[0], in))
	}), nil
}

func buildSoftmaxCrossEntropy(n *Node) (Kernel, error) {
	l, err := readClassLoss(n)
	if err != nil {
		return nil, err
	}
	outputs := max(1, len(n.Outputs))
	return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		lanes, err := lanesAlong(in[0].Shape, 1)
		if err != nil {
			return nil, fmt.Errorf("%w of %v", err, in[0])
		}
		logProb, err := mapFloatLanes(c, lanes, in[0], logSoftmaxLane[float32], logSoftmaxLane[float64])
		if err != nil {
			return nil, err
		}
		loss, err := l.run(c, logProb, in)
		if err != nil {
			return nil, err
		}
		out := make([]*value.Tensor, outputs)
		out[0] = loss
		if l.wantLogProb {
			out[1] = logProb
		}
		return out, nil
	}), nil
}

// run computes the loss of logarithms of probabilities; labels and weights are inputs 1 and 2.
func (l classLoss) run(c *Context, logProb *value.Tensor, in []*value.Tensor) (*value.Tensor, error) {
	labels := in[1]
	var weights *value.Tensor
	if len(in) > 2 {
		weights = in[2]
	}
	s := logProb.Shape
	if len(s) < 2 || !slices.Equal(labels.Shape, append([]int{s[0]}, s[2:]...)) {
		return nil, fmt.Errorf("labels %v do not fit scores %v", labels, logProb)
	}
	if weights != nil && (weights.Type != logProb.Type || weights.Len() != s[1]) {
		return nil, fmt.Errorf("weights %v, want one of %v for each of %d classes", weights, logProb.Type, s[1])
	}
	if labels.Type != onnxio.Int64 && labels.Type != onnxio.Int32 {
		return nil, fmt.Errorf("labels are %v, want int32 or int64", labels)
	}
	classes, _ := labels.Ints()
	var shape []int
	if l.reduction == "none" {
		shape = labels.Shape
	}
	out, err := c.New(logProb.Type, shape...)
	if err != nil {
		return nil, err
	}
	switch d := logProb.Data.(type) {
	case []float32:
		return out, lossOf(l, out.Data.([]float32), d, s, classes, weights)
	case []float64:
		return out, lossOf(l, out.Data.([]float64), d, s, classes, weights)
	}
	return nil, fmt.Errorf("it has no meaning for %v", logProb)
}

func lossOf[T kernels.Float](l classLoss, dst, logProb []T, shape []int, classes []int64, weights *value.Tensor) error {
	var byClass []T
	if weights != nil {
		byClass = weights.Data.([]T)
	}
	count, inner := shape[1], value.Count(shape[2:])
	sum, weight := 0.0, 0.0
	for i, class := range classes {
		if l.ignoresOne && class == l.ignore {
			continue
		}
		if class < 0 || class >= int64(count) {
			return fmt.Errorf("label %d at position %d is none of %d classes", class, i, count)
		}
		w := 1.0
		if byClass != nil {
			w = float64(byClass[class])
		}
		loss := -w * float64(logProb[(i/inner*count+int(class))*inner+i%inner])
		sum += loss
		weight += w
		if l.reduction == "none" {
			dst[i] = T(loss)
		}
	}
	switch l.reduction {
	case "sum":
		dst[0] = T(sum)
	case "mean":
		dst[0] = T(math.NaN())
		if weight != 0 {
			dst[0] = T(sum / weight)
		}
	}
	return nil
}
