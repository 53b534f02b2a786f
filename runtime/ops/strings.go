package ops

// Operators on strings: StringConcat, StringSplit, StringNormalizer and RegexFullMatch.

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "StringConcat", buildStringConcat, 20)
	Register("", "StringSplit", buildStringSplit, 20)
	Register("", "StringNormalizer", buildStringNormalizer, 10)
	Register("", "RegexFullMatch", buildRegexFullMatch, 20)
}

// stringsOf returns the elements of a string tensor.
func stringsOf(t *value.Tensor) ([]string, error) {
	d, ok := t.Data.([]string)
	if !ok {
		return nil, fmt.Errorf("%v, want strings", t)
	}
	return d, nil
}

func buildStringConcat(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		shape, err := broadcastShape(in[0].Shape, in[1].Shape)
		if err != nil {
			return nil, err
		}
		var sides [2][]string
		for i, t := range in {
			wide, err := expanded(c, t, shape)
			if err != nil {
				return nil, err
			}
			if sides[i], err = stringsOf(wide); err != nil {
				return nil, err
			}
		}
		out, err := c.New(onnxio.String, shape...)
		if err != nil {
			return nil, err
		}
		for i := range out.Len() {
			value.Of[string](out)[i] = sides[0][i] + sides[1][i]
		}
		return []*value.Tensor{out}, nil
	}), nil
}

func buildStringSplit(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	if err := checkOutputs(n, 2); err != nil {
		return nil, err
	}
	delimiter, most := n.Text("delimiter", ""), -1
	if n.Has("maxsplit") {
		most = int(n.Int("maxsplit", -1))
	}
	outputs := len(n.Outputs)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		texts, err := stringsOf(in[0])
		if err != nil {
			return nil, err
		}
		width, words := 0, make([][]string, len(texts))
		for i, s := range texts {
			words[i] = splitText(s, delimiter, most)
			width = max(width, len(words[i]))
		}
		out, err := c.New(onnxio.String, append(slices.Clone(in[0].Shape), width)...)
		if err != nil {
			return nil, err
		}
		counts, err := c.New(onnxio.Int64, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		for i, w := range words {
			copy(value.Of[string](out)[i*width:], w)
			value.Of[int64](counts)[i] = int64(len(w))
		}
		return []*value.Tensor{out, counts}[:outputs], nil
	}), nil
}

// splitText cuts a text at a delimiter, or at runs of white space where that is empty, at most so many times (-1: as
// often as it occurs).
func splitText(s, delimiter string, most int) []string {
	if delimiter != "" {
		if most < 0 {
			return strings.Split(s, delimiter)
		}
		return strings.SplitN(s, delimiter, most+1)
	}
	var words []string
	for {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		if s == "" {
			return words
		}
		end := strings.IndexFunc(s, unicode.IsSpace)
		if end < 0 || most >= 0 && len(words) == most {
			return append(words, s)
		}
		words, s = append(words, s[:end]), s[end:]
	}
}

func buildStringNormalizer(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	action := n.OneOf("case_change_action", "NONE", "LOWER", "UPPER")
	exact := n.Bool("is_case_sensitive", false)
	lower, upper, err := casesOf(n.Text("locale", "en_US"))
	if err != nil {
		return nil, err
	}
	stop := map[string]bool{}
	for _, w := range n.Texts("stopwords") {
		if !exact {
			w = lower(w)
		}
		stop[w] = true
	}
	change := map[string]func(string) string{"LOWER": lower, "UPPER": upper}[action]
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		words, err := stringsOf(in[0])
		if err != nil {
			return nil, err
		}
		rank := len(in[0].Shape)
		if rank != 1 && (rank != 2 || in[0].Shape[0] != 1) {
			return nil, fmt.Errorf("%v, want one row of strings", in[0])
		}
		kept := []string{}
		for _, w := range words {
			key := w
			if !exact {
				key = lower(w)
			}
			if stop[key] {
				continue
			}
			if change != nil {
				w = change(w)
			}
			kept = append(kept, w)
		}
		if len(kept) == 0 { // the standard wants one empty string then
			kept = append(kept, "")
		}
		shape := []int{1, len(kept)}
		return []*value.Tensor{value.From(kept, shape[2-rank:]...)}, nil
	}), nil
}

// casesOf returns the case mappings of a locale. Only Turkish and its neighbours have letters of their own.
func casesOf(locale string) (lower, upper func(string) string, err error) {
	language, _, _ := strings.Cut(locale, "_")
	switch language {
	case "tr", "az":
		return func(s string) string { return strings.ToLowerSpecial(unicode.TurkishCase, s) },
			func(s string) string { return strings.ToUpperSpecial(unicode.TurkishCase, s) }, nil
	case "lt":
		return nil, nil, fmt.Errorf("the case rules of locale %s are not known", locale)
	}
	return strings.ToLower, strings.ToUpper, nil
}

func buildRegexFullMatch(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	pattern := n.Text("pattern", "")
	if _, err := regexp.Compile(pattern); err != nil {
		return nil, fmt.Errorf("attribute pattern: %w", err)
	}
	re, err := regexp.Compile(`\A(?:` + pattern + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("attribute pattern: %w", err)
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		texts, err := stringsOf(in[0])
		if err != nil {
			return nil, err
		}
		out, err := c.New(onnxio.Bool, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		for i, s := range texts {
			value.Of[bool](out)[i] = re.MatchString(s)
		}
		return []*value.Tensor{out}, nil
	}), nil
}
