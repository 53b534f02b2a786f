package onnxprune

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"onnxprune/analysis/fold"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/inputsize"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/value"
)

// InputSize asks for another size of a model's picture. The model is brought to it before anything is pruned.
type InputSize struct {
	Inputs        []string // that get the size; none: the one that looks like a picture
	Width, Height int64    // pixels
}

// SizeReport says what another size of the picture changed in a model.
type SizeReport struct {
	Inputs     []string     `json:"inputs"`
	From       plan.Extent  `json:"from"`
	To         plan.Extent  `json:"to"`
	Operands   int          `json:"operands"`   // sizes and positions that are written down
	Attributes int          `json:"attributes"` // windows of pools over the whole map
	Grids      []GridReport `json:"grids"`      // constants that hold something for every cell, or sides of the picture
	Declared   int          `json:"declared"`   // shapes of inputs, outputs and inner values
	Metadata   []plan.Entry `json:"metadata,omitempty"`
}

// GridReport is a constant with another content.
type GridReport struct {
	Name   string   `json:"name"`
	What   string   `json:"what"`
	Levels []string `json:"levels,omitempty"` // columns x rows of each map, before and after
	Shape  []int64  `json:"shape"`            // after
	Exact  bool     `json:"exact"`            // the old content is the found expression's bit by bit, not just to rounding
}

// sized brings an open model to another size. The result shares weights with it.
func sized(m *onnxio.Model, want InputSize) (*onnxio.Model, *plan.Size, error) {
	g, err := graph.Build(m)
	if err != nil {
		return nil, nil, &ModelError{m.Path, err}
	}
	to := inputsize.Size{Width: want.Width, Height: want.Height}
	s, err := inputsize.Plan(g, want.Inputs, to)
	var why *inputsize.Error
	switch {
	case errors.As(err, &why):
		return nil, nil, refuse("input size %v: %v%s", to, why, nearest(g, want.Inputs, to))
	case err != nil:
		return nil, nil, &ModelError{m.Path, err}
	}
	out, err := rewrite.Resize(m, s)
	if err != nil {
		return nil, nil, refuse("input size %v: %v", to, err)
	}
	return out, s, nil
}

// nearest names sizes near to one that was refused at which the model works.
func nearest(g *graph.Graph, names []string, to inputsize.Size) string {
	var list []string
	for _, s := range inputsize.Nearest(g, names, to) {
		list = append(list, s.String())
	}
	if list == nil {
		return ""
	}
	return "; near to it " + strings.Join(list, " and ") + " would work"
}

// resizedFor brings a model to the size that a plan names. On another checkpoint the change is worked out anew; it must be the plan's, but
// for what constants over cells hold.
func resizedFor(m *onnxio.Model, s *plan.Size) (*onnxio.Model, *plan.Size, error) {
	out, made, err := sized(m, InputSize{Inputs: s.Inputs, Width: s.To.Width, Height: s.To.Height})
	if err != nil {
		return nil, nil, err
	}
	if what := sizeDiffers(s, made); what != "" {
		return nil, nil, refuse("the plan does not fit the model: for the size %dx%d, %s", s.To.Width, s.To.Height, what)
	}
	return out, made, nil
}

// sizeDiffers says in which part two changes of size are not the same.
func sizeDiffers(planned, made *plan.Size) string {
	bare := func(list []plan.Grid) []plan.Grid {
		out := slices.Clone(list)
		for i := range out {
			out[i].Data, out[i].Exact = nil, false
		}
		return out
	}
	for _, c := range []struct {
		what string
		a, b any
	}{
		{"the input or its old size is another one", []any{planned.Inputs, planned.From}, []any{made.Inputs, made.From}},
		{"other operands change", planned.Operands, made.Operands},
		{"other attributes change", planned.Attributes, made.Attributes},
		{"other constants hold something for cells", bare(planned.Grids), bare(made.Grids)},
		{"other declared shapes change", planned.Values, made.Values},
		{"other metadata changes", planned.Metadata, made.Metadata},
	} {
		a, err1 := json.Marshal(c.a)
		b, err2 := json.Marshal(c.b)
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) && string(a)+string(b) != "null[]" && string(a)+string(b) != "[]null" {
			return c.what
		}
	}
	return ""
}

