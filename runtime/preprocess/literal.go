package preprocess

// Python literals, as ultralytics and YOLOv5 write them into a model's metadata with str(): {0: 'person', 1: "driver's seat"}, [640, 640], True.

import (
	"fmt"
	"strconv"
	"strings"
)

// pair is an entry of a dictionary; the order is kept.
type pair struct{ key, value any }

// dict is a Python dictionary.
type dict []pair

// literal parses a Python literal into string, int64, float64, bool, nil, []any (lists, tuples and sets) and dict.
func literal(s string) (any, error) {
	p := &literalParser{rest: s}
	v, err := p.value(0)
	if p.space(); err == nil && p.rest != "" {
		err = fmt.Errorf("%.20q follows the value", p.rest)
	}
	if err != nil {
		return nil, fmt.Errorf("%.60q is no Python literal: %w", s, err)
	}
	return v, nil
}

type literalParser struct{ rest string }

func (p *literalParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *literalParser) take(s string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.rest, s)
	if ok {
		p.rest = rest
	}
	return ok
}

const deepestLiteral = 16

func (p *literalParser) value(depth int) (any, error) {
	if depth > deepestLiteral {
		return nil, fmt.Errorf("it is nested too deep")
	}
	switch {
	case p.take("{"):
		return p.braces(depth)
	case p.take("["):
		return p.list("]", depth)
	case p.take("("):
		return p.list(")", depth)
	}
	p.space()
	if p.rest == "" {
		return nil, fmt.Errorf("it ends too early")
	}
	if p.rest[0] == '\'' || p.rest[0] == '"' {
		return p.text()
	}
	end := strings.IndexAny(p.rest, ",:]}) \t\r\n")
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	switch word {
	case "True", "False":
		return word == "True", nil
	case "None":
		return nil, nil
	}
	if n, err := strconv.ParseInt(word, 10, 64); err == nil {
		return n, nil
	}
	x, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return nil, fmt.Errorf("%.20q is no number", word)
	}
	return x, nil
}

func (p *literalParser) list(end string, depth int) ([]any, error) {
	out := []any{}
	for {
		if p.take(end) {
			return out, nil
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		if !p.take(",") && !strings.HasPrefix(strings.TrimLeft(p.rest, " \t\r\n"), end) {
			return nil, fmt.Errorf("a comma or %s is missing", end)
		}
	}
}

// braces reads a dictionary or, where no colon follows the first value, a set.
func (p *literalParser) braces(depth int) (any, error) {
	out := dict{}
	for {
		if p.take("}") {
			return out, nil
		}
		k, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if !p.take(":") {
			if len(out) > 0 {
				return nil, fmt.Errorf("a colon is missing")
			}
			p.take(",")
			rest, err := p.list("}", depth)
			return append([]any{k}, rest...), err
		}
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, pair{k, v})
		if !p.take(",") && !strings.HasPrefix(strings.TrimLeft(p.rest, " \t\r\n"), "}") {
			return nil, fmt.Errorf("a comma or } is missing")
		}
	}
}

func (p *literalParser) text() (string, error) {
	quote := p.rest[0]
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		c := p.rest[i]
		switch {
		case c == quote:
			p.rest = p.rest[i+1:]
			return b.String(), nil
		case c == '\\':
			r, _, tail, err := strconv.UnquoteChar(p.rest[i:], quote)
			if err != nil {
				return "", fmt.Errorf("%.8q is no escape", p.rest[i:])
			}
			b.WriteRune(r)
			i = len(p.rest) - len(tail) - 1
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("a text has no end")
}
