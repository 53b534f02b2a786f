package testmodels

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
)

// This file builds yolov3_mobilenet_v1 of PaddleDetection: MobileNetV1 (Howard et al. 2017), the YOLOv3 head
// (Redmon and Farhadi 2018), the decoding of boxes, and non-maximum suppression, with Paddle's names of
// the parameters. Every initializer is a parameter; all other constants are Constant nodes.

// YOLOv3Options says which network is built. The zero value is the one trained on VOC, at 608 pixels.
type YOLOv3Options struct {
	Divisor int    // all widths are divided by it; 0 is 1
	Classes int    // 0 is 20, as in VOC; COCO has 80
	Size    int    // height and width of the input, pixels; 0 is 608, -1 leaves both open
	Output  string // where it ends: "bbox" [K,6] after suppression (also ""), "boxes" and scores, or "heads"
}

var (
	yoloAnchors = [9][2]float32{{10, 13}, {16, 30}, {33, 23}, {30, 61}, {62, 45}, {59, 119}, {116, 90}, {156, 198}, {373, 326}}
	yoloMasks   = [3][3]int{{6, 7, 8}, {3, 4, 5}, {0, 1, 2}}
)

// YOLOv3MobileNetV1 builds the network. Inputs are "image" float32 [N,3,Size,Size] and, unless it ends at the heads,
// "im_size" int32 [N,2] (height, width). The output "bbox" is class, score, x0, y0, x1, y1.
func YOLOv3MobileNetV1(o YOLOv3Options) *Builder {
	o.Divisor, o.Classes = max(1, o.Divisor), orElse(o.Classes, 20)
	size := []any{"N", 3, orElse(o.Size, 608), orElse(o.Size, 608)}
	if o.Size < 0 {
		size = []any{"N", 3, "H", "W"}
	}
	y := &yolo{b: New(13), o: o}
	x := y.b.Input("image", onnxio.Float, size...)
	if o.Output != "heads" {
		y.b.Input("im_size", onnxio.Int32, "N", 2)
	}
	heads := y.heads(y.backbone(x))
	switch o.Output {
	case "heads":
		for _, h := range heads {
			y.b.Output(h, onnxio.Float, "N", 3*(5+o.Classes), -1, -1)
		}
	case "boxes":
		y.boxes(heads)
		y.b.Output("boxes", onnxio.Float, "N", "M", 4)
		y.b.Output("scores", onnxio.Float, "N", o.Classes, "M")
	case "", "bbox":
		y.suppress(y.boxes(heads))
		y.b.Output("bbox", onnxio.Float, "K", 6)
	default:
		panic(fmt.Sprintf("testmodels: YOLOv3 has no output %q", o.Output))
	}
	return y.b
}

func orElse(v, otherwise int) int {
	if v == 0 {
		return otherwise
	}
	return v
}

type yolo struct {
	b *Builder
	o YOLOv3Options
}

// conv is a convolution of in to out channels without bias, before the divisor; in 3 is the image.
func (y *yolo) conv(node, weights, x string, in, out, k, stride int) string {
	d := y.o.Divisor
	if in != 3 {
		in /= d
	}
	w := y.b.Weight(weights, int64(out/d), int64(in), int64(k), int64(k))
	_, attrs := convOpts(k, k/2, []ConvOption{Stride(stride)})
	return y.b.Named(node).Node("Conv", []string{x, w}, attrs)
}

// backbone returns MobileNetV1's feature maps at strides 32, 16 and 8.
func (y *yolo) backbone(x string) [3]string {
	b := y.b
	bnRelu := func(layer, x string, c int) string {
		return b.Relu(b.paddleBN(layer+"_bn", x, c/y.o.Divisor, '_'))
	}
	x = bnRelu("conv1", y.conv("conv1", "conv1_weights", x, 3, 32, 3, 2), 32)
	var maps [3]string
	for _, l := range []struct {
		name            string
		in, out, stride int
		mapAt           int // 1 + index of the feature map that this layer ends
	}{
		{"conv2_1", 32, 64, 1, 0}, {"conv2_2", 64, 128, 2, 0},
		{"conv3_1", 128, 128, 1, 0}, {"conv3_2", 128, 256, 2, 3},
		{"conv4_1", 256, 256, 1, 0}, {"conv4_2", 256, 512, 2, 2},
		{"conv5_1", 512, 512, 1, 0}, {"conv5_2", 512, 512, 1, 0}, {"conv5_3", 512, 512, 1, 0},
		{"conv5_4", 512, 512, 1, 0}, {"conv5_5", 512, 512, 1, 0}, {"conv5_6", 512, 1024, 2, 0},
		{"conv6", 1024, 1024, 1, 1},
	} {
		c := l.in / y.o.Divisor
		w := b.Weight(l.name+"_dw_weights", int64(c), 1, 3, 3)
		_, attrs := convOpts(3, 1, []ConvOption{Stride(l.stride), Groups(c)})
		x = bnRelu(l.name+"_dw", b.Named(l.name+"_dw").Node("Conv", []string{x, w}, attrs), l.in)
		x = bnRelu(l.name+"_sep", y.conv(l.name+"_sep", l.name+"_sep_weights", x, l.in, l.out, 1, 1), l.out)
		if l.mapAt > 0 {
			maps[l.mapAt-1] = x
		}
	}
	return maps
}

