// Package plan turns a choice of channels into a Plan: the complete, explicit list of what a prune changes in a model.
//
// A plan names every tensor that is cut and the indices that stay, every attribute, operand and declared shape that
// changes with them, and what the masked twin zeroes. It needs no analysis to be carried out, can be saved as
// JSON, and replayed on another checkpoint of the same network.
package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
)

// Format and Version identify the JSON form. Version grows when a reader of the older form would go wrong.
const (
	Format  = "onnxprune-plan"
	Version = 1
)

// Plan is what a prune changes. Nodes are named by their path, tensors by their name, both with the names of
// enclosing bodies and calls.
type Plan struct {
	Format  string  `json:"format"`
	Version int     `json:"version"`
	Source  Source  `json:"source"`
	Request Request `json:"request"`

	Size       *Size       `json:"size,omitempty"`       // another size of the input picture, which the model gets before all else; nil: none
	Cuts       []Cut       `json:"cuts"`                 // for people: what was asked for, and what it did
	Tensors    []Tensor    `json:"tensors"`              // constants that lose slices
	Attributes []Attribute `json:"attributes,omitempty"` // attributes that change
	Operands   []Operand   `json:"operands,omitempty"`   // small integer operands that change: shapes, bounds, sizes, indices
	Freezes    []Freeze    `json:"freezes,omitempty"`    // numbers computed from a shape that must stay what they were
	Folds      []Fold      `json:"folds,omitempty"`      // values computed from constants that must stay what they were
	Values     []Value     `json:"values,omitempty"`     // declared shapes that change
	Masks      []Mask      `json:"masks"`                // what the masked twin zeroes
	Inexact    []string    `json:"inexact,omitempty"`    // why the result can not equal the masked original exactly
	Repair     *Repair     `json:"repair,omitempty"`     // what was done to the weights after the cut was proven
}

