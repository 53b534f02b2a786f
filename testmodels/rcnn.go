package testmodels

import (
	"math"

	"onnxprune/onnxio"
)

// This file builds faster_rcnn_r50 and mask_rcnn_r50 of PaddleDetection (the variants that take region features
// from stage 4, "C4"; Ren et al. 2015, He et al. 2017), with Paddle's names of the parameters. Every
// initializer is a parameter; all other constants are Constant nodes. rcnn_boxes.go has the arithmetic on boxes.

// RCNNOptions says which network is built. The zero value is full size on COCO.
type RCNNOptions struct {
	Divisor     int  // all widths are divided by it; 0 is 1
	Size        int  // height and width of the input, pixels; 0 is 320, -1 leaves both open
	ControlFlow bool // Faster R-CNN: the head of the regions stands in an If that guards against no regions
	PreNMS      int  // proposals before suppression; 0 is 6000
	PostNMS     int  // and after; 0 is 1000
	Keep        int  // detections; 0 is 100
}

const rcnnClasses = 81 // COCO's 80 and background, which is class 0

type rcnn struct {
	resnet
	o        RCNNOptions
	features string // of the whole picture, stage 4, stride 16
	info     string // im_info: height, width and scale of the resized picture
}

// FasterRCNNR50 builds the network: inputs "image" float32 [1,3,Size,Size], "im_info" [1,3] (height, width, scale) and
// "im_shape" [1,3] (the original's); the output "bbox" [K,6] is class, score, x0, y0, x1, y1.
func FasterRCNNR50(o RCNNOptions) *Builder {
	r := newRCNN(12, o, nil)
	r.b.OutputType(r.detect(), onnxio.TensorType(onnxio.Float, onnxio.Named("K"), onnxio.Fixed(6)))
	return r.b
}

// MaskRCNNR50 builds the network, which has a second output "mask" [K,81,14,14]. The masks are made inside an If on
// "no boxes", by stage 5 with the weights that the boxes were made with.
func MaskRCNNR50(o RCNNOptions) *Builder {
	r := newRCNN(13, o, []int64{1})
	bbox := r.detect()
	r.b.Output(bbox, onnxio.Float, "K", 6)
	r.b.Output(r.masks(bbox), onnxio.Float, "K", rcnnClasses, 14, 14)
	return r.b
}

func newRCNN(opset int64, o RCNNOptions, affine []int64) *rcnn {
	o.Divisor, o.PreNMS, o.PostNMS, o.Keep = max(1, o.Divisor), orElse(o.PreNMS, 6000), orElse(o.PostNMS, 1000), orElse(o.Keep, 100)
	r := &rcnn{resnet: resnet{b: New(opset), divisor: o.Divisor, affine: affine}, o: o}
	size := []any{1, 3, orElse(o.Size, 320), orElse(o.Size, 320)}
	if o.Size < 0 {
		size = []any{1, 3, "H", "W"}
	}
	x := r.b.Input("image", onnxio.Float, size...)
	r.info = r.b.Input("im_info", onnxio.Float, 1, 3)
	r.b.Input("im_shape", onnxio.Float, 1, 3)
	r.features = r.stage(4, r.stage(3, r.stage(2, r.stem(x))))
	return r
}

// detect goes from the features to "bbox".
func (r *rcnn) detect() string {
	regions := r.proposals()
	var class, deltas string
	if r.o.ControlFlow {
		class, deltas = r.guardedHead(regions)
	} else {
		class, deltas = r.head(r.b, regions)
	}
	return r.detections(regions, r.b.Softmax(class, 1), deltas)
}

// linear is a convolution or linear layer with a bias; gain is the deviation of its outputs for inputs of
// deviation 1.
func (r *rcnn) linear(op, weights, bias, x string, gain float64, attrs Attrs, dims ...int64) string {
	in := float64(dims[1])
	if len(dims) == 4 {
		in *= float64(dims[2] * dims[3])
	}
	w := r.once(weights, dims, 0, gain/math.Sqrt(in))
	return r.b.Named(weights).Node(op, []string{x, w, r.once(bias, dims[:1], 0, 0.01)}, attrs)
}

// proposals runs the region proposal network and returns regions [R,4] in pixels of the resized picture.
func (r *rcnn) proposals() string {
	b, c := r.b, int64(1024/r.divisor)
	_, three := convOpts(3, 1, nil)
	_, one := convOpts(1, 0, nil)
	x := b.Relu(r.linear("Conv", "conv_rpn_w", "conv_rpn_b", r.features, math.Sqrt2, three, c, c, 3, 3))
	logits := r.linear("Conv", "rpn_cls_logits_w", "rpn_cls_logits_b", x, 0.5, one, 15, c, 1, 1)
	deltas := r.linear("Conv", "rpn_bbox_pred_w", "rpn_bbox_pred_b", x, 0.1, one, 60, c, 1, 1)

	scores := b.Reshape(b.Transpose(b.Sigmoid(logits), 0, 2, 3, 1), -1)
	deltas = b.Reshape(b.Transpose(deltas, 0, 2, 3, 1), -1, 4)
	count := b.Node("ReduceMin", []string{b.Concat(0, b.Shape(scores), b.constant([]int{r.o.PreNMS}))}, Attrs{"axes": []int{0}, "keepdims": 1})
	top := b.NodeN("TopK", []string{scores, count}, 2, Attrs{"axis": -1, "largest": 1, "sorted": 1})
	boxes := r.decode(b.Gather(r.anchors(), top[1], 0), b.Gather(deltas, top[1], 0), 1, [4]float32{1, 1, 1, 1})
	boxes = r.clip(boxes, r.info, 1)

	large := b.Node("And", []string{
		b.Node("GreaterOrEqual", []string{r.extent(boxes, 0), b.constant(float32(1))}),
		b.Node("GreaterOrEqual", []string{r.extent(boxes, 1), b.constant(float32(1))})})
	kept := r.nonZero(large)
	boxes, scores = b.Gather(boxes, kept, 0), b.Gather(top[0], kept, 0)
	return b.Gather(boxes, r.suppress(boxes, scores, 0.7, r.o.PostNMS), 0)
}