func describeSize(s *plan.Size) *SizeReport {
	out := &SizeReport{Inputs: s.Inputs, From: s.From, To: s.To, Operands: len(s.Operands), Attributes: len(s.Attributes), Grids: []GridReport{},
		Declared: len(s.Values), Metadata: s.Metadata}
	for _, g := range s.Grids {
		r := GridReport{Name: g.Name, What: g.What, Shape: g.Shape, Exact: g.Exact}
		for _, l := range g.Levels {
			r.Levels = append(r.Levels, fmt.Sprintf("%dx%d -> %dx%d", l.Columns[0], l.Rows[0], l.Columns[1], l.Rows[1]))
		}
		out.Grids = append(out.Grids, r)
	}
	return out
}

// resize is the stage that brings the model to another size, where that is asked for or a plan says so.
func (p *pruning) resize(context.Context) (err error) {
	if p.opt.PlanIn != "" {
		if p.plan, err = ReadPlan(p.opt.PlanIn); err != nil {
			return err
		}
	}
	var small *onnxio.Model
	switch {
	case p.opt.InputSize != nil:
		small, p.size, err = sized(p.model, *p.opt.InputSize)
	case p.plan != nil && p.plan.Size != nil:
		small, p.size, err = resizedFor(p.model, p.plan.Size)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	p.model = small
	return nil
}

// wayBack proves a change of size without a run: at the old size the model is the original again, and what it declares is what
// follows from its inputs.
func (p *pruning) wayBack(context.Context) (err error) {
	if p.size == nil {
		return nil
	}
	p.back, err = provenSize(p.original, p.model, p.size)
	return err
}

func provenSize(original, small *onnxio.Model, s *plan.Size) (string, error) {
	fail := func(format string, args ...any) (string, error) {
		msg := fmt.Sprintf(format, args...)
		return "", &VerifyError{Msg: fmt.Sprintf("verification of the size %dx%d failed before anything was run: %s", s.To.Width, s.To.Height, msg), Err: errors.New(msg)}
	}
	was, err := light(original)
	if err != nil {
		return fail("%v", err)
	}
	is, err := light(small)
	if err != nil {
		return fail("%v", err)
	}
	if err := declaredAgrees(was, is.Graph, is.Shapes); err != nil {
		return fail("%v", err)
	}
	way, err := inputsize.Plan(is.Graph, s.Inputs, inputsize.Size{Width: s.From.Width, Height: s.From.Height})
	if err != nil {
		return fail("the way back to %dx%d is refused: %v", s.From.Width, s.From.Height, err)
	}
	back, err := rewrite.Resize(small, way)
	if err != nil {
		return fail("%v", err)
	}
	if bytes.Equal(back.Bytes(), original.Bytes()) {
		return "the original, byte for byte", nil
	}
	again, err := graph.Build(back)
	if err != nil {
		return fail("%v", err)
	}
	if what := readsDiffer(was.Graph, again); what != "" {
		return fail("back at %dx%d the model is not the original: %s", s.From.Width, s.From.Height, what)
	}
	return "the original's nodes, each with the same attributes and constants; some constants that nodes shared are copies now", nil
}

// at returns the network at the size that a plan names, once that is proven, and what the way back gives.
func (n *Network) at(s *plan.Size) (*Network, string, error) {
	small, made, err := resizedFor(n.Model, s)
	if err != nil {
		return nil, "", err
	}
	back, err := provenSize(n.Model, small, made)
	if err != nil {
		return nil, "", err
	}
	out, err := Analyze(small, n.options)
	if err != nil {
		return nil, "", err
	}
	out.size = made
	return out, back, nil
}

// light is a network without the analysis of its channels.
func light(m *onnxio.Model) (*Network, error) {
	g, s, err := infer(m, Options{})
	return &Network{Model: m, Graph: g, Shapes: s}, err
}

// readsDiffer compares what the nodes of two models do and read, in their order. Nodes whose outputs hold known content, such as shapes that
// are put together, are not compared: those that read them are compared by that content.
func readsDiffer(a, b *graph.Graph) string {
	left, right := contentOf(a), contentOf(b)
	nodes := func(g *graph.Graph, known func(v *graph.Value) ([]byte, bool)) []*graph.Node {
		return slices.DeleteFunc(slices.Clone(g.Nodes), func(n *graph.Node) bool {
			return !slices.ContainsFunc(n.Outputs, func(v *graph.Value) bool {
				if v == nil {
					return false
				}
				_, ok := known(v)
				return !ok
			})
		})
	}
	x, y := nodes(a, left), nodes(b, right)
	if len(x) != len(y) {
		return fmt.Sprintf("it has %d nodes, not %d", len(y), len(x))
	}
	for i, n := range x {
		m := y[i]
		if n.Op != m.Op || n.Domain != m.Domain || len(n.Inputs) != len(m.Inputs) || len(n.Proto.Attributes) != len(m.Proto.Attributes) {
			return fmt.Sprintf("%s became %s", n.Title(), m.Title())
		}
		for k, attr := range n.Proto.Attributes {
			if other := m.Proto.Attributes[k]; attr.Name != other.Name || attr.I != other.I || attr.F != other.F || !slices.Equal(attr.Ints, other.Ints) ||
				!slices.Equal(attr.Floats, other.Floats) || !bytes.Equal(attr.S, other.S) {
				return fmt.Sprintf("%s: attribute %s differs", n.Title(), attr.Name)
			}
		}
		for k, v := range n.Inputs {
			w := m.Inputs[k]
			if (v == nil) != (w == nil) {
				return fmt.Sprintf("%s: input %d is left out in one of them", n.Title(), k)
			}
			if v == nil {
				continue
			}
			p, known := left(v)
			q, also := right(w)
			if known != also || known && !bytes.Equal(p, q) || !known && v.FullName() != w.FullName() {
				return fmt.Sprintf("%s: input %d, %q, differs", n.Title(), k, v.FullName())
			}
		}
	}
	return ""
}

// contentOf returns the type, extents and elements of values whose content is known without a run: constants, what is computed from them, and shapes.
func contentOf(g *graph.Graph) func(v *graph.Value) ([]byte, bool) {
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		return func(*graph.Value) ([]byte, bool) { return nil, false }
	}
	values := fold.New(g, s)
	return func(v *graph.Value) ([]byte, bool) {
		in := s.Of(v)
		t := v.Tensor
		if is, ok := in.Ints(); t == nil && ok && in.Rank() <= 1 {
			dims := []int64{int64(len(is))}
			if in.Rank() == 0 {
				dims = nil
			}
			t = onnxio.NewIntTensor("", in.Elem, dims, is)
		}
		if t == nil && v.Producer != nil && values.Can(v) {
			if computed, err := values.Of(v); err == nil {
				t = computed.Proto("")
			}
		}
		if t == nil {
			return nil, false
		}
		raw, err := t.Raw()
		return fmt.Appendf(bytes.Clone(raw), "%v%v", t.DataType, t.Dims), err == nil
	}
}

