package runtime

import (
	"fmt"
	"maps"

	"onnxprune/onnxio"
)

// function returns the local function that a node calls, nil for an operator.
func (c *compiler) function(n *node) *onnxio.Function {
	return c.functions[functionKey{n.domain, n.op, n.overload}]
}

// call opens a local function: its nodes become steps of the calling program. The function's own opset
// imports hold inside it.
func (c *compiler) call(s *scope, f *onnxio.Function, n *node, refs []ref, attrs []*onnxio.Attribute, path string) error {
	if s.calls >= maxCallDepth {
		return &fatalError{fmt.Errorf("%s: local functions call each other more than %d deep; %s.%s may call itself",
			path, maxCallDepth, f.Domain, f.Name)}
	}
	if len(refs) > len(f.Inputs) || len(n.outputs) > len(f.Outputs) {
		return fmt.Errorf("it has %d inputs and %d outputs, but the function takes %d and gives %d",
			len(refs), len(n.outputs), len(f.Inputs), len(f.Outputs))
	}
	env, err := callAttributes(f, attrs)
	if err != nil {
		return err
	}
	d := c.decoded[f]
	if d == nil {
		if d, err = decodeFunction(f, f.Opset); err != nil {
			return err
		}
		c.decoded[f] = d
	}
	inner := &scope{program: s.program, names: map[string]ref{}, opset: f.Opset, path: path,
		attributes: env, inFunction: true, calls: s.calls + 1, depth: s.depth}
	for i, name := range f.Inputs {
		inner.names[name] = absent
		if i < len(refs) {
			inner.names[name] = refs[i]
		}
	}
	before := len(c.problems)
	if err := c.nodes(inner, d); err != nil {
		return err
	}
	if len(c.problems) > before {
		return errReported
	}
	for i, name := range n.outputs {
		if name == "" {
			continue
		}
		r, ok := inner.lookup(f.Outputs[i])
		if !ok {
			return fmt.Errorf("the function %s never computes its output %q", f.Name, f.Outputs[i])
		}
		s.names[name] = r
	}
	return nil
}

// callAttributes returns the function's attributes as the call sets them, with defaults for the rest.
func callAttributes(f *onnxio.Function, attrs []*onnxio.Attribute) (map[string]*onnxio.Attribute, error) {
	known := map[string]bool{}
	env := map[string]*onnxio.Attribute{}
	for _, name := range f.AttributeNames {
		known[name] = true
	}
	for _, a := range f.AttributeDefaults {
		known[a.Name] = true
		env[a.Name] = a
	}
	given := map[string]*onnxio.Attribute{}
	for _, a := range attrs {
		if !known[a.Name] {
			return nil, fmt.Errorf("attribute %s is not known to the function %s", a.Name, f.Name)
		}
		given[a.Name] = a
	}
	maps.Copy(env, given)
	return env, nil
}