// Source is the model that the plan was made for.
type Source struct {
	File   string `json:"file"`
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Request is what the user asked for.
type Request struct {
	Params    []string  `json:"params,omitempty"`
	Ratios    []float64 `json:"ratios,omitempty"`
	Criterion string    `json:"criterion,omitempty"`
	Vote      string    `json:"vote,omitempty"`
	Align     int       `json:"align,omitempty"`
	Seed      uint64    `json:"seed,omitempty"`
	Inexact   bool      `json:"allow_inexact,omitempty"`

	MaxRatio    float64  `json:"max_ratio,omitempty"`
	MinChannels int      `json:"min_channels,omitempty"`
	Protect     []string `json:"protect,omitempty"`
	// InputShapes fixed shapes that the model leaves open: what may go can depend on them.
	InputShapes map[string][]int64 `json:"input_shapes,omitempty"`
	Budget      string             `json:"budget,omitempty"` // "macs", "params" or "bytes"
	Target      float64            `json:"target,omitempty"` // what is left of it: a share up to 1, else a number
}

// Cut is one cut as a user sees it: a weight, and what went with it.
type Cut struct {
	Param   string   `json:"param"`
	Ratio   float64  `json:"ratio"`
	Before  int      `json:"before"` // output channels of the weight
	After   int      `json:"after"`
	Removed []int    `json:"removed"`           // indices of the weight's output channels
	Also    []string `json:"also,omitempty"`    // other named weights that the same cut serves
	Coupled []string `json:"coupled,omitempty"` // weights whose output channels go with them
}

// Tensor is a constant that loses slices.
type Tensor struct {
	Name  string        `json:"name"`
	Shape []int64       `json:"shape"` // before
	Keep  map[int][]int `json:"keep"`  // by axis: the indices that stay, in order
	// Uses limits the cut to some readings of the tensor; the others keep it as it is, or have a cut of
	// their own. Empty: all of them.
	Uses []Use `json:"uses,omitempty"`
}

// Use is one reading of a value.
type Use struct {
	Node  string `json:"node"`
	Input int    `json:"input"`
}

// Attribute is an attribute that changes. Exactly one of Int, Ints and Remove is set.
type Attribute struct {
	Node   string  `json:"node"`
	Name   string  `json:"name"`
	Int    *int64  `json:"int,omitempty"`
	Ints   []int64 `json:"ints,omitempty"`
	Remove bool    `json:"remove,omitempty"`
}

// Operand is an integer operand that changes: single elements, or the whole content.
type Operand struct {
	Use
	Elements map[int]int64 `json:"elements,omitempty"`
	Whole    []int64       `json:"whole,omitempty"`
	Scalar   bool          `json:"scalar,omitempty"` // Whole has rank 0
	Size     int           `json:"size,omitempty"`   // length of the operand, where Elements change
	Type     int32         `json:"type,omitempty"`   // its TensorProto.DataType, where Elements change
}

// Freeze is a small value that a chain of operators computes from a shape that the cut changes, and that is used as a number:
// it keeps the content that it had for the uses that are listed, and, if Named, also for bodies and outputs, which see it by its name. All
// other readers see the computed one.
type Freeze struct {
	Value    string          `json:"value"`
	Uses     []Use           `json:"uses,omitempty"`
	Named    bool            `json:"named,omitempty"`
	Type     int32           `json:"type"` // TensorProto.DataType
	Shape    []int64         `json:"shape"`
	Elements map[int]float64 `json:"elements"` // the elements that the cut would change
}

// Fold is a value that nodes compute from constants in a way that a cut would change: the norm of a weight. It is worked out on the
// model as it is before the cut, loses slices like any constant, and is stored under the value's name in place of the node that computed it.
// Nodes and constants that nothing reads then go.
type Fold struct {
	Value string        `json:"value"`
	Type  int32         `json:"type"`           // TensorProto.DataType
	Shape []int64       `json:"shape"`          // before
	Keep  map[int][]int `json:"keep,omitempty"` // by axis: the indices that stay, in order
}

// Value is a declared shape (value_info, or an input that an initializer backs) with axes that change.
type Value struct {
	Name string        `json:"name"`
	Size map[int]int64 `json:"size"` // by axis
}

// Mask is what the masked twin zeroes where removed channels are consumed: slices of a weight, or (Activation) of
// what flows into a node.
type Mask struct {
	Use
	Axis       int    `json:"axis"`
	Size       int    `json:"size"` // extent of the axis before the cut
	Removed    []int  `json:"removed"`
	Activation bool   `json:"activation,omitempty"`
	Tensor     string `json:"tensor,omitempty"` // the constant that holds the weight
	Fill       int64  `json:"fill,omitempty"`   // what stands for zero: the zero point of a quantised weight
}

// Empty reports whether no channel goes. What Size changes is not counted: it is carried out before.
func (p *Plan) Empty() bool { return len(p.Tensors) == 0 && len(p.Operands) == 0 && len(p.Folds) == 0 }

// SHA256 returns the hash, in hexadecimal, of what the plan changes: of its JSON without source, request and cuts, which
// tell people where it came from, without the repair that follows the cut, and without the content of constants over cells, which follows from the
// model. Two requests in other words that cut the same have the same hash.
func (p *Plan) SHA256() string {
	bare := *p
	bare.Source, bare.Request, bare.Cuts, bare.Repair = Source{}, Request{}, nil, nil
	bare.Size = p.Size.bare()
	h := sha256.New()
	_ = json.NewEncoder(h).Encode(&bare) // a hash takes everything
	return hex.EncodeToString(h.Sum(nil))
}

// Write writes the plan as indented JSON.
func (p *Plan) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(p)
}

// Read reads a plan and checks that it is one.
func Read(r io.Reader) (*Plan, error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	p := &Plan{}
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("not a plan: %w", err)
	}
	switch {
	case p.Format != Format:
		return nil, fmt.Errorf("not a plan: its format is %q, want %q", p.Format, Format)
	case p.Version != Version:
		return nil, fmt.Errorf("the plan has version %d, this program reads version %d", p.Version, Version)
	}
	return p, nil
}
