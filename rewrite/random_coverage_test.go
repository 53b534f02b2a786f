package rewrite_test

import (
	"slices"
	"testing"

	axisrules "onnxprune/analysis/channels/ops"
	"onnxprune/onnxio"
	kernels "onnxprune/runtime/ops"
)

// undrawn are the operators that no random graph has, each for a reason. Those that the runtime can not compute need none: the
// masked twin has to run.
var undrawn = map[string]string{
	"StringNormalizer":         "reads strings",
	"StringConcat":             "reads strings",
	"StringSplit":              "reads strings",
	"RegexFullMatch":           "reads strings",
	"TfIdfVectorizer":          "reads words",
	"ImageDecoder":             "reads a compressed picture",
	"ai.onnx.ml::TreeEnsemble": "reads one row of features, which are no channels",
}

// Every operator with an axis rule that can stand between feature maps is drawn, and no kind of block is always turned away.
func TestRandomGraphsDrawEveryOperatorWithARule(t *testing.T) {
	seen, made, refused := map[string]bool{}, map[string]int{}, map[string]int{}
	drawn := func(name string, ok bool) {
		if ok {
			made[name]++
		} else {
			refused[name]++
		}
	}
	for seed := range uint64(6000) {
		b, _ := drawModel(seed, drawn)
		b.Model().Walk(func(n *onnxio.Node) { seen[operator(n.Domain, n.OpType)] = true }, nil)
	}
	for _, s := range axisrules.Table() {
		name := operator(s.Domain, s.Op)
		_, computed := kernels.Lookup(s.Domain, s.Op, 100)
		switch why := undrawn[name]; {
		case !computed && s.Op != "If" && s.Op != "Loop" && s.Op != "Scan" && s.Op != "SequenceMap":
		case seen[name] && why != "":
			t.Errorf("%s is drawn, although it %s", name, why)
		case !seen[name] && why == "":
			t.Errorf("%s is never drawn", name)
		}
	}
	for _, family := range append(slices.Clone(families), computed) {
		for _, b := range family {
			if made[b.name] == 0 {
				t.Errorf("the block %s is never made: turned away %d times", b.name, refused[b.name])
			}
		}
	}
}

func operator(domain, op string) string {
	if domain == "" || domain == "ai.onnx" {
		return op
	}
	return domain + "::" + op
}
