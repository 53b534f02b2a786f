package ops

// TfIdfVectorizer: how often each n-gram of a given pool occurs in a row of tokens, possibly with tokens skipped between
// its members, possibly weighted.

import (
	"fmt"
	"slices"
	"strconv"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func init() { Register("", "TfIdfVectorizer", buildTfIdf, 9) }

// gramTree is the pool as a tree of tokens. A node that ends an n-gram has its number, others have -1.
type gramTree struct {
	gram int
	next map[string]*gramTree
}

type tfIdf struct {
	pool           *gramTree
	shortest, most int // tokens of an n-gram
	skips          int
	mode           string
	places         []int // of an n-gram in the output
	weights        []float32
	width          int
}

func buildTfIdf(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	v := &tfIdf{
		shortest: int(n.Int("min_gram_length", 0)), most: int(n.Int("max_gram_length", 0)), skips: int(n.Int("max_skip_count", -1)),
		mode: n.OneOf("mode", "", "TF", "IDF", "TFIDF"), places: n.Ints("ngram_indexes"), weights: n.Floats("weights"),
	}
	if v.mode == "" || v.shortest < 1 || v.most < v.shortest || v.skips < 0 || len(v.places) == 0 {
		return nil, fmt.Errorf("mode %q, n-grams of %d to %d tokens, %d skips, %d places", v.mode, v.shortest, v.most, v.skips, len(v.places))
	}
	for _, p := range v.places {
		if p < 0 {
			return nil, fmt.Errorf("attribute ngram_indexes has %d", p)
		}
		v.width = max(v.width, p+1)
	}
	if v.weights != nil && len(v.weights) != len(v.places) {
		return nil, fmt.Errorf("%d weights for %d n-grams", len(v.weights), len(v.places))
	}
	tokens, numbers := n.Texts("pool_strings"), n.Ints("pool_int64s")
	for _, k := range numbers {
		tokens = append(tokens, strconv.Itoa(k))
	}
	texts := len(numbers) == 0
	if !texts && len(tokens) > len(numbers) {
		return nil, fmt.Errorf("the pool holds both strings and numbers")
	}
	if err := v.fillPool(tokens, n.Ints("ngram_counts")); err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		words, err := tokensOf(in[0], texts)
		if err != nil {
			return nil, err
		}
		return oneOutput(v.count(c, in[0].Shape, words))
	}), nil
}

// fillPool builds the tree. starts says where in the pool the n-grams of 1, 2, ... tokens begin.
func (v *tfIdf) fillPool(tokens []string, starts []int) error {
	v.pool = &gramTree{gram: -1}
	gram := 0
	for i, from := range starts {
		to := len(tokens)
		if i+1 < len(starts) {
			to = starts[i+1]
		}
		if from < 0 || to < from || to > len(tokens) || (to-from)%(i+1) != 0 {
			return fmt.Errorf("attribute ngram_counts is %v for a pool of %d", starts, len(tokens))
		}
		for g := range slices.Chunk(tokens[from:to], i+1) {
			if gram >= len(v.places) {
				return fmt.Errorf("the pool has more than the %d n-grams of ngram_indexes", len(v.places))
			}
			node := v.pool
			for _, token := range g {
				if node.next[token] == nil {
					if node.next == nil {
						node.next = map[string]*gramTree{}
					}
					node.next[token] = &gramTree{gram: -1}
				}
				node = node.next[token]
			}
			if node.gram >= 0 {
				return fmt.Errorf("n-gram %q is in the pool twice", g)
			}
			if n := i + 1; n >= v.shortest && n <= v.most {
				node.gram = gram
			}
			gram++
		}
	}
	return nil
}

func tokensOf(t *value.Tensor, texts bool) ([]string, error) {
	if words, ok := t.Data.([]string); ok && texts {
		return words, nil
	}
	numbers, ok := t.Ints()
	if !ok || texts {
		return nil, fmt.Errorf("the tokens are %v, and the pool holds strings: %v", t, texts)
	}
	words := make([]string, len(numbers))
	for i, k := range numbers {
		words[i] = strconv.FormatInt(k, 10)
	}
	return words, nil
}

func (v *tfIdf) count(c *Context, shape []int, words []string) (*value.Tensor, error) {
	if len(shape) < 1 || len(shape) > 2 {
		return nil, fmt.Errorf("tokens of shape %v, want a row or a batch of rows", shape)
	}
	rows, length := 1, shape[len(shape)-1]
	outShape := []int{v.width}
	if len(shape) == 2 {
		rows = shape[0]
		outShape = []int{rows, v.width}
	}
	out, err := c.New(onnxio.Float, outShape...)
	if err != nil {
		return nil, err
	}
	d := value.Of[float32](out)
	for r := range rows {
		counts := make([]int, len(v.places))
		v.countRow(words[r*length:(r+1)*length], counts)
		for g, n := range counts {
			if n == 0 {
				continue
			}
			weight := float32(1)
			if v.mode != "TF" && v.weights != nil {
				weight = v.weights[g]
			}
			if v.mode != "IDF" {
				weight *= float32(n)
			}
			d[r*v.width+v.places[g]] = weight
		}
	}
	return out, nil
}

// countRow counts the n-grams of a row with every distance between tokens. Single tokens have no distance, and count once.
func (v *tfIdf) countRow(row []string, counts []int) {
	for distance := 1; distance-1 <= v.skips && distance <= max(len(row), 1); distance++ {
		for start := range row {
			node := v.pool
			for at, n := start, 1; at < len(row) && n <= v.most; at, n = at+distance, n+1 {
				if node = node.next[row[at]]; node == nil {
					break
				}
				if node.gram >= 0 && (n > 1 || distance == 1) {
					counts[node.gram]++
				}
			}
		}
	}
}
