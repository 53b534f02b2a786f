package verify

import "onnxprune/onnxio"

// squashing are operators that can make any difference vanish: whatever goes in, 0 or 1 comes out.
var squashing = map[string]bool{"Sigmoid": true, "HardSigmoid": true, "Softmax": true, "LogSoftmax": true, "Tanh": true}

// carrying are operators that hand elements on as they are.
var carrying = map[string]bool{"Identity": true, "Reshape": true, "Transpose": true, "Squeeze": true, "Unsqueeze": true,
	"Flatten": true, "Slice": true, "Concat": true, "Gather": true, "Split": true}

// squashed lists what flows into the sigmoids and the like that outputs come straight out of.
func (s *selection) squashed() front {
	f := front{before: map[string]string{}, of: map[string][]string{}}
	for _, name := range outputNames(s.a.model) {
		seen := map[*onnxio.Node]bool{}
		var walk func(value string)
		walk = func(value string) {
			n := s.a.makers[value]
			switch {
			case n == nil || seen[n] || n.Domain != "" || len(n.Inputs) == 0:
			case squashing[n.OpType]:
				seen[n] = true
				in := n.Inputs[0]
				if !s.unequal[in] || s.b.makers[in] == nil {
					return
				}
				if f.before[in] == "" {
					f.names = append(f.names, in)
					f.before[in] = title(n)
				}
				f.of[name] = append(f.of[name], in)
			case n.OpType == "Concat":
				seen[n] = true
				for _, in := range n.Inputs {
					walk(in)
				}
			case carrying[n.OpType]:
				seen[n] = true
				walk(n.Inputs[0])
			}
		}
		walk(name)
	}
	return f
}
