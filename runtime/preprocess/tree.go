package preprocess

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// tree is a value of a JSON or YAML file that others wrote: whatever is asked for may be missing or of another kind, and then is the zero value.
type tree struct{ v any }

// parseTree reads YAML or JSON, which is a part of it.
func parseTree(b []byte) (tree, error) {
	var v any
	err := yaml.Unmarshal(b, &v)
	return tree{v}, err
}

func (t tree) has(key string) bool {
	m, _ := t.v.(map[string]any)
	_, ok := m[key]
	return ok
}

// at follows keys downwards.
func (t tree) at(keys ...string) tree {
	for _, k := range keys {
		m, _ := t.v.(map[string]any)
		t = tree{m[k]}
	}
	return t
}

func (t tree) list() []tree {
	l, _ := t.v.([]any)
	out := make([]tree, len(l))
	for i, v := range l {
		out[i] = tree{v}
	}
	return out
}

func (t tree) text() string {
	s, _ := t.v.(string)
	return s
}

// flag returns a boolean, or what holds where there is none.
func (t tree) flag(missing bool) bool {
	if b, ok := t.v.(bool); ok {
		return b
	}
	return missing
}

// number returns a number; a text such as "1.0/255.0" is one too.
func (t tree) number() (float64, bool) {
	switch v := t.v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	case string:
		x, err := number(v)
		return x, err == nil
	}
	return 0, false
}

// numbers returns a list of numbers; a number alone is a list of one.
func (t tree) numbers() []float64 {
	if x, ok := t.number(); ok {
		return []float64{x}
	}
	var out []float64
	for _, e := range t.list() {
		x, ok := e.number()
		if !ok {
			return nil
		}
		out = append(out, x)
	}
	return out
}

func (t tree) texts() []string {
	var out []string
	for _, e := range t.list() {
		out = append(out, fmt.Sprint(e.v))
	}
	return out
}

// byIndex returns the texts of a mapping whose keys are 0, 1, 2 and so on; nil where they are not.
func (t tree) byIndex() []string {
	var out []string
	at := func(i int, v any) bool {
		if i < 0 || i > 1<<20 {
			return false
		}
		if i >= len(out) {
			out = append(out, slices.Repeat([]string{""}, i+1-len(out))...)
		}
		out[i] = fmt.Sprint(v)
		return true
	}
	switch m := t.v.(type) {
	case map[string]any: // JSON's keys are texts
		for k, v := range m {
			i, err := strconv.Atoi(k)
			if err != nil || !at(i, v) {
				return nil
			}
		}
	case map[any]any:
		for k, v := range m {
			i, ok := k.(int)
			if !ok || !at(i, v) {
				return nil
			}
		}
	}
	return out
}

// words writes numbers as settings have them.
func words(xs []float64, sep string) string {
	var out []string
	for _, x := range xs {
		out = append(out, strconv.FormatFloat(x, 'g', -1, 64))
	}
	return strings.Join(out, sep)
}
