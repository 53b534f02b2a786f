// Package ops holds the axis rules: for every operator, how the channels of its inputs become those of its
// outputs, which axes are the same channels, which are summed over, and what can not go.
//
// To add an operator: write a Rule in its family's file and add a line to that file's init. Flow says how
// channels pass; Mend, where the operator has operands or attributes that write sizes or
// positions down, says what they must hold after a cut. A rule reads every attribute that it understands; one
// that is left over pins the node. An operator without a rule is a barrier: all that flows into it is pinned, with
// that reason.
package ops

import (
	"cmp"
	"slices"
)

// Rule is what channel analysis knows of an operator.
type Rule struct {
	// Flow labels the outputs and unifies, consumes and pins.
	Flow func(c *Context)
	// Mend states what operands and attributes must hold after a cut; nil where nothing depends on sizes.
	Mend func(m *Mend)
	// Title says in a few words how channels pass, for the operator table.
	Title string
	// Weights lists the inputs that may hold a weight which users can name (AnyInput: all of them). Flow registers them with
	// Parameter; package cost must know the operator, so that the weight counts.
	Weights []int
	// Inexact names what is inexact about the rule; "" for none.
	Inexact string
}

// AnyInput stands for every input in Rule.Weights.
const AnyInput = -1

// Spec is one entry of the rule table.
type Spec struct {
	Domain, Op string
	Since      int
	Rule       Rule
}

var table = map[[2]string][]Spec{}

// register adds a rule for an operator of a domain; since lists the opset versions at which its signature changed,
// 1 where none is given.
func register(domain, op string, r Rule, since ...int) {
	if len(since) == 0 {
		since = []int{1}
	}
	key := [2]string{domain, op}
	for _, s := range since {
		table[key] = append(table[key], Spec{domain, op, s, r})
	}
	slices.SortFunc(table[key], func(a, b Spec) int { return a.Since - b.Since })
}

// all registers one rule for several operators of the default domain.
func all(r Rule, names ...string) {
	for _, n := range names {
		register("", n, r)
	}
}

// Lookup returns the rule that applies to an operator at an opset version.
func Lookup(domain, op string, version int) (Rule, bool) {
	specs := table[[2]string{domain, op}]
	for i := len(specs) - 1; i >= 0; i-- {
		if specs[i].Since <= version {
			return specs[i].Rule, true
		}
	}
	return Rule{}, false
}

// Table returns all rules, sorted by domain, operator and version.
func Table() []Spec {
	var out []Spec
	for _, s := range table {
		out = append(out, s...)
	}
	slices.SortFunc(out, func(a, b Spec) int {
		return cmp.Or(cmp.Compare(a.Domain, b.Domain), cmp.Compare(a.Op, b.Op), cmp.Compare(a.Since, b.Since))
	})
	return out
}
