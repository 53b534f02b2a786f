package ops

// DeformConv (Zhu et al. 2019): a convolution whose taps read the input at places shifted by an offset, between
// pixels by bilinear interpolation, each weighted by a mask. What lies outside of the input is zero.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() { Register("", "DeformConv", buildDeformConv, 19, 22) }

type deformConv struct {
	convolution
	offsetGroups int
}

func buildDeformConv(n *Node) (Kernel, error) {
	d := &deformConv{offsetGroups: int(n.Int("offset_group", 1))}
	d.sliding = sliding{autoPad: "NOTSET", strides: n.Ints("strides"), pads: n.Ints("pads"), dilations: n.Ints("dilations")}
	d.kernel, d.groups = n.Ints("kernel_shape"), int(n.Int("group", 1))
	if d.offsetGroups < 1 || d.groups < 1 {
		return nil, fmt.Errorf("attributes group and offset_group are %d and %d", d.groups, d.offsetGroups)
	}
	return byFloat(deform[float32](d), deform[float64](d)), n.CheckInputs(3, 5)
}

// deformRun is one run: the input, and for every tap and output position where it reads.
type deformRun[T kernels.Float] struct {
	*deformConv
	*convShapes
	x, offset, mask []T
}

func deform[T kernels.Float](d *deformConv) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		if len(in[0].Shape) != 4 {
			return nil, fmt.Errorf("input of shape %v, only two spatial axes are known", in[0].Shape)
		}
		s, err := d.shapes(in[0], in[1])
		if err != nil {
			return nil, err
		}
		r := &deformRun[T]{deformConv: d, convShapes: s}
		if err := r.read(in); err != nil {
			return nil, err
		}
		w, err := floatElements[T](in[1])
		if err != nil {
			return nil, err
		}
		bias, err := optionalFloats[T](in, 3)
		if err != nil {
			return nil, err
		}
		if bias != nil && len(bias) != s.outChannels {
			return nil, fmt.Errorf("bias of shape %v for %d output channels", in[3].Shape, s.outChannels)
		}
		y, err := newFloatOutput[T](c, in[0].Type, s.output()...)
		if err != nil {
			return nil, err
		}
		size := product(s.out)
		bands := (size + bandPositions - 1) / bandPositions
		rows, terms := s.outChannels/d.groups, s.channels/d.groups*product(s.kernel)
		c.Pool.Do(s.batch*bands, 1, func(from, to int) {
			patches := make([]T, s.channels*product(s.kernel)*min(size, bandPositions))
			for i := from; i < to; i++ {
				image, lo := i/bands, i%bands*bandPositions
				width := min(size-lo, bandPositions)
				r.gather(patches, image, lo, width)
				for g := range d.groups {
					out := y.data[(image*s.outChannels+g*rows)*size+lo:]
					matrixProduct(false, rows, width, terms, 1, w[g*rows*terms:], terms, patches[g*terms*width:], width, out, size)
					for m := 0; m < rows && bias != nil; m++ {
						kernels.AddScalar(out[m*size:][:width], out[m*size:][:width], bias[g*rows+m])
					}
				}
			}
		})
		return []*value.Tensor{y.done()}, nil
	}
}

// read takes X, offset and mask, and checks their shapes.
func (r *deformRun[T]) read(in []*value.Tensor) (err error) {
	taps := product(r.placement.kernel)
	if r.channels%r.offsetGroups != 0 {
		return fmt.Errorf("%d channels cannot be cut into %d offset groups", r.channels, r.offsetGroups)
	}
	if r.x, err = floatElements[T](in[0]); err != nil {
		return err
	}
	if r.offset, err = floatElements[T](in[2]); err != nil {
		return err
	}
	if r.mask, err = optionalFloats[T](in, 4); err != nil {
		return err
	}
	want := append([]int{r.batch, r.offsetGroups * taps * 2}, r.out...)
	if !slices.Equal(in[2].Shape, want) {
		return fmt.Errorf("offset of shape %v, want %v", in[2].Shape, want)
	}
	if want[1] /= 2; r.mask != nil && !slices.Equal(in[4].Shape, want) {
		return fmt.Errorf("mask of shape %v, want %v", in[4].Shape, want)
	}
	return nil
}

// gather writes the patches of output positions lo to lo+width: channels*taps rows.
func (r *deformRun[T]) gather(patches []T, image, lo, width int) {
	kernel, size := r.placement.kernel, product(r.out)
	taps, perGroup := product(kernel), r.channels/r.offsetGroups
	height, breadth := r.in[0], r.in[1]
	for g := range r.offsetGroups {
		for tap := range taps {
			place := (image*r.offsetGroups+g)*taps + tap
			shiftY, shiftX := r.offset[2*place*size:], r.offset[(2*place+1)*size:]
			for q := lo; q < lo+width; q++ {
				row, column := q/r.out[1], q%r.out[1]
				fy := float64(row*r.placement.strides[0]-r.begin[0]+tap/kernel[1]*r.placement.dilations[0]) + float64(shiftY[q])
				fx := float64(column*r.placement.strides[1]-r.begin[1]+tap%kernel[1]*r.placement.dilations[1]) + float64(shiftX[q])
				weight := T(1)
				if r.mask != nil {
					weight = r.mask[place*size+q]
				}
				at := newBilinear(fy, fx, height, breadth)
				for ch := g * perGroup; ch < (g+1)*perGroup; ch++ {
					plane := r.x[(image*r.channels+ch)*height*breadth:]
					patches[(ch*taps+tap)*width+q-lo] = weight * T(at.read(func(i int) float64 { return float64(plane[i]) }))
				}
			}
		}
	}
}

// bilinear is a place between four pixels: where they are, and how much each counts. Pixels outside count nothing.
type bilinear struct {
	at     [4]int
	weight [4]float64
}

func newBilinear(y, x float64, height, width int) bilinear {
	var b bilinear
	if !(y > -1 && y < float64(height) && x > -1 && x < float64(width)) {
		return b
	}
	top, left := int(math.Floor(y)), int(math.Floor(x))
	dy, dx := y-float64(top), x-float64(left)
	for i := range 4 {
		row, column := top+i/2, left+i%2
		if row < 0 || row >= height || column < 0 || column >= width {
			continue
		}
		wy, wx := 1-dy, 1-dx
		if i/2 == 1 {
			wy = dy
		}
		if i%2 == 1 {
			wx = dx
		}
		b.at[i], b.weight[i] = row*width+column, wy*wx
	}
	return b
}

func (b *bilinear) read(pixel func(int) float64) float64 {
	var sum float64
	for i, w := range b.weight {
		if w != 0 {
			sum += w * pixel(b.at[i])
		}
	}
	return sum
}
