package runtime

import (
	"os"
	"strconv"
	"strings"

	"onnxprune/analysis/option"
	"onnxprune/runtime/value"
)

// Engine says which machine runs the main graph.
type Engine int

const (
	// TapeMachine is gorgonia's machine.
	TapeMachine Engine = iota
	// Walk is our own machine: one step after the other.
	Walk
)

func (e Engine) String() string {
	if e == Walk {
		return "walk"
	}
	return "tape machine"
}

// Options say how a model is compiled and run. The zero value is a good default.
type Options struct {
	Engine  Engine
	Threads int // worker threads per session; 0: one per CPU

	// MemoryLimit is how many bytes the intermediate values of all runs of a session may take at
	// one time. A run that needs more ends in an error. 0: three quarters of the machine's memory, or 16 GiB
	// where that is not known.
	MemoryLimit int64
	// TripLimit is how often one Loop may go round. 0: DefaultTripLimit.
	TripLimit int64
	// Seed starts the random operators that carry no seed of their own. Each run starts anew.
	Seed uint64

	// Keep names intermediate values of the main graph that Run returns beside the outputs.
	Keep []string
	// From names intermediate values of the main graph that Run is given: they are inputs of the session, and what only leads to
	// them is not computed. Inputs of the model that nothing else reads are not wanted then.
	From []string
	// To names the values of the main graph that Run returns in place of the model's outputs; only what leads to them is
	// computed. Empty: the outputs.
	To []string
	// Observe, where set, is called with every value that a node computes, as soon as it is there. In bodies and local
	// functions the name is led by the node's path: "Loop_12/body/y". The value must not be changed, and
	// not be read after Observe returns (value.Clone copies it). Concurrent runs call it concurrently. With
	// Observe set nothing is folded or left out.
	Observe func(name string, v value.Value)

	// Replace, where set, is called with every value that a step of the main graph computes (those of local functions that it calls
	// included, whose names are led by the call's path), in the order of Session.Values. What it returns takes the value's place; nil leaves it. A
	// 16-bit float that is kept in float32 until it is read is given, and taken, as float32. The value must not be changed, and not be read
	// after Replace returns. With Replace set every node is a step of its own.
	Replace func(name string, v value.Value) value.Value

	// Tap, where set, is called with every value of Tapped as soon as it is there, as Observe is, but the rest of the model is
	// folded and fused as ever. Values that are known before the run, or given to it, are not told.
	Tap    func(name string, v value.Value)
	Tapped []string // names as Observe tells them

	// Profile measures the time of every node; Session.Profile returns it.
	Profile bool
	// NoFusion keeps every node a step of its own.
	NoFusion bool
	// Exact rules out kernels that give accuracy away: for speed (Winograd's convolution), or for the bits of ONNX Runtime (its
	// logistic function, whose small results are rounding noise).
	Exact bool
	// ShortSums, if positive, makes matrix products and convolutions add up their terms in blocks of at most so many: another
	// order of the same sums, for measuring what their rounding does.
	ShortSums int
}

// check refuses what can not be meant.
func (o *Options) check() error {
	switch {
	case o.Engine != TapeMachine && o.Engine != Walk:
		return option.Errorf("engine %d is not known; there are the tape machine and walk", int(o.Engine))
	case o.Threads < 0:
		return option.Errorf("threads %d: there can not be fewer than none", o.Threads)
	case o.MemoryLimit < 0:
		return option.Errorf("memory limit %d: there can not be less than no memory", o.MemoryLimit)
	case o.TripLimit < 0:
		return option.Errorf("trip limit %d: a loop can not go round less than never", o.TripLimit)
	}
	return nil
}

// DefaultTripLimit is how often a Loop may go round where Options say nothing.
const DefaultTripLimit = 1 << 20

// machineMemory returns three quarters of the machine's memory.
func machineMemory() int64 {
	const unknown = 16 << 30
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return unknown
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) >= 2 && f[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				return kib << 10 / 4 * 3
			}
		}
	}
	return unknown
}
