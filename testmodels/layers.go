package testmodels

import (
	"fmt"

	"onnxprune/onnxio"
)

// This file makes the usual layers in one call each. Parameters are called as PyTorch calls them:
// a layer "conv1" has "conv1.weight" and "conv1.bias".

// ConvOption changes a convolution from its default: stride 1, output as large as the input, one group, no bias.
type ConvOption func(*convOptions)

type convOptions struct {
	stride, pad, dilation, groups int
	bias                          bool
}

// Stride sets the step of a convolution or pooling.
func Stride(n int) ConvOption { return func(o *convOptions) { o.stride = n } }

// Pad sets the padding on all sides.
func Pad(n int) ConvOption { return func(o *convOptions) { o.pad = n } }

// Dilation sets the distance of the kernel's elements.
func Dilation(n int) ConvOption { return func(o *convOptions) { o.dilation = n } }

// Groups sets the number of groups.
func Groups(n int) ConvOption { return func(o *convOptions) { o.groups = n } }

// Bias adds a bias.
func Bias() ConvOption { return func(o *convOptions) { o.bias = true } }

func convOpts(k, pad int, opts []ConvOption) (convOptions, Attrs) {
	o := convOptions{stride: 1, pad: pad, dilation: 1, groups: 1}
	for _, f := range opts {
		f(&o)
	}
	return o, Attrs{"kernel_shape": []int{k, k}, "strides": []int{o.stride, o.stride}, "dilations": []int{o.dilation, o.dilation},
		"pads": []int{o.pad, o.pad, o.pad, o.pad}, "group": o.groups}
}

// Conv adds a 2-D convolution from in to out channels with a k x k kernel.
func (b *Builder) Conv(name, x string, in, out, k int, opts ...ConvOption) string {
	o, attrs := convOpts(k, k/2, opts)
	if in%o.groups != 0 || out%o.groups != 0 {
		panic(fmt.Sprintf("testmodels: convolution %q: %d groups for %d -> %d channels", name, o.groups, in, out))
	}
	w := b.Weight(name+".weight", int64(out), int64(in/o.groups), int64(k), int64(k))
	return b.Named(name).Node("Conv", b.withBias(name, out, o.bias, x, w), attrs)
}

// ConvTranspose adds a transposed 2-D convolution; its default padding is 0.
func (b *Builder) ConvTranspose(name, x string, in, out, k int, opts ...ConvOption) string {
	o, attrs := convOpts(k, 0, opts)
	w := b.Weight(name+".weight", int64(in), int64(out/o.groups), int64(k), int64(k))
	return b.Named(name).Node("ConvTranspose", b.withBias(name, out, o.bias, x, w), attrs)
}

func (b *Builder) withBias(name string, out int, bias bool, inputs ...string) []string {
	if bias {
		inputs = append(inputs, b.Vector(name+".bias", int64(out), 0, 0.1))
	}
	return inputs
}

// BN adds a batch normalisation of c channels.
func (b *Builder) BN(name, x string, c int) string {
	n := int64(c)
	return b.Named(name).Node("BatchNormalization", []string{x, b.Vector(name+".weight", n, 1, 0.1), b.Vector(name+".bias", n, 0, 0.1),
		b.Vector(name+".running_mean", n, 0, 0.1), b.Vector(name+".running_var", n, 1, 0.1)}, Attrs{"epsilon": 1e-5})
}

// ConvBNRelu is a convolution "name.conv", a batch normalisation "name.bn" and a Relu.
func (b *Builder) ConvBNRelu(name, x string, in, out, k int, opts ...ConvOption) string {
	return b.Relu(b.BN(name+".bn", b.Conv(name+".conv", x, in, out, k, opts...), out))
}

// Gemm adds a linear layer y = x wT + bias on [N,in].
func (b *Builder) Gemm(name, x string, in, out int) string {
	w := b.Weight(name+".weight", int64(out), int64(in))
	return b.Named(name).Node("Gemm", b.withBias(name, out, true, x, w), Attrs{"transB": 1})
}

// MatMul adds a linear layer without bias: the weight is [in,out].
func (b *Builder) MatMul(name, x string, in, out int) string {
	return b.Named(name).Node("MatMul", []string{x, b.Weight(name+".weight", int64(in), int64(out))})
}

// Relu, and the operators below, add the operator of their name.
func (b *Builder) Relu(x string) string    { return b.Node("Relu", []string{x}) }
func (b *Builder) Sigmoid(x string) string { return b.Node("Sigmoid", []string{x}) }
func (b *Builder) Add(x, y string) string  { return b.Node("Add", []string{x, y}) }
func (b *Builder) Sub(x, y string) string  { return b.Node("Sub", []string{x, y}) }
func (b *Builder) Mul(x, y string) string  { return b.Node("Mul", []string{x, y}) }
func (b *Builder) Div(x, y string) string  { return b.Node("Div", []string{x, y}) }
func (b *Builder) Shape(x string) string   { return b.Node("Shape", []string{x}) }

// LeakyRelu has a slope for negative values.
func (b *Builder) LeakyRelu(x string, alpha float64) string {
	return b.Node("LeakyRelu", []string{x}, Attrs{"alpha": alpha})
}

// Softmax is along one axis.
func (b *Builder) Softmax(x string, axis int) string {
	return b.Node("Softmax", []string{x}, Attrs{"axis": axis})
}

