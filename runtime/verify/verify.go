// Package verify proves a pruned model against its masked twin: both run on the embedded runtime on the same inputs, and
// their outputs are compared element by element.
package verify

import "time"

// Options of Compare.
type Options struct {
	Runs    int                // how many sets of inputs; 0: 1
	Seed    uint64             // of the random inputs
	Inputs  map[string]string  // files to take inputs from, by input name: .npy, .npz, .pb, .png, .jpg
	Shapes  map[string][]int64 // shapes of inputs that the model leaves open
	Threads int                // 0: all processors
	RTol    float64            // relative to the range of the output; 0: 1e-3
	ATol    float64            // 0: 1e-5

	Progress func(done, total int, what string) // called between steps; may be nil
}

// Report says how far two models agree.
type Report struct {
	Pass    bool          `json:"pass"`
	Runs    int           `json:"runs"`
	Seed    uint64        `json:"seed"`
	RTol    float64       `json:"rtol"`
	ATol    float64       `json:"atol"`
	Inputs  []Input       `json:"inputs"`
	Outputs []Output      `json:"outputs"`
	Decided string        `json:"decided"`           // which comparison decided, in words
	Inexact []string      `json:"inexact,omitempty"` // why the twin can not be equal, from the plan
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Input is one input as it was fed.
type Input struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape []int  `json:"shape"`
	From  string `json:"from"` // "random, like an image in 0..1", "ones", a file's name, …
}

// Output is the comparison of one output, or of a value just before an operator that selects by value.
type Output struct {
	Name   string  `json:"name"`
	Shape  []int   `json:"shape"`
	Before string  `json:"before,omitempty"` // set for a value just before NonMaxSuppression or TopK: that node's path
	Pass   bool    `json:"pass"`
	MaxAbs float64 `json:"max_abs"`
	MaxRel float64 `json:"max_rel"`
	Mean   float64 `json:"mean_abs"`
	Cosine float64 `json:"cosine"`
	Range  float64 `json:"range"` // largest magnitude of the reference
	// Minimum required tolerance: the smallest rtol with which the output passes at ATol, and the smallest atol at rtol 0.
	NeedRTol float64 `json:"need_rtol"`
	NeedATol float64 `json:"need_atol"`
	Problem  string  `json:"problem,omitempty"` // shapes or types that differ, numbers that are not finite
}