// heads returns the three raw outputs, at strides 32, 16 and 8.
func (y *yolo) heads(maps [3]string) [3]string {
	b := y.b
	block := func(name, x string, in, out, k int) string {
		x = y.conv(name, name+".conv.weights", x, in, out, k, 1)
		return b.LeakyRelu(b.paddleBN(name+".bn", x, out/y.o.Divisor, '.'), 0.1)
	}
	var heads [3]string
	route := ""
	for i, x := range maps {
		ch := 512 >> i
		in := 2 * ch
		if i > 0 {
			up := block(fmt.Sprintf("yolo_transition.%d", i-1), route, 2*ch, ch, 1)
			x = b.Concat(1, b.Upsample(up, 2), x)
			in = ch + 2*ch
		}
		n := fmt.Sprintf("yolo_block.%d.", i)
		x = block(n+"0.0", x, in, ch, 1)
		x = block(n+"0.1", x, ch, 2*ch, 3)
		x = block(n+"1.0", x, 2*ch, ch, 1)
		x = block(n+"1.1", x, ch, 2*ch, 3)
		route = block(n+"2", x, 2*ch, ch, 1)
		tip := block(n+"tip", route, ch, 2*ch, 3)
		heads[i] = y.output(fmt.Sprintf("yolo_output.%d", i), tip, 2*ch)
	}
	return heads
}

// output is the last convolution of a head. Its bias makes most cells empty and most classes unlikely, as
// after training, so that a random network finds some objects and not thousands.
func (y *yolo) output(name, x string, in int) string {
	b, c := y.b, y.o.Classes
	in /= y.o.Divisor
	bias := make([]float32, 0, 3*(5+c))
	for range 3 {
		bias = append(bias, 0, 0, 0, 0, -3)
		for range c {
			bias = append(bias, -2)
		}
	}
	w := b.drawn(onnxio.Float, name+".conv.weights", []int64{int64(3 * (5 + c)), int64(in), 1, 1}, 0, 2/math.Sqrt(float64(in)))
	_, attrs := convOpts(1, 0, nil)
	return b.Named(name).Node("Conv", []string{x, w, b.NamedConst(name+".conv.bias", bias)}, attrs)
}

// boxes decodes the heads as Paddle's yolo_box does, and returns "boxes" [N,M,4] and "scores" [N,C,M].
func (y *yolo) boxes(heads [3]string) (boxes, scores string) {
	b := y.b
	size := b.Cast("im_size", onnxio.Float)
	column := func(i int) string { return b.Reshape(b.Gather(size, b.constant(i), 1), -1, 1, 1, 1) }
	height, width := column(0), column(1)
	var bs, ss []string
	for i, h := range heads {
		box, score := y.decode(h, yoloMasks[i], 32>>i, height, width)
		bs, ss = append(bs, box), append(ss, score)
	}
	b.NodeTo("Concat", bs, []string{"boxes"}, Attrs{"axis": 1})
	b.NodeTo("Concat", ss, []string{"scores"}, Attrs{"axis": 2})
	return "boxes", "scores"
}

