package ops

// Einsum. Each operand loses its repeated letters (to diagonals) and the letters that nothing else needs (to sums); then
// operands are multiplied from left to right. Of two operands, letters that both have and that are
// needed later are a batch, letters that both have and that are not are summed over: so each step is a batched
// matrix product.

import (
	"fmt"
	"slices"
	"strings"

	"onnxprune/runtime/value"
)

func init() { Register("", "Einsum", buildEinsum, 12) }

func buildEinsum(n *Node) (Kernel, error) {
	if err := n.CheckInputs(max(1, len(n.Inputs)), -1); err != nil {
		return nil, err
	}
	equation := strings.ReplaceAll(n.Text("equation", ""), " ", "")
	left, right, explicit := strings.Cut(equation, "->")
	terms := strings.Split(left, ",")
	if len(terms) != len(n.Inputs) {
		return nil, fmt.Errorf("equation %q has %d terms for %d inputs", equation, len(terms), len(n.Inputs))
	}
	return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		out, err := einsum(c, terms, right, explicit, in)
		if err != nil {
			return nil, fmt.Errorf("equation %q: %w", equation, err)
		}
		return []*value.Tensor{out}, nil
	}), nil
}

// lettered is a tensor whose axes have labels: a letter, or a negative number for an axis that an ellipsis stands for,
// counted from its right end.
type lettered struct {
	t      *value.Tensor
	labels []int
}

func einsum(c *Context, terms []string, right string, explicit bool, in []*value.Tensor) (*value.Tensor, error) {
	operands := make([]lettered, len(in))
	sizes := map[int]int{}
	ellipsis := 0
	for i, t := range in {
		labels, dots, err := readLabels(terms[i], len(t.Shape))
		if err != nil {
			return nil, fmt.Errorf("input %v: %w", t, err)
		}
		ellipsis = max(ellipsis, dots)
		operands[i] = lettered{t, labels}
		for d, l := range labels {
			size, known := sizes[l]
			if known && size != t.Shape[d] && size != 1 && t.Shape[d] != 1 {
				return nil, fmt.Errorf("axis %d of %v has another size than %d before", d, t, size)
			}
			if !known || size == 1 {
				sizes[l] = t.Shape[d]
			}
		}
	}
	var output []int
	if explicit {
		dots := len(right) - len("...") + ellipsis
		if !strings.Contains(right, "...") {
			dots = len(right)
		}
		var err error
		if output, _, err = readLabels(right, dots); err != nil {
			return nil, err
		}
	} else {
		output = impliedOutput(operands, ellipsis)
	}
	for i, l := range output {
		if _, known := sizes[l]; !known || slices.Contains(output[:i], l) {
			return nil, fmt.Errorf("label %c of the output is repeated or in no input", rune(l))
		}
	}
	if !slices.Contains(output, -1) && ellipsis > 0 {
		return nil, fmt.Errorf("the output has no ellipsis, but an input has")
	}
	return contractAll(c, operands, sizes, output)
}

// readLabels labels the axes of a tensor of some rank. dots is how many axes the ellipsis stands for.
func readLabels(term string, rank int) (labels []int, dots int, err error) {
	before, after, found := strings.Cut(term, "...")
	dots = rank - len(before) - len(after)
	if dots < 0 || dots > 0 && !found {
		return nil, 0, fmt.Errorf("term %q does not fit %d axes", term, rank)
	}
	for i, part := range []string{before, after} {
		for _, r := range part {
			if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
				return nil, 0, fmt.Errorf("term %q has the character %q", term, r)
			}
			labels = append(labels, int(r))
		}
		for d := dots; d > 0 && i == 0; d-- {
			labels = append(labels, -d)
		}
	}
	return labels, dots, nil
}

// impliedOutput is the ellipsis, then the letters that occur once, in alphabetical order.
func impliedOutput(operands []lettered, ellipsis int) []int {
	count := map[int]int{}
	for _, o := range operands {
		for _, l := range o.labels {
			count[l]++
		}
	}
	var output, letters []int
	for d := ellipsis; d > 0; d-- {
		output = append(output, -d)
	}
	for l, n := range count {
		if l > 0 && n == 1 {
			letters = append(letters, l)
		}
	}
	slices.Sort(letters)
	return append(output, letters...)
}

