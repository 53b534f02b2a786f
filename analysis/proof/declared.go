package proof

import (
	"slices"
	"strings"

	"onnxprune/onnxio"
)

// ownKeys is how the keys of metadata_props begin that this tool puts into what it writes.
const ownKeys = "onnxprune."

// file compares what a model file holds beside its graph: versions, metadata, functions.
func (c *checker) file() error {
	o, p := c.o.Model, c.p.Model
	if !onnxio.SameBesides(o, p, 7, 8, 14, 25) { // graph, opset_import, metadata_props, functions
		return fault("the head of the file (IR version, producer, domain, model version, doc string, training info) is not the original's")
	}
	entries := func(m *onnxio.Model) []onnxio.Entry {
		return slices.DeleteFunc(m.Entries(), func(e onnxio.Entry) bool { return strings.HasPrefix(e.Key, ownKeys) })
	}
	if !slices.Equal(entries(o), entries(p)) {
		return fault("metadata_props are %v, in the original %v", entries(p), entries(o))
	}
	if len(p.Functions) != len(o.Functions) {
		return fault("it has %d functions, the original %d", len(p.Functions), len(o.Functions))
	}
	for i, f := range o.Functions {
		if err := c.function(f, p.Functions[i]); err != nil {
			return err
		}
	}
	return nil
}

// opsets compares the operator sets that are imported. Functions that were inlined may have brought some.
func (c *checker) opsets() error {
	o, p := c.o.Model.Opsets, c.p.Model.Opsets
	for _, s := range o {
		if !slices.Contains(p, s) {
			return fault("it does not import version %d of the operators of %q, as the original does", s.Version, s.Domain)
		}
	}
	for _, s := range p {
		brought := func(f *onnxio.Function) bool { return f.Opset(s.Domain) == s.Version }
		if !slices.Contains(o, s) && !(c.inlined && c.o.Model.Opset(s.Domain) == 0 && slices.ContainsFunc(c.o.Model.Functions, brought)) {
			return fault("it imports version %d of the operators of %q, the original does not", s.Version, s.Domain)
		}
	}
	return nil
}

func (c *checker) function(o, p *onnxio.Function) error {
	if !c.external && onnxio.Same(o, p) {
		return nil
	}
	unlike := fault("function %q is not the original's", o.Name)
	if !onnxio.SameBesides(o, p, 7, 11) || len(o.Nodes) != len(p.Nodes) || len(o.AttributeDefaults) != len(p.AttributeDefaults) {
		return unlike
	}
	for i, n := range o.Nodes {
		if err := c.nodeAsItIs(n, p.Nodes[i]); err != nil {
			return fault("in function %q: %s", o.Name, err.(*Fault).Text)
		}
	}
	for i, a := range o.AttributeDefaults {
		if why := c.attribute(a, p.AttributeDefaults[i]); why != "" {
			return fault("in function %q: attribute %s: %s", o.Name, a.Name, why)
		}
	}
	return nil
}

// declarations compares what the main graph declares of its inputs, outputs and inner values, and its other fields.
func (c *checker) declarations() error {
	if err := c.opsets(); err != nil {
		return err
	}
	o, p := c.o.Main.Proto, c.p.Main.Proto
	if !onnxio.SameBesides(o, p, 1, 5, 11, 12, 13, 15) { // node, initializer, input, output, value_info, sparse_initializer
		return fault("the name, doc string, metadata or quantization annotations of the graph are not the original's")
	}
	if err := c.order(); err != nil {
		return err
	}
	sizes := c.sizes()
	for _, l := range []struct {
		what string
		o, p []*onnxio.ValueInfo
	}{{"input", c.stillInputs(), p.Inputs}, {"output", o.Outputs, p.Outputs}, {"value_info", o.ValueInfos, p.ValueInfos}} {
		if len(l.o) != len(l.p) {
			return fault("it declares %d of %s, the original %d", len(l.p), l.what, len(l.o))
		}
		for i, v := range l.o {
			if why := declared(v, l.p[i], sizes[v.Name]); why != "" {
				return fault("%s %q %s", l.what, v.Name, why)
			}
		}
	}
	return nil
}

// stillInputs lists the inputs of the original without those that only declared a constant which is gone: before version 4 of the format
// every initializer had to be an input too.
func (c *checker) stillInputs() []*onnxio.ValueInfo {
	return slices.DeleteFunc(slices.Clone(c.o.Main.Proto.Inputs), func(in *onnxio.ValueInfo) bool {
		v := c.o.Main.Lookup(in.Name)
		return c.o.Model.IRVersion < 4 && v != nil && v.Constant() && len(v.Uses) > 0 && c.p.Main.Lookup(in.Name) == nil
	})
}

// order checks that the initializers stand in the original's order.
func (c *checker) order() error {
	at := map[string]int{}
	for i, t := range c.o.Main.Proto.Initializers {
		at[t.Name] = i
	}
	last, name := -1, ""
	for _, t := range c.p.Main.Proto.Initializers {
		i, known := at[t.Name]
		switch {
		case known && i < last:
			return fault("the initializer %q stands behind %q, in the original before it", t.Name, name)
		case known:
			last, name = i, t.Name
		}
	}
	return nil
}

// sizes returns the extents that change, by the value's name and axis.
func (c *checker) sizes() map[string]map[int]int64 {
	out := map[string]map[int]int64{}
	for _, v := range c.plan.Values {
		out[v.Name] = v.Size
	}
	for _, t := range c.plan.Tensors { // what is declared of a constant follows its tensor, where its name still means what is cut
		v := c.o.Main.Lookup(t.Name)
		if q := c.p.Main.Lookup(t.Name); v == nil || q == nil || c.originOf(q) != v || slices.Equal(q.Data().Dims, t.Shape) {
			continue
		}
		size := map[int]int64{}
		for k, keep := range t.Keep {
			size[k] = int64(len(keep))
		}
		out[t.Name] = size
	}
	return out
}

// declared says how a declaration differs from the original's; "" for not at all.
func declared(o, p *onnxio.ValueInfo, size map[int]int64) string {
	if onnxio.Same(o, p) && size == nil {
		return ""
	}
	if o.Name != p.Name {
		return "is called " + p.Name
	}
	if !onnxio.SameBesides(o, p, 1, 2) {
		return "has another doc string or other metadata than the original's"
	}
	want := o.Type
	if want != nil && want.Kind == onnxio.KindTensor && want.HasShape && size != nil {
		t := *want
		t.Shape = slices.Clone(t.Shape)
		for k := range t.Shape {
			if n, ok := size[k]; ok && t.Shape[k].Known {
				t.Shape[k].Value = n
			}
		}
		want = &t
	}
	if !sameType(want, p.Type) {
		return "is declared as " + p.Type.String() + ", and should be " + want.String()
	}
	return ""
}

func sameType(a, b *onnxio.Type) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Kind == b.Kind && a.Elem == b.Elem && a.HasShape == b.HasShape && slices.Equal(a.Shape, b.Shape) && sameType(a.Of, b.Of)
}