// decode turns one head [N,3*(5+C),H,W] into boxes in pixels of the picture, and scores.
func (y *yolo) decode(head string, mask [3]int, stride int, height, width string) (boxes, scores string) {
	b, c := y.b, y.o.Classes
	shape := b.Shape(head)
	n, h, w := b.Gather(shape, b.constant(0), 0), b.Gather(shape, b.constant(2), 0), b.Gather(shape, b.constant(3), 0)
	n1 := b.Unsqueeze(n, 0)
	cells := b.Node("Reshape", []string{head, b.Concat(0, n1, b.constant([]int{3}), b.constant([]int{5 + c}), b.Unsqueeze(h, 0), b.Unsqueeze(w, 0))})
	part := func(i int) string { return b.Gather(cells, b.constant(i), 2) }
	var anchorW, anchorH []float32
	for _, a := range mask {
		anchorW, anchorH = append(anchorW, yoloAnchors[a][0]), append(anchorH, yoloAnchors[a][1])
	}
	// center and half extent along one axis, both as shares of the picture
	along := func(at int, count string, anchors []float32, grid ...int64) (center, half string) {
		cellsF := b.Cast(count, onnxio.Float)
		steps := b.Node("Range", []string{b.constant(float32(0)), cellsF, b.constant(float32(1))})
		center = b.Div(b.Add(b.Sigmoid(part(at)), b.Reshape(steps, grid...)), cellsF)
		a := b.Constant(onnxio.NewFloats32("", []int64{1, 3, 1, 1}, anchors))
		pixels := b.Cast(b.Mul(count, b.constant(stride)), onnxio.Float)
		extent := b.Div(b.Mul(b.Node("Exp", []string{part(at + 2)}), a), pixels)
		return center, b.Div(extent, b.constant(float32(2)))
	}
	cx, hx := along(0, w, anchorW, 1, 1, 1, -1)
	cy, hy := along(1, h, anchorH, 1, 1, -1, 1)
	low := func(center, half, size string) string {
		return b.Node("Clip", []string{b.Mul(b.Sub(center, half), size), b.constant(float32(0))})
	}
	high := func(center, half, size string) string {
		return b.Node("Min", []string{b.Mul(b.Add(center, half), size), b.Sub(size, b.constant(float32(1)))})
	}
	box := b.stack(-1, low(cx, hx, width), low(cy, hy, height), high(cx, hx, width), high(cy, hy, height))
	boxes = b.Node("Reshape", []string{box, b.Concat(0, n1, b.constant([]int{-1, 4}))})

	object := b.Sigmoid(part(4))
	object = b.Mul(object, b.Cast(b.Node("Greater", []string{object, b.constant(float32(0.01))}), onnxio.Float))
	class := b.Node("Slice", []string{cells, b.constant([]int{5}), b.constant([]int64{math.MaxInt64}), b.constant([]int{2})})
	score := b.Transpose(b.Mul(b.Sigmoid(class), b.Unsqueeze(object, 2)), 0, 2, 1, 3, 4)
	scores = b.Node("Reshape", []string{score, b.Concat(0, n1, b.constant([]int{c, -1}))})
	return boxes, scores
}

// suppress keeps the best boxes of every class and writes them as "bbox" [K,6].
func (y *yolo) suppress(boxes, scores string) {
	b := y.b
	chosen := b.Node("NonMaxSuppression", []string{boxes, scores, b.constant([]int{1000}), b.constant([]float32{0.45}), b.constant([]float32{0.01})})
	score := b.Node("GatherND", []string{scores, chosen}) // chosen is [K,3]: picture, class, box
	box := b.Node("GatherND", []string{boxes, b.Gather(chosen, b.constant([]int{0, 2}), 1)})
	class := b.Gather(chosen, b.constant(1), 1)
	keep := b.Node("ReduceMin", []string{b.Concat(0, b.Shape(score), b.constant([]int{100}))}, Attrs{"axes": []int{0}, "keepdims": 1})
	top := b.NodeN("TopK", []string{score, keep}, 2, Attrs{"axis": 0, "largest": 1, "sorted": 1})
	classes := b.Cast(b.Gather(class, top[1], 0), onnxio.Float)
	b.NodeTo("Concat", []string{b.Unsqueeze(classes, 1), b.Unsqueeze(top[0], 1), b.Gather(box, top[1], 0)}, []string{"bbox"}, Attrs{"axis": 1})
}

// constant is Const as a Constant node.
func (b *Builder) constant(v any) string { return b.Constant(NewTensor("", v)) }

// stack joins values along a new axis.
func (b *Builder) stack(axis int64, xs ...string) string {
	for i, x := range xs {
		xs[i] = b.Unsqueeze(x, axis)
	}
	return b.Concat(int(axis), xs...)
}