// Concat joins values along an axis.
func (b *Builder) Concat(axis int, xs ...string) string {
	return b.Node("Concat", xs, Attrs{"axis": axis})
}

// Gather picks by the indices along an axis.
func (b *Builder) Gather(x, indices string, axis int) string {
	return b.Node("Gather", []string{x, indices}, Attrs{"axis": axis})
}

// MaxPool pools k x k with a stride; options as for Conv, no padding by default.
func (b *Builder) MaxPool(x string, k, stride int, opts ...ConvOption) string {
	return b.pool("MaxPool", x, k, append([]ConvOption{Stride(stride)}, opts...))
}

// AveragePool pools k x k with a stride.
func (b *Builder) AveragePool(x string, k, stride int, opts ...ConvOption) string {
	return b.pool("AveragePool", x, k, append([]ConvOption{Stride(stride)}, opts...))
}

func (b *Builder) pool(op, x string, k int, opts []ConvOption) string {
	o, attrs := convOpts(k, 0, opts)
	if delete(attrs, "group"); o.dilation == 1 {
		delete(attrs, "dilations")
	}
	return b.Node(op, []string{x}, attrs)
}

// GlobalAveragePool averages over height and width.
func (b *Builder) GlobalAveragePool(x string) string { return b.Node("GlobalAveragePool", []string{x}) }

// Flatten joins all axes from 1 on.
func (b *Builder) Flatten(x string) string { return b.Node("Flatten", []string{x}, Attrs{"axis": 1}) }

// Reshape gives x a constant shape; 0 copies a dimension, -1 takes what is left.
func (b *Builder) Reshape(x string, dims ...int64) string {
	return b.Node("Reshape", []string{x, b.constant(dims)})
}

// Transpose reorders the axes.
func (b *Builder) Transpose(x string, perm ...int64) string {
	return b.Node("Transpose", []string{x}, Attrs{"perm": perm})
}

// Upsample repeats every pixel of [N,C,H,W] scale times in both directions.
func (b *Builder) Upsample(x string, scale float32) string {
	scales := b.constant([]float32{1, 1, scale, scale})
	attrs := Attrs{"mode": "nearest"}
	switch {
	case b.Opset() < 10:
		return b.Node("Upsample", []string{x, scales}, attrs)
	case b.Opset() == 10:
		return b.Node("Resize", []string{x, scales}, attrs)
	}
	attrs["coordinate_transformation_mode"], attrs["nearest_mode"] = "asymmetric", "floor"
	return b.Node("Resize", []string{x, "", scales}, attrs)
}

// Split cuts x along an axis into parts of the given sizes.
func (b *Builder) Split(x string, axis int, sizes ...int64) []string {
	if b.Opset() < 13 {
		return b.NodeN("Split", []string{x}, len(sizes), Attrs{"axis": axis, "split": sizes})
	}
	return b.NodeN("Split", []string{x, b.constant(sizes)}, len(sizes), Attrs{"axis": axis})
}

// Slice keeps start <= i < end along an axis.
func (b *Builder) Slice(x string, axis, start, end int64) string {
	if b.Opset() < 10 {
		return b.Node("Slice", []string{x}, Attrs{"axes": []int64{axis}, "starts": []int64{start}, "ends": []int64{end}})
	}
	return b.Node("Slice", []string{x, b.constant([]int64{start}), b.constant([]int64{end}), b.constant([]int64{axis})})
}

// Squeeze drops axes of length 1.
func (b *Builder) Squeeze(x string, axes ...int64) string {
	return b.withAxes("Squeeze", 13, x, axes, nil)
}

// Unsqueeze adds axes of length 1.
func (b *Builder) Unsqueeze(x string, axes ...int64) string {
	return b.withAxes("Unsqueeze", 13, x, axes, nil)
}

// ReduceMean averages over axes, which stay with length 1.
func (b *Builder) ReduceMean(x string, axes ...int64) string {
	return b.withAxes("ReduceMean", 18, x, axes, Attrs{"keepdims": 1})
}

// ReduceMax takes the largest over axes, which stay with length 1.
func (b *Builder) ReduceMax(x string, axes ...int64) string {
	return b.withAxes("ReduceMax", 18, x, axes, Attrs{"keepdims": 1})
}

// withAxes writes axes as an input from an opset on, as an attribute before.
func (b *Builder) withAxes(op string, since int64, x string, axes []int64, attrs Attrs) string {
	if b.Opset() < since {
		return b.Node(op, []string{x}, attrs, Attrs{"axes": axes})
	}
	return b.Node(op, []string{x, b.constant(axes)}, attrs)
}

// Clip limits values to lo..hi.
func (b *Builder) Clip(x string, lo, hi float32) string {
	if b.Opset() < 11 {
		return b.Node("Clip", []string{x}, Attrs{"min": lo, "max": hi})
	}
	return b.Node("Clip", []string{x, b.constant(lo), b.constant(hi)})
}

// PadHW pads height and width of [N,C,H,W] with zeros, n on each side.
func (b *Builder) PadHW(x string, n int64) string {
	pads := []int64{0, 0, n, n, 0, 0, n, n}
	if b.Opset() < 11 {
		return b.Node("Pad", []string{x}, Attrs{"pads": pads})
	}
	return b.Node("Pad", []string{x, b.constant(pads)})
}

// Cast converts to an element type.
func (b *Builder) Cast(x string, to onnxio.DataType) string {
	return b.Node("Cast", []string{x}, Attrs{"to": to})
}
