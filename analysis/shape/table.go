package shape

import "slices"

// rule infers the outputs of one operator. It sets every output that it knows something about.
type rule func(c *call) error

// entry registers a rule for an operator from an opset version on.
type entry struct {
	op    string
	since int
	rule  rule
}

// family is a list of rules of one domain; each file of rules holds one or two.
type family struct {
	domain string
	rules  []entry
}

// Operator is an operator for which there is a shape rule.
type Operator struct {
	Domain string // "" for ai.onnx
	Name   string
	Since  int
}

// families is the registration table: the one place where families of operators are listed.
var families = []*family{
	elementwise, elementwiseMicrosoft, convolution, convolutionMicrosoft, pooling, poolingMicrosoft,
	normalization, normalizationMicrosoft, shaping, moving, movingMicrosoft, joining, cutting, matrix, matrixMicrosoft,
	resizing, resizingMicrosoft, indexing, indexingMicrosoft, reduction, reductionMicrosoft,
	generation, generationMicrosoft, quantization, quantizationMicrosoft, recurrent, recurrentMicrosoft, loss, optimizers,
	sequences, signal, signalMicrosoft, attentions, attentionsMicrosoft, attentionsPreview, learning, control,
}

type operatorName struct{ domain, op string }

var table map[operatorName][]entry

func init() { table = build() }

// build sorts the families into a map, the versions of an operator in descending order.
func build() map[operatorName][]entry {
	m := make(map[operatorName][]entry, 512)
	for _, f := range families {
		for _, e := range f.rules {
			k := operatorName{f.domain, e.op}
			m[k] = append(m[k], e)
		}
	}
	for _, es := range m {
		slices.SortFunc(es, func(a, b entry) int { return b.since - a.since })
	}
	return m
}

// lookup returns the rule for an operator in a version of its domain's opset; nil for none.
func lookup(domain, op string, version int) rule {
	for _, e := range table[operatorName{domain, op}] {
		if e.since <= version {
			return e.rule
		}
	}
	return nil
}

// Operators lists every operator version that has a rule of its own, sorted by domain, name and version.
func Operators() []Operator {
	var out []Operator
	for k, es := range table {
		for _, e := range es {
			out = append(out, Operator{k.domain, k.op, e.since})
		}
	}
	slices.SortFunc(out, func(a, b Operator) int {
		switch {
		case a.Domain != b.Domain:
			return compareText(a.Domain, b.Domain)
		case a.Name != b.Name:
			return compareText(a.Name, b.Name)
		}
		return a.Since - b.Since
	})
	return out
}

func compareText(a, b string) int {
	if a < b {
		return -1
	}
	return 1
}
