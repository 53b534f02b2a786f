package plan

// Repair is the second set of edits: new weights and biases for layers that lost input channels, made after the cut was proven. It
// changes nothing but the elements of the constants that it lists, and adds the biases that it marks as added.
type Repair struct {
	Method     string  `json:"method"`     // "least-squares"
	Pictures   int     `json:"pictures"`   // that the statistics come from
	Statistics string  `json:"statistics"` // SHA-256 of the model that they were collected on
	Refits     []Refit `json:"refits"`
	Alone      []Alone `json:"left_alone,omitempty"`
	// Divergence at the heads on pictures that nothing was fitted to, of the cut and of the repaired model.
	Before float64 `json:"divergence_cut,omitempty"`
	After  float64 `json:"divergence_repaired,omitempty"`
	// Dropped says why the repair was taken back; empty where it stands.
	Dropped string `json:"dropped,omitempty"`
}

// Refit is a constant that gets new elements.
type Refit struct {
	Uses   []Use  `json:"uses"`   // the readings that get them
	Tensor string `json:"tensor"` // the constant in the pruned model; the name of the new one where it is added or copied
	Role   string `json:"role"`   // "weight" or "bias"
	Added  bool   `json:"added,omitempty"`
	Shape  []int  `json:"shape"`            // of the operand
	SHA256 string `json:"sha256,omitempty"` // of the constant's new elements, little-endian

	Values []float64 `json:"-"` // of the operand; a plan for another checkpoint has values of its own
	Raw    []byte    `json:"-"` // of the constant, in place of Values
}

// Alone is a layer that lost input channels and was not repaired.
type Alone struct {
	Node string `json:"node"`
	Why  string `json:"why"`
}