func contractAll(c *Context, operands []lettered, sizes map[int]int, output []int) (*value.Tensor, error) {
	for i, o := range operands {
		o, err := o.diagonal(c)
		if err != nil {
			return nil, err
		}
		operands[i] = o.withoutOnes(sizes)
	}
	needed := func(l, from int) bool {
		return slices.Contains(output, l) ||
			slices.ContainsFunc(operands[from:], func(o lettered) bool { return slices.Contains(o.labels, l) })
	}
	product := operands[0]
	for i := 1; i < len(operands); i++ {
		var err error
		if product, err = product.sumOut(c, func(l int) bool { return needed(l, i) }); err != nil {
			return nil, err
		}
		other, err := operands[i].sumOut(c, func(l int) bool { return needed(l, i+1) || slices.Contains(product.labels, l) })
		if err != nil {
			return nil, err
		}
		if product, err = product.times(c, other, func(l int) bool { return needed(l, i+1) }); err != nil {
			return nil, err
		}
	}
	product, err := product.sumOut(c, func(l int) bool { return slices.Contains(output, l) })
	if err != nil {
		return nil, err
	}
	product, err = product.order(c, output)
	return product.t, err
}

// diagonal keeps one axis of each label.
func (o lettered) diagonal(c *Context) (lettered, error) {
	var labels, shape, steps []int
	strides := stridesOf(o.t.Shape)
	for d, l := range o.labels {
		i := slices.Index(labels, l)
		if i < 0 {
			labels, shape, steps = append(labels, l), append(shape, o.t.Shape[d]), append(steps, strides[d])
			continue
		}
		if shape[i] != o.t.Shape[d] {
			return o, fmt.Errorf("repeated label %c has different sizes in %v", rune(l), o.t)
		}
		steps[i] += strides[d]
	}
	if len(labels) == len(o.labels) {
		return o, nil
	}
	t, err := c.New(o.t.Type, shape...)
	if err != nil {
		return o, err
	}
	moverOf(t).box(c.Pool, shape, 0, stridesOf(shape), moverOf(o.t), 0, steps)
	return lettered{t, labels}, nil
}

// withoutOnes drops axes of size one that are broadcast to a larger size elsewhere.
func (o lettered) withoutOnes(sizes map[int]int) lettered {
	var labels, shape []int
	for d, l := range o.labels {
		if o.t.Shape[d] == sizes[l] {
			labels, shape = append(labels, l), append(shape, o.t.Shape[d])
		}
	}
	return lettered{o.t.View(shape...), labels}
}

// sumOut sums over the labels that keep does not want.
func (o lettered) sumOut(c *Context, keep func(l int) bool) (lettered, error) {
	var axes, labels []int
	for d, l := range o.labels {
		if keep(l) {
			labels = append(labels, l)
		} else {
			axes = append(axes, d)
		}
	}
	if len(axes) == 0 {
		return o, nil
	}
	t, err := reduction{op: "ReduceSum"}.run(c, o.t, axes)
	return lettered{t, labels}, err
}

// order transposes to the order of labels, which are the operand's own.
func (o lettered) order(c *Context, labels []int) (lettered, error) {
	perm := make([]int, len(labels))
	for i, l := range labels {
		perm[i] = slices.Index(o.labels, l)
	}
	t, err := transposed(c, o.t, o.t.Shape, perm)
	return lettered{t, labels}, err
}

// times multiplies two operands as a batch of matrix products.
func (o lettered) times(c *Context, p lettered, needed func(l int) bool) (lettered, error) {
	var batch, summed, left, right []int
	sizes := map[int]int{}
	for d, l := range o.labels {
		sizes[l] = o.t.Shape[d]
		switch {
		case !slices.Contains(p.labels, l):
			left = append(left, l)
		case needed(l):
			batch = append(batch, l)
		default:
			summed = append(summed, l)
		}
	}
	for d, l := range p.labels {
		sizes[l] = p.t.Shape[d]
		if !slices.Contains(o.labels, l) {
			right = append(right, l)
		}
	}
	a, err := o.order(c, slices.Concat(batch, left, summed))
	if err != nil {
		return o, err
	}
	b, err := p.order(c, slices.Concat(batch, summed, right))
	if err != nil {
		return o, err
	}
	size := func(labels []int) int {
		n := 1
		for _, l := range labels {
			n *= sizes[l]
		}
		return n
	}
	t, err := matMul(c, a.t.View(size(batch), size(left), size(summed)), b.t.View(size(batch), size(summed), size(right)), nil)
	if err != nil {
		return o, err
	}
	labels := slices.Concat(batch, left, right)
	shape := make([]int, len(labels))
	for i, l := range labels {
		shape[i] = sizes[l]
	}
	return lettered{t.View(shape...), labels}, nil
}
