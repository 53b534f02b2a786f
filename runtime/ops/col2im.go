package ops

// Col2Im: the sum of overlapping blocks, the reverse of cutting an image into patches.

import (
	"fmt"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() { Register("", "Col2Im", buildCol2Im, 18) }

// patches says where the blocks of an image lie.
type patches struct {
	pads, strides, dilations []int
}

func buildCol2Im(n *Node) (Kernel, error) {
	if err := n.CheckInputs(3, 3); err != nil {
		return nil, err
	}
	p := patches{n.Ints("pads"), n.Ints("strides"), n.Ints("dilations")}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		image, err := intsOf(in[1], "the image shape")
		if err != nil {
			return nil, err
		}
		block, err := intsOf(in[2], "the block shape")
		if err != nil {
			return nil, err
		}
		if in[0].Type == onnxio.Double {
			return oneOutput(columnsToImage[float64](c, in[0], image, block, p))
		}
		return oneOutput(columnsToImage[float32](c, in[0], image, block, p))
	}), nil
}

func columnsToImage[T kernels.Float](c *Context, x *value.Tensor, image, block []int, p patches) (*value.Tensor, error) {
	dims := len(image)
	p.strides, p.dilations = onesIfNil(p.strides, dims), onesIfNil(p.dilations, dims)
	if p.pads == nil {
		p.pads = make([]int, 2*dims)
	}
	size, err := value.CheckedCount(block)
	if err != nil {
		return nil, fmt.Errorf("block: %w", err)
	}
	if len(block) != dims || len(p.strides) != dims || len(p.dilations) != dims || len(p.pads) != 2*dims ||
		len(x.Shape) != 3 || size == 0 || x.Shape[1]%size != 0 {
		return nil, fmt.Errorf("%v as blocks %v of an image %v", x, block, image)
	}
	columns := make([]int, dims)
	for d := range dims {
		span := (block[d]-1)*p.dilations[d] + 1
		if p.strides[d] < 1 || p.dilations[d] < 1 || image[d]+p.pads[d]+p.pads[dims+d] < span {
			return nil, fmt.Errorf("blocks %v with strides %v and dilations %v in an image %v", block, p.strides, p.dilations, image)
		}
		columns[d] = (image[d]+p.pads[d]+p.pads[dims+d]-span)/p.strides[d] + 1
	}
	if value.Count(columns) != x.Shape[2] {
		return nil, fmt.Errorf("%v has %d blocks, want %v", x, x.Shape[2], columns)
	}
	src, err := floatElements[T](x)
	if err != nil {
		return nil, err
	}
	channels := x.Shape[1] / size
	out, err := newFloatOutput[T](c, x.Type, append([]int{x.Shape[0], channels}, image...)...)
	if err != nil {
		return nil, err
	}
	pixels := value.Count(image)
	c.Pool.Do(x.Shape[0]*channels, moveGrain/(size*x.Shape[2]+1)+1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			addBlocks(out.data[i*pixels:(i+1)*pixels], src[i*size*x.Shape[2]:(i+1)*size*x.Shape[2]], image, block, columns, p)
		}
	})
	return out.done(), nil
}

// addBlocks adds the elements of all blocks of one channel to where they lie in the image.
func addBlocks[T kernels.Float](image, x []T, shape, block, columns []int, p patches) {
	strides := stridesOf(shape)
	in, col := make([]int, len(block)), make([]int, len(block))
	total := value.Count(columns)
	for b := range value.Count(block) {
		unravelIndex(b, block, in)
	next:
		for k := range total {
			unravelIndex(k, columns, col)
			at := 0
			for d := range in {
				i := col[d]*p.strides[d] + in[d]*p.dilations[d] - p.pads[d]
				if i < 0 || i >= shape[d] {
					continue next
				}
				at += i * strides[d]
			}
			image[at] += x[b*total+k]
		}
	}
}
