package ops

import (
	"math/rand/v2"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// A model can wire anything to anything: whatever does not fit is an error, never a panic.
func TestNoOperatorPanicsOnInputsThatDoNotFit(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	types := append(append([]onnxio.DataType{}, allNumbers...), onnxio.Bool, onnxio.String, onnxio.Int4, onnxio.Float8E4M3FN, onnxio.Float4E2M1, onnxio.Complex64)
	tensor := func() *value.Tensor {
		shape := make([]int, r.IntN(5))
		for d := range shape {
			shape[d] = r.IntN(4)
		}
		if typ := types[r.IntN(len(types))]; typ != onnxio.Complex64 {
			return randomTensor(r, typ, shape...)
		}
		return value.New(onnxio.Complex64, shape...)
	}
	panics := map[string]bool{}
	for _, spec := range Table() {
		for range 150 {
			c := oracleCase{domain: spec.Domain, op: spec.Op, opset: spec.Since}
			last := tensor()
			for range 1 + r.IntN(4) {
				switch r.IntN(8) {
				case 0:
					c.in = append(c.in, nil)
				case 1, 2, 3:
					last = tensor()
					fallthrough
				default:
					c.in = append(c.in, last)
				}
			}
			names := []string{"axis", "to", "keepdims", "k", "dtype", "sample_size", "p", "broadcast", "group", "blocksize", "num_outputs", "batch_dims"}
			if r.IntN(2) == 0 {
				c.attrs = append(c.attrs, onnxio.NewInt(names[r.IntN(len(names))], int64(r.IntN(12)-3)))
			}
			if r.IntN(2) == 0 {
				names := []string{"axes", "kernel_shape", "pads", "strides", "perm", "shape", "split", "starts", "ends", "dilations"}
				c.attrs = append(c.attrs, onnxio.NewInts(names[r.IntN(len(names))], int64(r.IntN(6)-2), int64(r.IntN(4))))
			}
			func() {
				defer func() {
					if e := recover(); e != nil && !panics[c.op] {
						panics[c.op] = true
						t.Errorf("%v: %v", c, e)
					}
				}()
				if _, err := c.ours(nil); err != nil { // perhaps for an attribute that the operator does not have
					c.attrs = nil
					_, _ = c.ours(nil)
				}
			}()
		}
	}
}
