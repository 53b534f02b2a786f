package heads

// What is known of a model before its outputs are read: names, types and shapes, and which operators lie between an
// output and the convolutions.

import (
	"fmt"
	"slices"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// output is an output's name and shape without leading axes of one picture; -1 stands for an extent that is not known.
type output struct {
	name  string
	shape []int
	whole []int // with them
	known bool  // it has a shape, and is a tensor
	elem  onnxio.DataType
}

func (o output) String() string {
	if !o.known {
		return fmt.Sprintf("%q of unknown shape", o.name)
	}
	ds := make([]string, len(o.whole))
	for i, d := range o.whole {
		if ds[i] = fmt.Sprint(d); d < 0 {
			ds[i] = "?"
		}
	}
	return fmt.Sprintf("%q %v[%s]", o.name, o.elem, strings.Join(ds, ","))
}

// signature is what heads are recognised by.
type signature struct {
	model         *onnxio.Model
	outputs       []output
	inputs        []string
	width, height int // of the model's input, 0 where it is not known
	classes       int // where boxes may carry more than scores, and it is known; else 0
	ran           bool
}

func signatureOf(m *onnxio.Model, outputs map[string]value.Value, o Options) *signature {
	s := &signature{model: m, ran: outputs != nil}
	held := map[string]bool{}
	for _, t := range m.Graph.Initializers {
		held[t.Name] = true
	}
	for _, in := range m.Graph.Inputs {
		if held[in.Name] {
			continue
		}
		s.inputs = append(s.inputs, in.Name)
		if s.width == 0 {
			s.width, s.height = extent(in.Type)
		}
	}
	if s.width == 0 {
		s.width, s.height = o.Width, o.Height
	}
	for _, out := range m.Graph.Outputs {
		s.outputs = append(s.outputs, outputOf(out, outputs[out.Name]))
	}
	if task := m.Metadata("task"); task == "segment" || task == "pose" || task == "" && len(s.outputs) > 1 {
		s.classes = o.Classes
	}
	return s
}

// extent returns width and height of an input that takes one picture, 0 where they are open.
func extent(t *onnxio.Type) (w, h int) {
	if t == nil || t.Kind != onnxio.KindTensor || len(t.Shape) < 3 || len(t.Shape) > 4 {
		return 0, 0
	}
	sh := t.Shape[len(t.Shape)-3:]
	colours := func(d onnxio.Dim) bool { return d.Known && (d.Value == 1 || d.Value == 3) }
	switch {
	case colours(sh[0]):
		sh = sh[1:]
	case colours(sh[2]):
		sh = sh[:2]
	default:
		return 0, 0
	}
	if !sh[0].Known || !sh[1].Known {
		return 0, 0
	}
	return int(sh[1].Value), int(sh[0].Value)
}

func outputOf(info *onnxio.ValueInfo, v value.Value) output {
	o := output{name: info.Name}
	if t, ok := v.(*value.Tensor); ok {
		o.known, o.elem, o.whole = true, t.Type, slices.Clone(t.Shape)
	} else if t := info.Type; v == nil && t != nil && t.Kind == onnxio.KindTensor && t.HasShape {
		o.known, o.elem = true, t.Elem
		for i, d := range t.Shape {
			n := -1
			if d.Known && d.Value >= 0 {
				n = int(d.Value)
			} else if i == 0 && len(t.Shape) > 2 {
				n = 1 // an open batch
			}
			o.whole = append(o.whole, n)
		}
	}
	o.shape = o.whole
	for len(o.shape) > 2 && o.shape[0] == 1 {
		o.shape = o.shape[1:]
	}
	return o
}

// is says whether the output is a matrix of the given extents; a negative one takes any known extent.
func (o output) is(rows, cols int) bool {
	return o.known && len(o.shape) == 2 && o.shape[0] >= 0 && o.shape[1] >= 0 && (rows < 0 || o.shape[0] == rows) && (cols < 0 || o.shape[1] == cols)
}

// named returns the output of a name.
func (s *signature) named(name string) (output, bool) {
	for _, o := range s.outputs {
		if o.name == name {
			return o, true
		}
	}
	return output{}, false
}

// oneOf returns the output that has one of some names, nil for none.
func (s *signature) oneOf(names []string) *output {
	for _, name := range names {
		if o, ok := s.named(name); ok {
			return &o
		}
	}
	return nil
}

// single returns the only output that is a matrix; others, such as masks, may stand beside it where the number of classes is known.
func (s *signature) single() (output, bool) {
	if len(s.outputs) == 1 {
		return s.outputs[0], s.outputs[0].known
	}
	var found []output
	for _, o := range s.outputs {
		if o.is(-1, -1) {
			found = append(found, o)
		}
	}
	if len(found) == 1 && s.classes > 0 {
		return found[0], true
	}
	return output{}, false
}

// cells returns the cells of the grids of some strides, in pixels; 0 where the size of the input is not known.
func (s *signature) cells(strides ...int) int { return cells(s.width, s.height, strides...) }

func cells(width, height int, strides ...int) int {
	n := 0
	for _, k := range strides {
		n += ((width + k - 1) / k) * ((height + k - 1) / k)
	}
	return n
}

// open says whether an output's shape is not fully declared and no run has told it.
func (s *signature) open() bool {
	return !s.ran && slices.ContainsFunc(s.outputs, func(o output) bool { return !o.known || slices.Contains(o.whole, -1) })
}

func (s *signature) describe() []string {
	var out []string
	for _, o := range s.outputs {
		out = append(out, o.String())
	}
	return out
}

// hasInput says whether a name of an input holds one of some words.
func (s *signature) hasInput(words ...string) bool {
	return slices.ContainsFunc(s.inputs, func(in string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(strings.ToLower(in), w) })
	})
}

// has says whether the main graph has an operator.
func (s *signature) has(op string) bool {
	return slices.ContainsFunc(s.model.Graph.Nodes, func(n *onnxio.Node) bool { return n.OpType == op })
}

// layers end the walk from an output back into the network.
var layers = []string{"Conv", "ConvTranspose", "Gemm", "MatMul", "QLinearConv", "ConvInteger", "MatMulInteger", "QLinearMatMul", "FusedConv", "QGemm"}

// behind returns the operators between an output and the last layers with weights.
func (s *signature) behind(output string) map[string]bool {
	from := map[string]*onnxio.Node{}
	for _, n := range s.model.Graph.Nodes {
		for _, o := range n.Outputs {
			from[o] = n
		}
	}
	ops, seen, todo := map[string]bool{}, map[*onnxio.Node]bool{}, []string{output}
	for len(todo) > 0 {
		n := from[todo[len(todo)-1]]
		todo = todo[:len(todo)-1]
		if n == nil || seen[n] || slices.Contains(layers, n.OpType) {
			continue
		}
		seen[n], ops[n.OpType] = true, true
		todo = append(todo, n.Inputs...)
	}
	return ops
}

// computed says whether boxes are made by arithmetic after the last layer rather than left as the layer gives them.
func (s *signature) computed(output string) bool {
	ops := s.behind(output)
	return ops["Exp"] || ops["Mul"] || ops["Add"] || ops["Sub"] || ops["Div"] || ops["Pow"]
}

// list joins words with commas and "and".
func list(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}
