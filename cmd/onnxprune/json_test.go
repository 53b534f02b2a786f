package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"onnxprune"
	"onnxprune/testmodels"
)

// fields reads the tables of docs/json.md: by heading, the type of every field; "?" before the type of an optional one.
func fields(t *testing.T) map[string]map[string]string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "json.md"))
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("^\\| (`[^|]*`) \\| (\\w+) \\| (.*) \\|$")
	out, section := map[string]map[string]string{}, ""
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section, _, _ = strings.Cut(strings.ToLower(strings.NewReplacer("`", "", "onnxprune ", "", ":", "").Replace(title)), " ")
			out[section] = map[string]string{}
		} else if strings.HasPrefix(line, "`before` and `after`") {
			section = "cost"
			out[section] = map[string]string{}
		}
		if m := row.FindStringSubmatch(line); m != nil {
			kind := m[2]
			if strings.Contains(m[3], "*(optional") {
				kind = "?" + kind
			}
			for _, name := range strings.Split(m[1], ", ") {
				out[section][strings.Trim(name, "`")] = kind
			}
		}
	}
	return out
}

// schema puts the objects that a table refers to in place.
func schema(t *testing.T, command string) map[string]string {
	all := fields(t)
	out := maps.Clone(all[command])
	embed := func(at, section, part string) {
		kind, ok := out[at]
		if !ok {
			return
		}
		delete(out, at)
		for name, k := range all[section] {
			rest, inside := strings.CutPrefix(name, part)
			if !inside {
				continue
			}
			if strings.HasPrefix(kind, "?") {
				k = "?" + strings.TrimPrefix(k, "?")
			}
			if part != "" {
				out[at+"[]."+rest] = k
			} else {
				out[at+"."+rest] = k
			}
		}
	}
	embed("before", "cost", "")
	embed("after", "cost", "")
	embed("verification", "verification", "")
	embed("bench", "bench", "")
	embed("axes[].groups", "groups", "groups[].")
	embed("input_shapes", "prune", "input_shapes[].")
	return out
}

// flatten lists the paths of all values of a JSON document, with their types.
func flatten(v any, at string, out map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			flatten(e, strings.TrimPrefix(at+"."+k, "."), out)
		}
	case []any:
		for _, e := range v {
			flatten(e, at+"[]", out)
		}
	case string:
		out[at] = "string"
	case float64:
		out[at] = "number"
	case bool:
		out[at] = "bool"
	case nil:
		out[at] = "null"
	}
}

func TestJSONIsAsDocumented(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in.onnx")
	if err := testmodels.MaskRCNNR50(testmodels.RCNNOptions{Divisor: 16}).Save(in); err != nil {
		t.Fatal(err)
	}
	six := filepath.Join(dir, "six.onnx")
	if err := testmodels.SixConvolutions().Save(six); err != nil {
		t.Fatal(err)
	}
	out, plan := filepath.Join(dir, "out.onnx"), filepath.Join(dir, "plan.json")
	for _, c := range []struct {
		section string
		args    []string
	}{
		{"prune", []string{in, out, "--params", "res4*", "--ratios", "0.3", "--verify", "off"}},
		{"prune", []string{in, "--params", "res4f_branch2a_weights", "--ratios", "0.3", "--dry-run"}},
		{"prune", []string{six, out, "--params", "conv1_weights,conv2_weights", "--ratios", "0.3", "--plan-out", plan, "--align", "2", "--seed", "3"}},
		{"prune", []string{six, out, "--plan", plan, "--verify", "load"}},
		{"verification", []string{"verify", six, out, "--plan", plan}},
		{"params", []string{"params", in, "--all"}},
		{"groups", []string{"groups", in}},
		{"explain", []string{"explain", in, "res4f_branch2a_weights"}},
		{"explain", []string{"explain", in, "res5a_branch2a_weights"}},
		{"bench", []string{"bench", six, out, "--duration", "20ms", "--warmup", "5ms"}},
		{"prune", []string{six, out, "--params", "conv1_weights", "--ratios", "0.3", "--bench", "--duration", "20ms", "--warmup", "5ms"}},
		{"version", []string{"version"}},
	} {
		t.Run(strings.Join(c.args[:1], " ")+" "+c.section, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), append(c.args, "--json"), &stdout, &stderr); code != 0 {
				t.Fatalf("exit code %d: %s", code, stderr.String())
			}
			d := json.NewDecoder(&stdout)
			var doc map[string]any
			if err := d.Decode(&doc); err != nil {
				t.Fatal(err)
			}
			if d.More() {
				t.Error("more than one object was printed")
			}
			have, want := map[string]string{}, schema(t, c.section)
			flatten(doc, "", have)
			for _, path := range slices.Sorted(maps.Keys(have)) {
				if strings.TrimPrefix(want[path], "?") != have[path] {
					t.Errorf("%s is a %s, documented is %q", path, have[path], want[path])
				}
			}
			for _, path := range slices.Sorted(maps.Keys(want)) {
				if _, there := have[path]; !there && !strings.HasPrefix(want[path], "?") && !inEmptyList(doc, path) {
					t.Errorf("%s is documented, but not printed", path)
				}
			}
		})
	}
}

// declared lists the JSON paths of a Go type, with their types.
func declared(t reflect.Type, at string, out map[string]string) {
	switch t.Kind() {
	case reflect.Pointer:
		declared(t.Elem(), at, out)
	case reflect.Slice:
		declared(t.Elem(), at+"[]", out)
	case reflect.Map:
		declared(t.Elem(), at+".*", out)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if f.Anonymous && name == "" { // its fields stand where it stands
				declared(f.Type, at, out)
				continue
			}
			if name != "-" && f.IsExported() {
				declared(f.Type, strings.TrimPrefix(at+"."+name, "."), out)
			}
		}
	case reflect.String:
		out[at] = "string"
	case reflect.Bool:
		out[at] = "bool"
	default:
		out[at] = "number"
	}
}

func TestEveryFieldOfTheReportsIsDocumented(t *testing.T) {
	for section, v := range map[string]any{
		"prune": onnxprune.Report{}, "verification": onnxprune.Verification{}, "explain": onnxprune.Explanation{},
		"bench": onnxprune.BenchReport{},
		"params": struct {
			Params []onnxprune.Param `json:"params"`
		}{}, "groups": struct {
			Groups []onnxprune.Group `json:"groups"`
		}{},
	} {
		have, want := map[string]string{}, schema(t, section)
		declared(reflect.TypeOf(v), "", have)
		for _, path := range slices.Sorted(maps.Keys(have)) {
			if strings.TrimPrefix(want[path], "?") != have[path] {
				t.Errorf("%s: %s is a %s, documented is %q", section, path, have[path], want[path])
			}
		}
		for _, path := range slices.Sorted(maps.Keys(want)) {
			if _, there := have[path]; !there && path != "model" && !strings.HasPrefix(path, "input_shapes") {
				t.Errorf("%s: %s is documented, but there is no such field", section, path)
			}
		}
	}
}

// inEmptyList reports whether a path leads into a list that is there and empty: its elements can not show.
func inEmptyList(v any, path string) bool {
	name, rest, _ := strings.Cut(path, ".")
	key, list := strings.CutSuffix(name, "[]")
	object, ok := v.(map[string]any)
	if !ok {
		return false
	}
	e, there := object[key]
	if !there {
		return false
	}
	if !list {
		return inEmptyList(e, rest)
	}
	elements, _ := e.([]any)
	return len(elements) == 0 || rest != "" && !slices.ContainsFunc(elements, func(e any) bool { return !inEmptyList(e, rest) })
}
