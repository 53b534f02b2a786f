package runtime

// skeleton is our onnx.Backend: the multigraph that onnx-go decodes into. onnx-go connects an
// output with an input by an edge whose weight is the input's position; kept by
// that position, a value that a node reads twice stays two inputs.

import (
	"fmt"
	"math"

	"github.com/owulveryck/onnx-go"
	gonum "gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/iterator"
)

type skeleton struct {
	names      map[int64]string
	ins        map[int64]map[int]int64 // of an output: input values by position
	operations []operation             // in the order of the file
	next       int64
}

// operation is one node: its name, its attributes, and the values it writes.
type operation struct {
	name       string
	attributes map[string]any
	outputs    []int64
}

// skeletonValue is a value as onnx-go handles it.
type skeletonValue struct {
	id int64
	of *skeleton
}

var _ onnx.Backend = (*skeleton)(nil)
var _ onnx.Namer = skeletonValue{}

func (v skeletonValue) ID() int64           { return v.id }
func (v skeletonValue) SetName(name string) { v.of.names[v.id] = name }
func (v skeletonValue) GetName() string     { return v.of.names[v.id] }

// input returns the name of the value at an input's position.
func (s *skeleton) input(output int64, position int) (string, bool) {
	id, ok := s.ins[output][position]
	return s.names[id], ok
}

// ApplyOperation implements onnx.Backend.
func (s *skeleton) ApplyOperation(op onnx.Operation, outputs ...gonum.Node) error {
	ids := make([]int64, len(outputs))
	for i, o := range outputs {
		ids[i] = o.ID()
	}
	s.operations = append(s.operations, operation{op.Name, op.Attributes, ids})
	return nil
}

// NewNode implements graph.NodeAdder.
func (s *skeleton) NewNode() gonum.Node {
	if s.names == nil {
		s.names, s.ins = map[int64]string{}, map[int64]map[int]int64{}
	}
	s.next++
	return skeletonValue{s.next, s}
}

// AddNode implements graph.NodeAdder.
func (s *skeleton) AddNode(n gonum.Node) {
	if _, ok := s.names[n.ID()]; !ok {
		s.names[n.ID()] = ""
	}
}

// skeletonEdge leads from an output to the value at one of its node's inputs.
type skeletonEdge struct {
	from, to gonum.Node
	position float64
}

func (e skeletonEdge) From() gonum.Node         { return e.from }
func (e skeletonEdge) To() gonum.Node           { return e.to }
func (e skeletonEdge) ReversedEdge() gonum.Edge { return e }
func (e skeletonEdge) Weight() float64          { return e.position }

// NewWeightedEdge implements graph.WeightedEdgeAdder.
func (s *skeleton) NewWeightedEdge(from, to gonum.Node, weight float64) gonum.WeightedEdge {
	return skeletonEdge{from, to, weight}
}

// SetWeightedEdge implements graph.WeightedEdgeAdder.
func (s *skeleton) SetWeightedEdge(e gonum.WeightedEdge) {
	from := e.From().ID()
	if s.ins[from] == nil {
		s.ins[from] = map[int]int64{}
	}
	s.ins[from][int(e.Weight())] = e.To().ID()
}

// Node implements graph.Graph.
func (s *skeleton) Node(id int64) gonum.Node {
	if _, ok := s.names[id]; !ok {
		return nil
	}
	return skeletonValue{id, s}
}

// Nodes implements graph.Graph.
func (s *skeleton) Nodes() gonum.Nodes {
	return s.where(func(int64) bool { return true })
}

// From implements graph.Graph: the values that an output's node reads.
func (s *skeleton) From(id int64) gonum.Nodes {
	return s.where(func(to int64) bool { return s.HasEdgeFromTo(id, to) })
}

// To implements graph.Directed.
func (s *skeleton) To(id int64) gonum.Nodes {
	return s.where(func(from int64) bool { return s.HasEdgeFromTo(from, id) })
}

func (s *skeleton) where(keep func(int64) bool) gonum.Nodes {
	var out []gonum.Node
	for id := int64(1); id <= s.next; id++ {
		if _, ok := s.names[id]; ok && keep(id) {
			out = append(out, skeletonValue{id, s})
		}
	}
	return iterator.NewOrderedNodes(out)
}

// HasEdgeBetween implements graph.Graph.
func (s *skeleton) HasEdgeBetween(x, y int64) bool {
	return s.HasEdgeFromTo(x, y) || s.HasEdgeFromTo(y, x)
}

// HasEdgeFromTo implements graph.Directed.
func (s *skeleton) HasEdgeFromTo(from, to int64) bool {
	for _, id := range s.ins[from] {
		if id == to {
			return true
		}
	}
	return false
}

// Edge implements graph.Graph. Of several edges between two values it returns that of the lowest position.
func (s *skeleton) Edge(from, to int64) gonum.Edge {
	best := math.MaxInt
	for position, id := range s.ins[from] {
		if id == to {
			best = min(best, position)
		}
	}
	if best == math.MaxInt {
		return nil
	}
	return skeletonEdge{skeletonValue{from, s}, skeletonValue{to, s}, float64(best)}
}

func (s *skeleton) String() string {
	return fmt.Sprintf("skeleton of %d values and %d operations", len(s.names), len(s.operations))
}
