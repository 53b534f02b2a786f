package ops

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

// BenchmarkElementwise times the operators that networks spend their time in besides convolution, per element of the
// largest input.
func BenchmarkElementwise(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	tensor := func(shape ...int) *value.Tensor { return randomTensor(r, onnxio.Float, shape...) }
	x, axis1 := tensor(1, 64, 112, 112), []*onnxio.Attribute{onnxio.NewInt("axis", 1)}
	ints := func(v ...int64) *value.Tensor { return value.From(v, len(v)) }
	for _, c := range []oracleCase{
		{op: "Add", opset: 14, in: []*value.Tensor{x, tensor(1, 64, 112, 112)}}, {op: "Add", opset: 14, in: []*value.Tensor{x, tensor()}},
		{op: "Mul", opset: 14, in: []*value.Tensor{x, tensor(64, 1, 1)}}, {op: "Mul", opset: 14, in: []*value.Tensor{tensor(112, 112, 64), tensor(64)}},
		{op: "Mul", opset: 14, in: []*value.Tensor{tensor(200000, 4), tensor(4)}}, {op: "Add", opset: 14, in: []*value.Tensor{ints(1), ints(2)}},
		{op: "Add", opset: 14, in: []*value.Tensor{ints(1, 2, 3), value.Scalar(int64(2))}},
		{op: "Max", opset: 13, in: []*value.Tensor{x, tensor(1, 64, 112, 112)}}, {op: "PRelu", opset: 16, in: []*value.Tensor{x, tensor(64, 1, 1)}},
		{op: "Relu", opset: 14, in: []*value.Tensor{x}}, {op: "Sigmoid", opset: 13, in: []*value.Tensor{x}}, {op: "Tanh", opset: 13, in: []*value.Tensor{x}},
		{op: "Erf", opset: 13, in: []*value.Tensor{x}}, {op: "Gelu", opset: 20, in: []*value.Tensor{x}}, {op: "HardSwish", opset: 14, in: []*value.Tensor{x}},
		{op: "Softplus", opset: 22, in: []*value.Tensor{x}}, {op: "Sqrt", opset: 13, in: []*value.Tensor{x}}, {op: "Clip", opset: 13, in: []*value.Tensor{x, value.Scalar(float32(0)), value.Scalar(float32(6))}},
		{op: "Pow", opset: 15, in: []*value.Tensor{x, value.Scalar(float32(2))}}, {op: "Softmax", opset: 13, in: []*value.Tensor{tensor(8, 196, 512)}},
		{op: "Softmax", opset: 13, attrs: axis1, in: []*value.Tensor{tensor(1, 21, 196, 196)}}, {op: "ReduceMean", opset: 18, in: []*value.Tensor{x, ints(2, 3)}},
		{op: "ReduceMean", opset: 18, in: []*value.Tensor{x, ints(1)}}, {op: "ArgMax", opset: 13, attrs: axis1, in: []*value.Tensor{x}},
		{op: "MatMul", opset: 13, in: []*value.Tensor{tensor(12, 197, 64), tensor(12, 64, 197)}}, {op: "Cast", opset: 13, attrs: []*onnxio.Attribute{onnxio.NewInt("to", int64(onnxio.Int64))}, in: []*value.Tensor{x}},
	} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%v/threads=%d", c, threads), func(b *testing.B) {
				pool := kernels.NewPool(threads)
				defer pool.Close()
				n := NewNode("", c.op, c.opset, c.attrs)
				n.Outputs = []bool{true}
				var in []value.Value
				for _, t := range c.in {
					n.Inputs, in = append(n.Inputs, true), append(in, t)
				}
				k, err := Build(n)
				if err != nil {
					b.Fatal(err)
				}
				run := &Context{Context: context.Background(), Pool: pool, Alloc: recycled{}}
				b.ResetTimer()
				for range b.N {
					if _, err := k.Run(run, in); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(c.in[0].Len()), "ns/element")
			})
		}
	}
}

// recycled hands the same memory out again for each shape, so that benchmarks do not time the garbage collector.
type recycled map[string]*value.Tensor

func (m recycled) New(t onnxio.DataType, shape []int) (*value.Tensor, error) {
	key := fmt.Sprint(t, shape)
	if m[key] == nil {
		m[key] = value.New(t, shape...)
	}
	return m[key], nil
}
