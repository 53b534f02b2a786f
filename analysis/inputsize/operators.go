package inputsize

import (
	"slices"
	"strings"

	"onnxprune/analysis/graph"
)

// rule says how axes that depend on the input's size pass through an operator.
type rule struct {
	mend func(x *visit) error // changes what the node reads of the old size; nil: nothing
	axes func(x *visit) error // sets the axes of the outputs
}

// rules are those of all operators, by name; operators of other domains stand under "domain.name".
var rules = map[string]rule{}

func init() {
	add := func(names string, r rule) {
		for _, n := range strings.Fields(names) {
			rules[n] = r
		}
	}
	add(`Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Cast CastLike Ceil Celu Cos Cosh Dropout Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity
		IsInf IsNaN LeakyRelu Log LogSoftmax Hardmax Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Swish Tan Tanh
		ThresholdedRelu com.microsoft.Gelu com.microsoft.QuickGelu com.microsoft.FastGelu CumSum LRN LpNormalization MeanVarianceNormalization EyeLike Trilu
		InstanceNormalization GroupNormalization BatchNormalization DynamicQuantizeLinear QuantizeLinear DequantizeLinear RandomNormalLike RandomUniformLike Bernoulli`,
		rule{axes: likeFirst})
	add(`Add Sub Mul Div Pow Mod Max Min Mean Sum And Or Xor BitwiseAnd BitwiseOr BitwiseXor Equal Greater GreaterOrEqual Less LessOrEqual PRelu Where BitShift
		Clip com.microsoft.BiasGelu`, rule{mend: meet, axes: broadcast})
	add("LayerNormalization RMSNormalization SimplifiedLayerNormalization com.microsoft.LayerNormalization", rule{mend: meet, axes: likeFirst})
	add(`Conv ConvInteger QLinearConv com.microsoft.FusedConv ConvTranspose MaxPool AveragePool LpPool com.microsoft.QLinearAveragePool DepthToSpace SpaceToDepth GlobalAveragePool GlobalMaxPool GlobalLpPool
		com.microsoft.QLinearGlobalAveragePool DeformConv MaxRoiPool RoiAlign`, rule{mend: window, axes: spatial})
	add("Resize Upsample", rule{mend: resizeSizes, axes: spatial})
	add("Pad", rule{axes: spatial})
	add("Concat", rule{mend: concatConstants, axes: concat})
	add("Reshape", rule{mend: reshapeTarget, axes: reshape})
	add("Flatten", rule{axes: flatten})
	add("Transpose", rule{axes: transpose})
	add("Squeeze", rule{axes: squeeze})
	add("Unsqueeze", rule{axes: unsqueeze})
	add("Expand", rule{mend: expandTarget, axes: expand})
	add("Tile", rule{axes: tile})
	add("Slice", rule{mend: sliceBounds, axes: slice})
	add("Split", rule{mend: splitSizes, axes: split})
	add("Gather", rule{mend: gatherIndices, axes: gather})
	add("GatherElements", rule{axes: gatherElements})
	add("GatherND", rule{axes: numbersOnly})
	add("ReduceMean ReduceMax ReduceMin ReduceSum ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceProd ReduceSumSquare ArgMax ArgMin", rule{axes: reduce})
	add("MatMul MatMulInteger QLinearMatMul com.microsoft.FusedMatMul", rule{mend: matrixConstant, axes: matmul})
	add("Gemm", rule{mend: matrixConstant, axes: gemm})
	add("TopK", rule{mend: topKCount, axes: topK})
	add("Shape Size ConstantOfShape Range NonZero NonMaxSuppression OneHot", rule{axes: numbersOnly})
}

func lookup(n *graph.Node) rule {
	if n.Domain == "" {
		return rules[n.Op]
	}
	return rules[n.Domain+"."+n.Op]
}

// likeFirst gives every output the axes of the first input.
func likeFirst(x *visit) error {
	in := x.in(0)
	for i, o := range x.node.Outputs {
		if o != nil && len(in) == len(x.now.Of(o).Dims) {
			x.out(i, in)
		}
	}
	return nil
}

// meet asks of constant operands that they have the axes of what they are broadcast against.
func meet(x *visit) error {
	shape := x.broadcasted()
	for i, v := range x.node.Inputs {
		if v == nil || !x.isConstant(v) {
			continue
		}
		if err := x.demandWithin(i, shape); err != nil {
			return err
		}
	}
	return nil
}

