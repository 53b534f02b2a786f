package main

import (
	"fmt"

	"onnxprune"
)

// accuracy prints how good the model was and is, where a prune measured it.
func (t *terminal) accuracy(m *onnxprune.Measurement) {
	if m == nil {
		return
	}
	t.title(fmt.Sprintf("Accuracy on %s of %s", plural(m.Pictures, "picture"), m.Data))
	columns := []column{{name: ""}, {"MACs", true}, {m.Metric, true}, {"kept", true}}
	if m.Pruned.AP50 != nil {
		columns = append(columns, column{"mAP50", true})
	}
	var rows [][]string
	row := func(name string, macs int64, value float64, ap50 *float64) {
		r := []string{name, thousands(macs), share(value), "-"}
		if m.Original.Value > 0 {
			r[3] = fmt.Sprintf("%.1f %%", 100*value/m.Original.Value)
		}
		if ap50 != nil {
			r = append(r, share(*ap50))
		}
		rows = append(rows, r)
	}
	measured := func(name string, f onnxprune.Figures) { row(name, f.MACs, f.Value, f.AP50) }
	measured("original", m.Original)
	if m.Cut != nil {
		measured("cut, before the repair", *m.Cut)
		measured("cut and repaired", m.Pruned)
	} else {
		measured("cut", m.Pruned)
	}
	if s := m.Smaller; s != nil {
		row("original, with a smaller input", s.MACs, s.Value, s.AP50)
	}
	t.table(columns, rows)
	t.broken(m.Broken)
}