// finite runs the model at its new size and refuses outputs with infinities or NaN that the original does not have at its own.
func (p *pruning) finite(ctx context.Context) error {
	bad, err := unbounded(ctx, p.model, p.opt)
	if err != nil || bad == "" {
		return err
	}
	if was, err := unbounded(ctx, p.original, p.opt); err != nil || was != "" {
		return err
	}
	msg := fmt.Sprintf("output %q has infinite elements or NaN at the new input size, and none at the old", bad)
	return &VerifyError{Msg: "verification failed: " + msg, Err: errors.New(msg)}
}

// unbounded names an output with elements that are no finite number; "" for none.
func unbounded(ctx context.Context, m *onnxio.Model, opt PruneOptions) (string, error) {
	fail := func(err error) (string, error) {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", &VerifyError{Msg: fmt.Sprintf("verification could not run: %v; --verify load or off goes without it", err), Err: err}
	}
	ins, err := feed.Make(m, feed.Options{Seed: opt.Compare.Seed, Shapes: opt.InputShapes, Picture: opt.Compare.Picture})
	if err != nil {
		return fail(err)
	}
	s, err := runtime.Compile(m, runtime.Options{Threads: opt.Compare.Threads})
	if err != nil {
		return fail(err)
	}
	defer s.Close()
	outs, err := s.Run(ctx, feed.Values(ins))
	if err != nil {
		return fail(err)
	}
	for _, o := range s.Outputs() {
		t, ok := outs[o.Name].(*value.Tensor)
		if !ok {
			continue
		}
		if fs, ok := t.Data.([]float32); ok && slices.ContainsFunc(fs, func(f float32) bool { return math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) }) {
			return o.Name, nil
		}
	}
	return "", nil
}
