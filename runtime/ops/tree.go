package ops

// TreeEnsemble of ai.onnx.ml: many decision trees, whose leaves' weights are joined per target. Nodes and leaves are two
// lists of arrays; an inner node says for each branch whether its number is that of a leaf.

import (
	"fmt"
	"math"

	"onnxprune/runtime/value"
)

func init() { Register(mlDomain, "TreeEnsemble", buildTreeEnsemble, 5) }

// How a node compares a feature with its split.
const (
	branchLEQ = iota
	branchLT
	branchGTE
	branchGT
	branchEQ
	branchNEQ
	branchMember
)

// How the leaves of one target are joined.
const (
	joinAverage = iota
	joinSum
	joinMin
	joinMax
)

// What is done with a row of targets at the end.
const (
	transformNone = iota
	transformSoftmax
	transformLogistic
	transformSoftmaxZero
	transformProbit
)

type treeEnsemble struct {
	nodes           []treeNode
	targets         []int // per leaf
	weights         []float64
	roots           []int
	width           int // number of targets
	join, transform int
}

type treeNode struct {
	feature  int
	mode     int
	split    float64
	members  map[float64]bool
	missing  bool // a missing value takes the true branch
	branches [2]treeBranch
}

// treeBranch is the next node, or a leaf.
type treeBranch struct {
	to   int
	leaf bool
}

func buildTreeEnsemble(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	n.Ignore("nodes_hitrates") // a hint about speed
	e := &treeEnsemble{targets: n.Ints("leaf_targetids"), roots: n.Ints("tree_roots"), width: int(n.Int("n_targets", 0)),
		join: int(n.Int("aggregate_function", joinSum)), transform: int(n.Int("post_transform", transformNone))}
	if e.join < joinAverage || e.join > joinMax || e.transform < transformNone || e.transform > transformProbit {
		return nil, fmt.Errorf("aggregate_function %d with post_transform %d is not supported", e.join, e.transform)
	}
	var err error
	if e.weights, err = treeNumbers(n, "leaf_weights", len(e.targets)); err != nil {
		return nil, err
	}
	if err := e.readNodes(n); err != nil {
		return nil, err
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		if len(in[0].Shape) != 2 {
			return nil, fmt.Errorf("%v, want rows of features", in[0])
		}
		for i := range e.nodes {
			if f := e.nodes[i].feature; f >= in[0].Shape[1] {
				return nil, fmt.Errorf("node %d reads feature %d of %v", i, f, in[0])
			}
		}
		x, err := floatElements[float64](in[0])
		if err != nil {
			return nil, err
		}
		out, err := newFloatOutput[float64](c, in[0].Type, in[0].Shape[0], e.width)
		if err != nil {
			return nil, err
		}
		features := in[0].Shape[1]
		c.Pool.Do(in[0].Shape[0], 64, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				e.row(x[i*features:(i+1)*features], out.data[i*e.width:(i+1)*e.width])
			}
		})
		return []*value.Tensor{out.done()}, nil
	}), nil
}

func treeNumbers(n *Node, name string, count int) ([]float64, error) {
	t := n.Tensor(name)
	if t == nil {
		return nil, fmt.Errorf("attribute %s is missing", name)
	}
	v, ok := t.Floats()
	if !ok || count >= 0 && len(v) != count {
		return nil, fmt.Errorf("attribute %s is %v, want %d numbers", name, t, count)
	}
	return v, nil
}

func (e *treeEnsemble) readNodes(n *Node) error {
	features := n.Ints("nodes_featureids")
	count := len(features)
	splits, err := treeNumbers(n, "nodes_splits", count)
	if err != nil {
		return err
	}
	modes, err := treeNumbers(n, "nodes_modes", count)
	if err != nil {
		return err
	}
	missing := n.Ints("nodes_missing_value_tracks_true")
	lists := [4][]int{n.Ints("nodes_falsenodeids"), n.Ints("nodes_truenodeids"), n.Ints("nodes_falseleafs"), n.Ints("nodes_trueleafs")}
	for _, l := range lists {
		if len(l) != count {
			return fmt.Errorf("the lists of %d nodes differ in length", count)
		}
	}
	if missing != nil && len(missing) != count {
		return fmt.Errorf("attribute nodes_missing_value_tracks_true has %d entries for %d nodes", len(missing), count)
	}
	var members []float64
	if n.Has("membership_values") {
		if members, err = treeNumbers(n, "membership_values", -1); err != nil {
			return err
		}
	}
	for i, f := range features {
		node := treeNode{feature: f, mode: int(modes[i]), split: splits[i], missing: missing != nil && missing[i] != 0}
		for b := range node.branches {
			node.branches[b] = treeBranch{lists[b][i], lists[2+b][i] != 0}
		}
		if node.mode == branchMember {
			node.members, members = nextMembers(members)
		}
		e.nodes = append(e.nodes, node)
	}
	return nil
}

