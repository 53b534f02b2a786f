// Package atoms keeps the identities of channels.
//
// Every index of every axis that can lose indices is an atom. Rules of operators say which atoms are
// the same thing (Union) and which can not go (Pin); a class, the set of atoms that live or die
// together, is a tree of the union-find. A class that holds one pinned atom is pinned, and
// remembers the first reason.
package atoms

import (
	"onnxprune/analysis/graph"
)

// ID is one atom.
type ID int32

// Reason says why something can not be pruned: a sentence that ends a phrase such as "it is pinned:
// …", and the node that gave it (nil for graph inputs and outputs).
type Reason struct {
	Text    string
	Node    *graph.Node
	Inexact bool // the removal would be possible, but not exact: a normalisation or mean runs across the channels
}

// Array is one labelled axis: an atom for every index. Values that carry the same channels share the
// pointer.
type Array struct {
	IDs   []ID
	Owner *Source // set where the axis belongs to a constant of the model
	link  *Link   // set where the array is a factor of a link …
	part  int     // … and which
}

// Source is an axis of a constant: where atoms come from, and where the removal is carried out.
type Source struct {
	Value *graph.Value
	Use   graph.Use // which reading of the constant; Node is nil where all readings share the atoms
	Axis  int
	Array *Array
}

// Axis is the label of one axis of one value: an array, or nothing that could go and the reason.
type Axis struct {
	*Array
	Why *Reason // for axes without an array: what fixed it; nil where there is no special reason
}

// Fixed reports whether the axis carries no atoms.
func (a Axis) Fixed() bool { return a.Array == nil }

// Link relates the atoms of a product axis to those of the axes that it splits into: product index (i, j, …)
// is gone exactly when the index of the chosen factor is gone. One factor can be chosen; the others are
// fixed blocks.
type Link struct {
	Product []ID     // row-major over Factors
	Factors []*Array // two or more
	Node    *graph.Node
	Chosen  int // index of the factor, -1 while undecided

	cells []int // where Product holds an atom for the first time; nil: everywhere
}

// eachCell calls f for every product index that says something of its own, with the index of a factor there.
func (l *Link) eachCell(factor int, f func(product ID, index int)) {
	inner := 1
	for _, a := range l.Factors[factor+1:] {
		inner *= len(a.IDs)
	}
	n := len(l.Factors[factor].IDs)
	if l.cells == nil {
		for i, id := range l.Product {
			f(id, i/inner%n)
		}
		return
	}
	for _, i := range l.cells {
		f(l.Product[i], i/inner%n)
	}
}

// Sizes returns the extents of the factors.
func (l *Link) Sizes() []int {
	out := make([]int, len(l.Factors))
	for i, f := range l.Factors {
		out[i] = len(f.IDs)
	}
	return out
}

// Coupling notes that a node made two formerly separate classes one.
type Coupling struct {
	Node *graph.Node
	Atom ID
}

// Set is the union-find over all atoms.
type Set struct {
	parent    []ID
	pin       []*Reason // by root
	arrays    []*Array
	Links     []*Link
	products  map[ID][]*Link // by first product atom; one axis can be split in several ways
	paired    map[[2]*Array]bool
	Couplings []Coupling
	marks     []int32 // by class, while links are weighed
	mark      int32   // the last mark that was given
}

// NewSet returns an empty set with room for about n atoms.
func NewSet(n int) *Set {
	return &Set{parent: make([]ID, 0, n), pin: make([]*Reason, 0, n), products: map[ID][]*Link{}, paired: map[[2]*Array]bool{}}
}

// Len returns the number of atoms.
func (s *Set) Len() int { return len(s.parent) }

// Arrays returns every array that was made, in order.
func (s *Set) Arrays() []*Array { return s.arrays }

// New makes an array of n fresh atoms.
func (s *Set) New(n int) *Array {
	ids := make([]ID, n)
	first := len(s.parent)
	for i := range ids {
		ids[i] = ID(first + i)
		s.parent = append(s.parent, ID(first+i))
	}
	s.pin = append(s.pin, make([]*Reason, n)...)
	return s.Wrap(ids)
}

// Wrap makes an array of atoms that exist.
func (s *Set) Wrap(ids []ID) *Array {
	a := &Array{IDs: ids}
	s.arrays = append(s.arrays, a)
	return a
}

// Find returns the class of an atom: its representative, which is the lowest atom of the class.
func (s *Set) Find(a ID) ID {
	for s.parent[a] != a {
		s.parent[a] = s.parent[s.parent[a]]
		a = s.parent[a]
	}
	return a
}

// Union makes two atoms one class. The class keeps the first reason of either.
func (s *Set) Union(a, b ID) bool {
	a, b = s.Find(a), s.Find(b)
	if a == b {
		return false
	}
	if b < a {
		a, b = b, a
	}
	s.parent[b] = a
	if r := s.pin[b]; r != nil {
		if s.pin[a] == nil || s.pin[a].Inexact && !r.Inexact {
			s.pin[a] = r
		}
		s.pin[b] = nil
	}
	return true
}

// Pin fixes the class of an atom. The first reason stays, but a hard one replaces an inexact one.
func (s *Set) Pin(a ID, r *Reason) {
	a = s.Find(a)
	if old := s.pin[a]; old == nil || old.Inexact && !r.Inexact {
		s.pin[a] = r
	}
}

// Pinned returns why the class of an atom can not go, nil where it can.
func (s *Set) Pinned(a ID) *Reason { return s.pin[s.Find(a)] }

// PinArray fixes a whole axis.
func (s *Set) PinArray(a *Array, r *Reason) {
	if a == nil {
		return
	}
	for _, id := range a.IDs {
		s.Pin(id, r)
	}
}

// Unify makes two arrays of the same length the same, index by index, and notes the node where that joined
// classes.
func (s *Set) Unify(a, b *Array, n *graph.Node) {
	if a == b || s.paired[[2]*Array{a, b}] {
		return
	}
	s.paired[[2]*Array{a, b}] = true
	joined := false
	for i := range a.IDs {
		if s.Union(a.IDs[i], b.IDs[i]) {
			joined = true
		}
	}
	if joined && n != nil && len(a.IDs) > 0 {
		s.Couplings = append(s.Couplings, Coupling{n, a.IDs[0]})
	}
}
