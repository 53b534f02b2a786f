// Package layers describes what sums over channels (convolutions, transposed convolutions, linear layers) as matrices, and says
// where in the file the elements of such a matrix lie.
//
// A layer is y = W x + b for every place of its output. x holds the input's channels in that place, for a
// convolution those of all taps of the kernel; W has a row for every output channel. A grouped convolution is one such matrix for each
// conv group. What a matrix is made of may lie anywhere: behind Identity, Transpose, Reshape, Cast or DequantizeLinear, in an
// initializer or in a Constant node.
package layers

import (
	"fmt"
	"slices"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
)

// Layer is one node that sums over channels against a constant weight.
type Layer struct {
	Node   *graph.Node
	Input  *graph.Value // what flows in
	Weight *Operand
	Window Window

	Groups   int // conv groups; 1 for linear layers
	Rows     int // output channels of one conv group
	Channels int // input channels of one conv group
	Taps     int // elements of the kernel; 1 for linear layers

	strides [3]int // steps in the weight operand from one conv group, output channel, input channel to the next; taps are one apart

	// Classes holds the class of every input channel, conv group after conv group.
	Classes []atoms.ID
	// OutAxis and InAxis are the weight operand's axes of output and input channels.
	OutAxis, InAxis int
}

// Window is what a place of the output sees of the input.
type Window struct {
	Axis      int // of the input's channels
	Spatial   int // axes behind it that the kernel slides over; 0 for linear layers
	Kernel    []int
	Strides   []int
	Dilations []int
	Pads      []int  // begins, then ends
	AutoPad   string // "SAME_UPPER", "SAME_LOWER", "VALID"; "" and "NOTSET" read Pads
	Groups    int
	// Transposed says that the layer is a transposed convolution: one place of the input gives several of the output.
	Transposed bool
}

// Left is a layer that can not be seen as a matrix, and why.
type Left struct {
	Node *graph.Node
	Why  string
}

// Of returns the layers whose input has channels that can go, in graph order, and those of them that can not be described.
func Of(a *channels.Analysis) ([]*Layer, []Left) {
	var out []*Layer
	var left []Left
	for _, c := range a.State.Consumptions {
		in := a.State.Reads[graph.Use{Node: c.Node, Input: c.Input}]
		if c.Axis >= len(in) || in[c.Axis].Fixed() || !anyRemovable(a, in[c.Axis].IDs) {
			continue
		}
		l, why := describe(a, c.Node, c.Input, c.Axis, c.Weight, c.WeightAxis)
		if why == "" && !cuts(a, l) {
			continue // whole conv groups go, and what they computed goes with them
		}
		if why != "" {
			left = append(left, Left{c.Node, why})
			continue
		}
		out = append(out, l)
	}
	return out, left
}

func anyRemovable(a *channels.Analysis, ids []atoms.ID) bool {
	return slices.ContainsFunc(ids, func(id atoms.ID) bool { return a.Removable(a.State.Set.Find(id)) })
}

// cuts reports whether a column of the layer's matrix can go while its rows stay.
func cuts(a *channels.Analysis, l *Layer) bool {
	axes := a.State.Reads[graph.Use{Node: l.Node, Input: l.Weight.Input}]
	return l.InAxis < len(axes) && !axes[l.InAxis].Fixed() && anyRemovable(a, axes[l.InAxis].IDs)
}

// describe makes a layer of a node that sums over an axis of an input against an axis of a weight.
func describe(a *channels.Analysis, n *graph.Node, input, axis, weight, weightAxis int) (*Layer, string) {
	switch n.Op {
	case "Conv", "FusedConv", "ConvTranspose", "Gemm", "FusedGemm", "MatMul":
	default:
		return nil, fmt.Sprintf("%s has no float weight that could be fitted", n.Op)
	}
	if weight != 1 || input != 0 {
		return nil, "it sums two activations, or its weight is the left operand"
	}
	w, why := Resolve(graph.Use{Node: n, Input: weight})
	if why != "" {
		return nil, why
	}
	l := &Layer{Node: n, Input: n.Inputs[input], Weight: w, Groups: 1, Taps: 1, InAxis: weightAxis}
	l.Window = Window{Axis: axis, Groups: 1}
	for _, id := range a.State.Reads[graph.Use{Node: n, Input: input}][axis].IDs {
		l.Classes = append(l.Classes, a.State.Set.Find(id))
	}
	switch n.Op {
	case "Conv", "FusedConv", "ConvTranspose":
		why = l.convolution()
	default:
		why = l.linear()
	}
	if why == "" && len(l.Classes) != l.Groups*l.Channels {
		why = fmt.Sprintf("its input has %d channels, its weight takes %d", len(l.Classes), l.Groups*l.Channels)
	}
	return l, why
}