// demandWithin asks of a constant operand that it fits axes that it is broadcast against, aligned at the end.
func (x *visit) demandWithin(input int, against []Axis) error {
	info := x.base.Of(x.node.Input(input))
	if !info.Known || len(info.Dims) > len(against) {
		return nil
	}
	axes := make([]Axis, len(info.Dims))
	for a := range axes {
		n, known := info.Fixed(a)
		if !known {
			return nil
		}
		axes[a] = fixed(n)
		if other := against[len(against)-len(axes)+a]; n != 1 && other.Varies() {
			if other.Old() != n {
				return x.fail(input, "its axis %d has %d elements, but meets %d", a, n, other.Old())
			}
			axes[a] = other
		}
	}
	return x.demand(input, axes)
}

// broadcasted returns the axes that the inputs have together.
func (x *visit) broadcasted() []Axis {
	var out []Axis
	for i := range x.node.Inputs {
		if in := x.in(i); len(in) > len(out) {
			out = append(make([]Axis, len(in)-len(out)), out...)
		}
	}
	for i := range x.node.Inputs {
		in := x.in(i)
		for a, ax := range in {
			at := len(out) - len(in) + a
			if ax == nil {
				continue
			}
			if have := out[at]; have == nil || have.Old() == 1 && ax.Old() != 1 || !have.Varies() && ax.Varies() || moreTelling(ax, have) {
				out[at] = ax
			}
		}
	}
	return out
}

// moreTelling reports whether an axis says what its extent is made of where the other has the numbers alone.
func moreTelling(a, b Axis) bool {
	f, open := b.single()
	g, also := a.single()
	return open && f.Kind == Open && a.Old() == b.Old() && a.New() == b.New() && !(also && g.Kind == Open)
}

// broadcast gives the output the axes that the inputs have together; they must agree.
func broadcast(x *visit) error {
	out := x.broadcasted()
	for i := range x.node.Inputs {
		v := x.node.Input(i)
		if v == nil || x.isConstant(v) {
			continue
		}
		in := x.in(i)
		for a, ax := range in {
			want := out[len(out)-len(in)+a]
			if ax == nil || ax.Old() == 1 && ax.New() == 1 || want == nil {
				continue
			}
			if ax.Old() != want.Old() || ax.New() != want.New() {
				return x.fail(i, "axis %d would have %d elements, but meets one of %d: the two come from maps that this input size does not keep equal", a, ax.New(), want.New())
			}
		}
	}
	x.out(0, out)
	return nil
}

// numbersOnly is for outputs that are counted or listed: only their extents are known.
func numbersOnly(x *visit) error {
	for i, o := range x.node.Outputs {
		if o == nil {
			continue
		}
		x.out(i, x.of(o))
	}
	return nil
}

// spatial is for operators that change the extents of maps axis by axis, and keep the order of axes.
func spatial(x *visit) error {
	in, o := x.in(0), x.node.Output(0)
	if o == nil {
		return nil
	}
	was, is := x.base.Of(o), x.now.Of(o)
	out := make([]Axis, len(is.Dims))
	for a := range out {
		old, known := was.Fixed(a)
		now, also := is.Fixed(a)
		switch {
		case !known || !also:
			continue
		case a < len(in) && in[a] != nil && in[a].Old() == old && in[a].New() == now:
			out[a] = in[a]
		case a < len(in) && in[a] != nil && in[a].Varies():
			f, single := in[a].single()
			if !single {
				return x.fail(0, "axis %d holds the cells of several maps (%v) and changes its extent", a, in[a])
			}
			out[a] = Axis{{{old, now, f.Kind}}}
			if now < 1 {
				return x.fail(0, "nothing would be left of axis %d, which has %d elements", a, f.New)
			}
		case old == now:
			out[a] = fixed(old)
		}
	}
	x.out(0, out)
	for i := 1; i < len(x.node.Outputs); i++ { // MaxPool's indices
		x.out(i, out)
	}
	return nil
}

// window widens a pool's window where it covers the whole map, and refuses a convolution whose weights do.
func window(x *visit) error {
	kernel, ok := x.node.Ints("kernel_shape")
	in, o := x.in(0), x.base.Of(x.node.Output(0))
	channel := 1
	if len(in) > channel && in[channel].Varies() {
		return x.fail(0, "its channels depend on the input's size (%v)", in[channel])
	}
	if !ok || len(in) != len(kernel)+2 || o.Rank() != len(in) {
		return nil
	}
	pads, _ := x.node.Ints("pads")
	wide := slices.Clone(kernel)
	for k := range kernel {
		a := in[k+2]
		n, known := o.Fixed(k + 2)
		if !known || n != 1 || !a.Varies() || a.Old() != kernel[k] || kernel[k] == 1 || slices.ContainsFunc(pads, func(p int64) bool { return p != 0 }) {
			continue
		}
		if !strings.Contains(x.node.Op, "Pool") {
			return x.fail(1, "its weights cover the whole map of %d: they belong to that size", a.Old())
		}
		wide[k] = a.New()
	}
	if !slices.Equal(wide, kernel) {
		x.setInts("kernel_shape", wide)
	}
	return nil
}