// head turns regions into class scores [R,81] and changes of the box for each class [R,324]. It may stand in
// a body b.
func (r *rcnn) head(b *Builder, regions string) (class, deltas string) {
	in := *r
	in.b = b
	x := b.Flatten(b.GlobalAveragePool(in.regionFeatures(regions)))
	c := int64(2048 / r.divisor)
	class = in.linear("Gemm", "cls_score_w", "cls_score_b", x, 2.5, Attrs{"transB": 1}, rcnnClasses, c)
	deltas = in.linear("Gemm", "bbox_pred_w", "bbox_pred_b", x, 1, Attrs{"transB": 1}, 4*rcnnClasses, c)
	return class, deltas
}

// regionFeatures takes 14x14 features of every region, and runs stage 5 on them: [R,2048,7,7].
func (r *rcnn) regionFeatures(regions string) string {
	b := r.b
	picture := b.Node("ConstantOfShape", []string{b.Slice(b.Shape(regions), 0, 0, 1)}, Attrs{"value": onnxio.NewInts64("", []int64{1}, []int64{0})})
	x := b.Node("RoiAlign", []string{r.features, regions, picture},
		Attrs{"output_height": 14, "output_width": 14, "sampling_ratio": 0, "spatial_scale": 1.0 / 16})
	return r.stage(5, x)
}

// guardedHead is head inside an If, which gives empty results where there are no regions.
func (r *rcnn) guardedHead(regions string) (class, deltas string) {
	b := r.b
	count := b.Gather(b.Shape(regions), b.constant(0), 0)
	empty := b.Node("Equal", []string{count, b.constant(0)})
	then, other := b.Body("no_regions"), b.Body("regions")
	for _, n := range []int64{rcnnClasses, 4 * rcnnClasses} {
		none := b.Constant(onnxio.NewFloats32("", []int64{0, n}, nil))
		then.Output(then.Node("Identity", []string{none}), onnxio.Float, 0, n)
	}
	class, deltas = r.head(other, regions)
	other.Output(class, onnxio.Float, "R", rcnnClasses)
	other.Output(deltas, onnxio.Float, "R", 4*rcnnClasses)
	out := b.NodeN("If", []string{empty}, 2, Attrs{"then_branch": then, "else_branch": other})
	return out[0], out[1]
}

// masks makes "mask" out of the boxes, inside an If.
func (r *rcnn) masks(bbox string) string {
	b := r.b
	none := b.Constant(onnxio.NewFloats32("", []int64{0, rcnnClasses, 14, 14}, nil))
	size := b.Node("ReduceProd", []string{b.Shape(bbox)}, Attrs{"keepdims": 0})
	empty := b.Node("Less", []string{size, b.constant(6)})
	then, other := b.Body("no_boxes"), b.Body("boxes")
	then.Output(then.Node("Identity", []string{none}), onnxio.Float, 0, rcnnClasses, 14, 14)

	in := *r
	in.b = other
	scale := other.Gather(other.Gather(r.info, other.constant(0), 0), other.constant(2), 0)
	x := in.regionFeatures(other.Mul(other.Slice(bbox, 1, 2, 6), scale))
	c, m := int64(2048/r.divisor), int64(256/r.divisor)
	w := in.once("conv5_mask_w", []int64{c, m, 2, 2}, 0, math.Sqrt(2/float64(c)))
	bias := in.once("conv5_mask_b", []int64{m}, 0, 0.01)
	x = other.Relu(other.Named("conv5_mask").Node("ConvTranspose", []string{x, w, bias},
		Attrs{"kernel_shape": []int{2, 2}, "strides": []int{2, 2}, "pads": []int{0, 0, 0, 0}, "dilations": []int{1, 1}, "group": 1}))
	_, one := convOpts(1, 0, nil)
	x = in.linear("Conv", "mask_fcn_logits_w", "mask_fcn_logits_b", x, 1, one, rcnnClasses, m, 1, 1)
	other.Output(other.Sigmoid(x), onnxio.Float, "K", rcnnClasses, 14, 14)

	b.NodeTo("If", []string{empty}, []string{"mask"}, Attrs{"then_branch": then, "else_branch": other})
	return "mask"
}