func (l *Layer) convolution() string {
	n, dims := l.Node, l.Weight.Dims
	if len(dims) < 3 {
		return fmt.Sprintf("its weight has rank %d", len(dims))
	}
	g := int(n.Int("group", 1))
	transposed := n.Op == "ConvTranspose"
	first, second := dims[0], dims[1]
	if g < 1 || first%g != 0 || first == 0 || second == 0 {
		return fmt.Sprintf("its weight has the shape %v for %d groups", dims, g)
	}
	l.Groups = g
	for _, d := range dims[2:] {
		l.Taps *= d
	}
	if transposed {
		l.Channels, l.Rows, l.InAxis, l.OutAxis = first/g, second, 0, 1
		l.strides = [3]int{l.Channels * second * l.Taps, l.Taps, second * l.Taps}
	} else {
		l.Channels, l.Rows, l.InAxis, l.OutAxis = second, first/g, 1, 0
		l.strides = [3]int{l.Rows * second * l.Taps, second * l.Taps, l.Taps}
	}
	spatial := len(dims) - 2
	w := &l.Window
	w.Spatial, w.Groups, w.Transposed, w.Kernel = spatial, g, transposed, slices.Clone(dims[2:])
	w.AutoPad = n.Text("auto_pad", "")
	list := func(name string, length, def int) []int {
		out := slices.Repeat([]int{def}, length)
		if vs, ok := n.Ints(name); ok && len(vs) == length {
			for i, v := range vs {
				out[i] = int(v)
			}
		}
		return out
	}
	w.Strides, w.Dilations, w.Pads = list("strides", spatial, 1), list("dilations", spatial, 1), list("pads", 2*spatial, 0)
	if w.Axis != 1 {
		return "its channels are not on axis 1"
	}
	return ""
}

func (l *Layer) linear() string {
	dims := l.Weight.Dims
	if len(dims) != 2 {
		return fmt.Sprintf("its weight has rank %d", len(dims))
	}
	if l.Node.Op != "MatMul" && l.Node.Int("transA", 0) != 0 {
		return "its activations are transposed"
	}
	l.OutAxis = 1 - l.InAxis
	l.Channels, l.Rows = dims[l.InAxis], dims[l.OutAxis]
	if l.InAxis == 1 { // transB
		l.strides = [3]int{0, l.Channels, 1}
	} else {
		l.strides = [3]int{0, 1, l.Rows}
	}
	return ""
}

// At returns the place in the weight operand of output channel o and input channel c of conv group q, at tap t.
func (l *Layer) At(q, o, c, t int) int {
	return q*l.strides[0] + o*l.strides[1] + c*l.strides[2] + t
}

// Patch reports how many columns a row of x has: channels times taps.
func (l *Layer) Patch() int { return l.Channels * l.Taps }

// Key names what flows into the layer, as its matrix sees it: layers of the same key share their statistics.
func (l *Layer) Key() string {
	w := &l.Window
	if w.Spatial == 0 {
		return fmt.Sprintf("%s axis %d", l.Input.FullName(), w.Axis)
	}
	kind := "conv"
	if w.Transposed {
		kind = "transposed"
	}
	return fmt.Sprintf("%s %s %v stride %v dilation %v pads %v%s groups %d", l.Input.FullName(), kind, w.Kernel, w.Strides, w.Dilations, w.Pads, w.AutoPad, w.Groups)
}
