package heads

// Outputs as matrices: one row for each candidate, whichever axis of the tensor that is.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/runtime/value"
)

// matrix is a view of a tensor's elements.
type matrix struct {
	data             []float32
	rows, cols       int
	rowStep, colStep int
}

func (m matrix) at(row, col int) float64 { return float64(m.data[row*m.rowStep+col*m.colStep]) }

// corners reads four columns from a given one on.
func (m matrix) corners(row, col int) (x0, y0, x1, y1 float64) {
	return m.at(row, col), m.at(row, col+1), m.at(row, col+2), m.at(row, col+3)
}

func (m matrix) transposed() matrix {
	return matrix{m.data, m.cols, m.rows, m.colStep, m.rowStep}
}

// tensor returns an output.
func (r *reading) tensor(name string) (*value.Tensor, error) {
	v, ok := r.outputs[name]
	if !ok {
		return nil, fmt.Errorf("the run gave no output %q", name)
	}
	if o, is := v.(*value.Optional); is && o.Value != nil {
		v = o.Value
	}
	t, ok := v.(*value.Tensor)
	if !ok {
		return nil, fmt.Errorf("output %q is no tensor but %v", name, v)
	}
	return t, nil
}

// matrix returns an output whose last two axes are rows and columns, and whose other axes are 1; a vector is a single column.
// cols < 0 takes any number.
func (r *reading) matrix(name string, cols int) (matrix, error) {
	t, err := r.tensor(name)
	if err != nil {
		return matrix{}, err
	}
	data, err := floats(t)
	if err != nil {
		return matrix{}, fmt.Errorf("output %q: %w", name, err)
	}
	shape := t.Shape
	for len(shape) > 2 && shape[0] == 1 {
		shape = shape[1:]
	}
	if len(shape) == 1 {
		shape = []int{shape[0], 1}
	}
	if len(shape) > 2 {
		return matrix{}, fmt.Errorf("output %q is %v: one picture a run is read", name, t)
	}
	if len(shape) != 2 || cols >= 0 && shape[1] != cols && shape[0] != 0 {
		return matrix{}, fmt.Errorf("output %q is %v; %d columns are read", name, t, cols)
	}
	return matrix{data, shape[0], shape[1], shape[1], 1}, nil
}

// column returns an output that is one number for each candidate; leading axes are 1.
func (r *reading) column(name string) ([]float32, error) {
	t, err := r.tensor(name)
	if err != nil {
		return nil, err
	}
	for _, d := range t.Shape[:max(0, len(t.Shape)-1)] {
		if d != 1 && t.Len() != d {
			return nil, fmt.Errorf("output %q is %v; one number for each box of one picture is read", name, t)
		}
	}
	data, err := floats(t)
	if err != nil {
		err = fmt.Errorf("output %q: %w", name, err)
	}
	return data, err
}

func floats(t *value.Tensor) ([]float32, error) {
	if d, ok := t.Data.([]float32); ok {
		return d, nil
	}
	vs, ok := t.Floats()
	if !ok {
		return nil, fmt.Errorf("%v holds no numbers", t)
	}
	out := make([]float32, len(vs))
	for i, v := range vs {
		out[i] = float32(v)
	}
	return out, nil
}

// classOf returns the class that an output holds as a number, -1 for what is none.
func classOf(x float64) int {
	if !(x >= 0 && x < math.MaxInt32) {
		return -1
	}
	return int(x)
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// softmax makes shares of logits, in place.
func softmax(x []float64) {
	most, sum := slices.Max(x), 0.0
	for i, v := range x {
		x[i] = math.Exp(v - most)
		sum += x[i]
	}
	for i := range x {
		x[i] /= sum
	}
}