// resizeSizes mends sizes that are written down: each stays the multiple of the map's extent that it was.
func resizeSizes(x *visit) error {
	in := x.in(0)
	sizes, ok := x.written(3)
	if x.node.Op != "Resize" || !ok || len(sizes) == 0 {
		return nil
	}
	axes := make([]int, len(sizes))
	for i := range axes {
		axes[i] = i
	}
	if list, ok := x.node.Ints("axes"); ok {
		for i, a := range list {
			axes[i] = at(a, len(in))
		}
	}
	is := slices.Clone(sizes)
	for i, a := range axes {
		if a < 0 || a >= len(in) || !in[a].Varies() {
			continue
		}
		f, single := in[a].single()
		if !single {
			return x.fail(0, "axis %d holds the cells of several maps and is interpolated", a)
		}
		side := x.from.Height
		now := x.to.Height
		if f.Kind == Column {
			side, now = x.from.Width, x.to.Width
		}
		switch n := sizes[i] * f.New; {
		case f.Old > 0 && n%f.Old == 0:
			is[i] = n / f.Old
		case side%sizes[i] == 0 && now%(side/sizes[i]) == 0: // a map of that stride
			is[i] = now / (side / sizes[i])
		default:
			return x.fail(3, "the map of %d is interpolated to %d, which %d is not for a map of %d", f.Old, sizes[i], sizes[i]*f.New/f.Old, f.New)
		}
	}
	x.setOperand(3, sizes, is)
	return nil
}

// at normalises an axis that may count from the end.
func at(a int64, rank int) int {
	if a < 0 {
		return int(a) + rank
	}
	return int(a)
}

// concatConstants asks of constant pieces that they have the maps' extents.
func concatConstants(x *visit) error {
	a, shape := x.concatShape()
	for i, v := range x.node.Inputs {
		if v == nil || !x.isConstant(v) || shape == nil {
			continue
		}
		axes := slices.Clone(shape)
		n, known := x.base.Of(v).Fixed(a)
		if !known || x.base.Of(v).Rank() != len(axes) {
			continue
		}
		axes[a] = fixed(n)
		if err := x.demand(i, axes); err != nil {
			return err
		}
	}
	return nil
}

// concatShape returns the axis that a Concat joins, and the axes that its inputs have in common.
func (x *visit) concatShape() (int, []Axis) {
	var out []Axis
	for i, v := range x.node.Inputs {
		if v == nil || x.isConstant(v) {
			continue
		}
		in := x.in(i)
		if out == nil {
			out = slices.Clone(in)
			continue
		}
		for a := range min(len(in), len(out)) {
			if in[a] != nil && (out[a] == nil || !out[a].Varies() && in[a].Varies() || moreTelling(in[a], out[a])) {
				out[a] = in[a]
			}
		}
	}
	if out == nil {
		return 0, nil
	}
	a := at(x.node.Int("axis", 1), len(out))
	if a < 0 || a >= len(out) {
		return 0, nil
	}
	return a, out
}

func concat(x *visit) error {
	if len(x.node.Inputs) > 0 && x.now.Of(x.node.Output(0)).Rank() == 1 && !slices.ContainsFunc(x.node.Inputs, func(v *graph.Value) bool { return v != nil && varies(x.walker.axes[v.ID]) }) {
		return numbersOnly(x) // a shape that is put together
	}
	a, out := x.concatShape()
	if out == nil {
		return nil
	}
	var joined Axis
	for i, v := range x.node.Inputs {
		in := x.in(i)
		if v == nil || in == nil || a >= len(in) || in[a] == nil {
			return nil
		}
		joined = append(joined, in[a]...)
		for b := range in {
			if b != a && in[b] != nil && out[b] != nil && !x.isConstant(v) && (in[b].Old() != out[b].Old() || in[b].New() != out[b].New()) {
				return x.fail(i, "axis %d would have %d elements, but is joined with maps of %d: this input size does not keep them equal", b, in[b].New(), out[b].New())
			}
		}
	}
	if !joined.Varies() {
		n := joined.Old()
		joined = fixed(n)
	}
	out[a] = joined
	x.out(0, out)
	return nil
}
