package plan

import "slices"

// Size is what changes in a model for another size of its input picture. It is carried out before channels go.
type Size struct {
	Inputs     []string    `json:"inputs"` // that get the size
	From       Extent      `json:"from"`
	To         Extent      `json:"to"`
	Operands   []Operand   `json:"operands,omitempty"`   // sizes and positions that are written down
	Attributes []Attribute `json:"attributes,omitempty"` // such as the window of a pool over the whole map
	Grids      []Grid      `json:"grids,omitempty"`      // constants that hold something for every cell
	Values     []Value     `json:"values,omitempty"`     // declared shapes
	Metadata   []Entry     `json:"metadata,omitempty"`   // of metadata_props that say the size
	Inexact    []string    `json:"inexact,omitempty"`    // what was approximated
}

// Entry is an entry of metadata_props.
type Entry struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Extent is the size of a picture in pixels.
type Extent struct {
	Width  int64 `json:"width"`
	Height int64 `json:"height"`
}

// Grid is a constant that holds something for every cell of one or more maps, or (no Levels) a side of the picture itself.
type Grid struct {
	Name   string  `json:"name"`           // the constant
	Uses   []Use   `json:"uses,omitempty"` // the readings that get the new content; empty: all
	What   string  `json:"what"`           // in words
	Type   int32   `json:"type"`           // TensorProto.DataType
	Shape  []int64 `json:"shape"`          // at the new size
	Exact  bool    `json:"exact"`          // the old content came out bit for bit; else to rounding
	Levels []Level `json:"levels,omitempty"`
	Data   []byte  `json:"data"` // the new content, little-endian
}

// Level is one map of a Grid.
type Level struct {
	Rows    [2]int64 `json:"rows"` // at the old and the new size
	Columns [2]int64 `json:"columns"`
}

// Empty reports whether nothing changes.
func (s *Size) Empty() bool {
	return s == nil || s.From == s.To && len(s.Operands) == 0 && len(s.Attributes) == 0 && len(s.Grids) == 0 && len(s.Values) == 0
}

// bare is the section without what is worked out from each checkpoint's constants.
func (s *Size) bare() *Size {
	if s == nil {
		return nil
	}
	out := *s
	out.Grids = slices.Clone(s.Grids)
	for i := range out.Grids {
		out.Grids[i].Data, out.Grids[i].Exact = nil, false
	}
	return &out
}
