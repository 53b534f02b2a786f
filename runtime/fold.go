package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"onnxprune/onnxio"
	"onnxprune/runtime/ops"
	"onnxprune/runtime/value"
)

// random lists the operators whose outputs are not decided by their inputs.
var random = []string{"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout"}

// maxFoldedGrowth is how many bytes one folded node may make out of nothing.
const maxFoldedGrowth = 64 << 20

// fold computes a step whose inputs are all known, while compiling. It returns nil where the step has to stay: because it is
// random, has bodies, would blow its inputs up, or fails (the run then says so, if it gets there).
func (c *compiler) fold(s *step, refs []ref, outputs int) (out []value.Value) {
	if c.options.Observe != nil || len(s.bodies) > 0 || s.domain == "" && slices.Contains(random, s.op) {
		return nil
	}
	in := make([]value.Value, len(refs))
	size := int64(0)
	for i, r := range refs {
		if r.known == nil && !r.absent() {
			return nil
		}
		in[i] = r.known
		if t, ok := r.known.(*value.Tensor); ok {
			size += int64(t.Len()) * width(t.Type)
		}
	}
	// a weight may be widened from int8 to float32, say; what grows by more has to stay within bounds in all
	a := &bounded{left: 4*size + max(0, min(maxFoldedGrowth, c.options.MemoryLimit/4-c.folded))}
	f := &frame{run: &run{session: &Session{}}, in: in}
	f.ctx = ops.Context{Context: context.Background(), Alloc: a, TripLimit: c.options.TripLimit}
	out, err := f.call(s)
	if err != nil || len(out) < outputs || slices.Contains(out, nil) {
		return nil
	}
	for _, v := range out {
		if t, ok := v.(*value.Tensor); ok {
			c.folded += int64(t.Len()) * width(t.Type)
		}
	}
	return out
}

// bounded makes tensors that live as long as the session, up to a number of bytes.
type bounded struct {
	mu   sync.Mutex
	left int64
}

// New implements ops.Allocator.
func (b *bounded) New(t onnxio.DataType, shape []int) (*value.Tensor, error) {
	n, err := value.CheckedCount(shape)
	if err != nil {
		return nil, err
	}
	size := int64(n) * width(t)
	b.mu.Lock()
	defer b.mu.Unlock()
	if size > b.left {
		return nil, &LimitError{Type: t, Shape: shape, Need: size, Limit: b.left}
	}
	d := value.Make(t, n)
	if d == nil {
		return nil, fmt.Errorf("%v is not an element type", t)
	}
	b.left -= size
	return &value.Tensor{Type: t, Shape: slices.Clone(shape), Data: d}, nil
}

// dense writes a sparse initializer out.
func dense(s *onnxio.SparseTensor, limit int64) (*value.Tensor, error) {
	if s.Values == nil || s.Indices == nil {
		return nil, errors.New("the sparse tensor has no values or no indices")
	}
	shape := make([]int, len(s.Dims))
	for i, d := range s.Dims {
		shape[i] = int(d)
	}
	n, err := value.CheckedCount(shape)
	if err != nil {
		return nil, err
	}
	from, err := value.FromProto(s.Values)
	if err != nil {
		return nil, err
	}
	if size := int64(n) * width(from.Type); size > limit {
		return nil, &LimitError{Type: from.Type, Shape: shape, Need: size, Limit: limit}
	}
	index, err := s.Indices.Ints()
	if err != nil {
		return nil, err
	}
	out := value.New(from.Type, shape...)
	per := 1 // indices per value: one linear index, or one per axis
	if len(s.Indices.Dims) == 2 {
		per = len(shape)
	}
	if len(index) != from.Len()*per {
		return nil, errors.New("the sparse tensor has not as many indices as values")
	}
	at := make([]int, from.Len())
	for i := range at {
		for axis, ix := range index[i*per : (i+1)*per] {
			dim := n
			if per > 1 || len(s.Indices.Dims) == 2 {
				dim = shape[axis]
			}
			if ix < 0 || int(ix) >= dim {
				return nil, errors.New("an index of the sparse tensor lies outside of its shape")
			}
			if axis > 0 {
				at[i] *= dim
			}
			at[i] += int(ix)
		}
	}
	scatter(out, from, at)
	return out, nil
}

// scatter writes the elements of from to places of out.
func scatter(out, from *value.Tensor, at []int) {
	switch d := out.Data.(type) {
	case []float32:
		place(d, from, at)
	case []float64:
		place(d, from, at)
	case []int8:
		place(d, from, at)
	case []int16:
		place(d, from, at)
	case []int32:
		place(d, from, at)
	case []int64:
		place(d, from, at)
	case []uint8:
		place(d, from, at)
	case []uint16:
		place(d, from, at)
	case []uint32:
		place(d, from, at)
	case []uint64:
		place(d, from, at)
	case []bool:
		place(d, from, at)
	case []string:
		place(d, from, at)
	case []complex64:
		place(d, from, at)
	case []complex128:
		place(d, from, at)
	}
}

func place[T value.Elem](dst []T, from *value.Tensor, at []int) {
	for i, v := range value.Of[T](from) {
		dst[at[i]] = v
	}
}
