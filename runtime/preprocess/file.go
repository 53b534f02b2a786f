package preprocess

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"onnxprune/analysis/option"

	"gopkg.in/yaml.v3"
)

// maxSidecar bounds files of settings, in bytes.
const maxSidecar = 16 << 20

// readFile reads a file of settings: the words of a recipe as keys, and profile, names, input and values.
func readFile(path string) (said, error) {
	s := said{why: filepath.Base(path)}
	fail := func(err error) (said, error) { return s, option.Errorf("%s: %v", path, err) }
	b, err := readBounded(path)
	if err != nil {
		return fail(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return fail(err)
	}
	if len(doc.Content) == 0 {
		return s, nil
	}
	top := doc.Content[0]
	if top.Kind != yaml.MappingNode {
		return fail(errors.New("it is no list of keys and values, such as \"fit: letterbox\""))
	}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, v := top.Content[i], top.Content[i+1]
		at := fmt.Sprintf("%s line %d", filepath.Base(path), key.Line)
		switch key.Value {
		case "profile":
			s.profile, s.why = v.Value, at
		case "input":
			s.input = v.Value
		case "names":
			if s.classes, err = yamlNames(v); err != nil {
				return fail(fmt.Errorf("line %d: names: %w", key.Line, err))
			}
		case "values":
			if err := v.Decode(&s.values); err != nil {
				return fail(fmt.Errorf("line %d: values are pairs of an input's name and a number", key.Line))
			}
		default:
			if !slices.Contains(Keys, key.Value) {
				return fail(fmt.Errorf("line %d: %q is not known; there are %s, profile, names, input and values", key.Line, key.Value, strings.Join(Keys, ", ")))
			}
			text := v.Value
			if v.Kind == yaml.SequenceNode {
				var parts []string
				for _, n := range v.Content {
					parts = append(parts, n.Value)
				}
				text = strings.Join(parts, ":")
				if key.Value == "size" {
					text = strings.Join(parts, "x")
				}
			}
			set := Setting{key.Value, strings.ToLower(text), FromFile, at}
			if err := (&Recipe{}).Set(set); err != nil {
				return s, err
			}
			s.settings = append(s.settings, set)
		}
	}
	return s, nil
}

// yamlNames reads names of classes: a list, or a mapping from 0 on.
func yamlNames(n *yaml.Node) ([]string, error) {
	switch n.Kind {
	case yaml.SequenceNode:
		var out []string
		err := n.Decode(&out)
		return out, err
	case yaml.MappingNode:
		byIndex := map[int]string{}
		if err := n.Decode(&byIndex); err != nil {
			return nil, err
		}
		out := make([]string, len(byIndex))
		for i := range out {
			name, ok := byIndex[i]
			if !ok {
				return nil, fmt.Errorf("there are %d, but none for %d", len(byIndex), i)
			}
			out[i] = name
		}
		return out, nil
	}
	return nil, errors.New("they are a list of names, or a mapping from 0 on")
}

func readBounded(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		var e *os.PathError
		if errors.As(err, &e) {
			return nil, e.Err
		}
		return nil, err
	}
	if st.IsDir() || st.Size() > maxSidecar {
		return nil, fmt.Errorf("it is a folder, or longer than %d MiB", maxSidecar>>20)
	}
	return os.ReadFile(path)
}