// nextMembers takes the values before the next NaN, which separates the sets of nodes.
func nextMembers(values []float64) (set map[float64]bool, rest []float64) {
	set = map[float64]bool{}
	for i, v := range values {
		if math.IsNaN(v) {
			return set, values[i+1:]
		}
		set[v] = true
	}
	return set, nil
}

// check makes sure that every walk ends at a leaf: numbers exist, and no node is reached twice.
func (e *treeEnsemble) check() error {
	for i, t := range e.targets {
		if t < 0 || t >= e.width {
			return fmt.Errorf("leaf %d has target %d of %d", i, t, e.width)
		}
	}
	reached := make([]bool, len(e.nodes))
	stack := append([]int{}, e.roots...)
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if i < 0 || i >= len(e.nodes) || reached[i] {
			return fmt.Errorf("node %d of %d does not exist, or is reached twice", i, len(e.nodes))
		}
		reached[i] = true
		node := &e.nodes[i]
		if node.feature < 0 || node.mode < branchLEQ || node.mode > branchMember {
			return fmt.Errorf("node %d has feature %d and mode %d", i, node.feature, node.mode)
		}
		same := node.branches[0] == node.branches[1] // a tree of one leaf has a node with two equal branches
		for b, branch := range node.branches {
			switch {
			case branch.leaf && (branch.to < 0 || branch.to >= len(e.targets)):
				return fmt.Errorf("node %d leads to leaf %d of %d", i, branch.to, len(e.targets))
			case !branch.leaf && !(same && b == 1):
				stack = append(stack, branch.to)
			}
		}
	}
	return nil
}

// row joins the leaves that a row of features reaches.
func (e *treeEnsemble) row(x, y []float64) {
	seen := make([]bool, len(y))
	for _, root := range e.roots {
		at := treeBranch{to: root}
		for !at.leaf {
			node := &e.nodes[at.to]
			at = node.branches[0]
			if node.holds(x[node.feature]) {
				at = node.branches[1]
			}
		}
		t, w := e.targets[at.to], e.weights[at.to]
		switch {
		case e.join == joinMin && seen[t]:
			y[t] = min(y[t], w)
		case e.join == joinMax && seen[t]:
			y[t] = max(y[t], w)
		default:
			y[t] += w
		}
		seen[t] = true
	}
	if e.join == joinAverage {
		for t := range y {
			y[t] /= float64(max(len(e.roots), 1))
		}
	}
	e.finish(y)
}

func (n *treeNode) holds(v float64) bool {
	if math.IsNaN(v) && n.missing {
		return true
	}
	switch n.mode {
	case branchLEQ:
		return v <= n.split
	case branchLT:
		return v < n.split
	case branchGTE:
		return v >= n.split
	case branchGT:
		return v > n.split
	case branchEQ:
		return v == n.split
	case branchNEQ:
		return v != n.split
	}
	return n.members[v]
}

func (e *treeEnsemble) finish(y []float64) {
	switch e.transform {
	case transformLogistic:
		for i, v := range y {
			y[i] = 1 / (1 + math.Exp(-v))
		}
	case transformProbit: // the inverse of the normal distribution function
		for i, v := range y {
			y[i] = math.Sqrt2 * math.Erfinv(2*v-1)
		}
	case transformSoftmax, transformSoftmaxZero:
		top, sum := math.Inf(-1), 0.0
		for _, v := range y {
			top = max(top, v)
		}
		for i, v := range y {
			if e.transform == transformSoftmaxZero && v == 0 {
				continue // zeros stay out of it
			}
			y[i] = math.Exp(v - top)
			sum += y[i]
		}
		for i := range y {
			y[i] /= sum
		}
	}
}
