package ops

// Transpose, and the two operators that are a transpose between two reshapes: DepthToSpace and SpaceToDepth.

import (
	"fmt"

	"onnxprune/runtime/value"
)

func init() {
	Register("", "Transpose", buildTranspose, 1, 13, 21, 23, 24, 25)
	Register("", "DepthToSpace", buildDepthToSpace, 1, 11, 13)
	Register("", "SpaceToDepth", buildSpaceToDepth, 1, 13)
}

func buildTranspose(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	given, isGiven := n.Ints("perm"), n.Has("perm")
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		perm := given
		if !isGiven {
			perm = nil
			for d := len(in[0].Shape) - 1; d >= 0; d-- {
				perm = append(perm, d)
			}
		}
		perm, err := axesIn(perm, len(in[0].Shape))
		if err == nil && len(perm) != len(in[0].Shape) {
			err = fmt.Errorf("it has %d axes", len(perm))
		}
		if err != nil {
			return nil, fmt.Errorf("permutation %v of %v: %w", given, in[0], err)
		}
		return oneOutput(transposed(c, in[0], in[0].Shape, perm))
	}), nil
}

// transposed permutes the axes of t seen as a tensor of the given shape. Where only axes of size one move, it shares t's memory.
func transposed(c *Context, t *value.Tensor, shape, perm []int) (*value.Tensor, error) {
	to := make([]int, len(perm))
	last, moves := -1, false
	for i, a := range perm {
		to[i] = shape[a]
		if shape[a] != 1 {
			moves = moves || a < last
			last = a
		}
	}
	if !moves {
		return t.View(to...), nil
	}
	out, err := c.New(t.Type, to...)
	if err != nil {
		return nil, err
	}
	return out, moverOf(out).transpose(c.Pool, moverOf(t), shape, perm)
}

func buildDepthToSpace(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	b, err := blockSize(n)
	if err != nil {
		return nil, err
	}
	mode := "DCR"
	if n.Since >= 11 {
		mode = n.OneOf("mode", "DCR", "CRD")
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		s := in[0].Shape
		if len(s) != 4 || s[1]%(b*b) != 0 {
			return nil, fmt.Errorf("%v has no channels to spread over blocks of %d x %d", in[0], b, b)
		}
		depth := s[1] / (b * b)
		shape, perm := []int{s[0], b, b, depth, s[2], s[3]}, []int{0, 3, 4, 1, 5, 2}
		if mode == "CRD" {
			shape, perm = []int{s[0], depth, b, b, s[2], s[3]}, []int{0, 1, 4, 2, 5, 3}
		}
		t, err := transposed(c, in[0], shape, perm)
		if err != nil {
			return nil, err
		}
		return []*value.Tensor{t.View(s[0], depth, s[2]*b, s[3]*b)}, nil
	}), nil
}

func buildSpaceToDepth(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	b, err := blockSize(n)
	if err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		s := in[0].Shape
		if len(s) != 4 || s[2]%b != 0 || s[3]%b != 0 {
			return nil, fmt.Errorf("%v cannot be cut into blocks of %d x %d", in[0], b, b)
		}
		t, err := transposed(c, in[0], []int{s[0], s[1], s[2] / b, b, s[3] / b, b}, []int{0, 3, 5, 1, 2, 4})
		if err != nil {
			return nil, err
		}
		return []*value.Tensor{t.View(s[0], s[1]*b*b, s[2]/b, s[3]/b)}, nil
	}), nil
}

func blockSize(n *Node) (int, error) {
	b := n.Int("blocksize", 0)
	if b < 1 || b > 1<<20 {
		return 0, fmt.Errorf("attribute blocksize is %d, want at least 1", b)
	}
	return int(b), nil
}
