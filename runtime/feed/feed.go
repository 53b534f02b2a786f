// Package feed makes the inputs that a model is run on: from files, or by chance.
//
// Chance is not noise alone. A detector that is shown white noise sees nothing, and a model that takes the size of its
// picture beside the picture fails on random integers. So each input is given what its name, type and shape suggest, and
// each says in words where it came from, for the report that the run ends in. Everything follows from the seed: the same
// model, options and seed give the same elements on any machine.
//
// What a model leaves open is settled first (shapes.go): by the caller, by the files that are given, else by a
// default that is stated.
package feed

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
)

// Options say where inputs come from. The zero value makes all of them by chance.
type Options struct {
	Seed    uint64             // of the inputs that are made by chance
	Files   map[string]string  // by input name: .npy, .npz, .pb, .png, .jpg, .bmp, .webp
	Shapes  map[string][]int64 // by input name: extents that the model leaves open; -1 leaves one open still
	Picture preprocess.Recipe  // what is done to picture files
	Sample  Sample             // takes the place of chance for the inputs that it has
	Choice  int                // how what is left open is settled, below Choices: 0 is the usual way, the others are for models that do not run at it
}

// Sample is what a model is fed in place of chance.
type Sample struct {
	Values map[string]value.Value // by input name
	From   string                 // in words, for the report
}

// Input is one input, ready to be fed.
type Input struct {
	Name  string
	Value value.Value
	From  string // in words: "random, like a picture in 0..1; height and width are open: 320 was taken"
	Open  bool   // extents were chosen here
}

// Make returns all inputs that a run of the model needs, in the model's order. Inputs with an initializer keep
// it, unless a file is given for them. Errors name the input.
func Make(m *onnxio.Model, opt Options) ([]Input, error) {
	ins := preprocess.Needed(m, func(name string) bool { return opt.Files[name] != "" || opt.Sample.Values[name] != nil })
	if err := known("file", ins, slices.Sorted(maps.Keys(opt.Files))); err != nil {
		return nil, err
	}
	out := make([]Input, len(ins))
	for i, in := range ins {
		path, ok := opt.Files[in.Name]
		if !ok {
			if v := opt.Sample.Values[in.Name]; v != nil {
				out[i] = Input{Name: in.Name, Value: v, From: opt.Sample.From}
			}
			continue
		}
		v, from, err := Read(path, in, fixShape(opt.Shapes[in.Name]), opt.Picture)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", in.Name, err)
		}
		out[i] = Input{Name: in.Name, Value: v, From: from}
	}
	s, err := settle(m, ins, out, opt)
	if err != nil {
		return nil, err
	}
	for i, in := range ins {
		if out[i].Value != nil {
			continue
		}
		v, from, err := s.random(i, opt.Seed)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", in.Name, err)
		}
		out[i] = Input{in.Name, v, strings.Join(append([]string{from}, s.notes[i]...), "; "), s.chosen[i]}
	}
	return out, nil
}

// Values returns the inputs as a session takes them.
func Values(ins []Input) map[string]value.Value {
	out := make(map[string]value.Value, len(ins))
	for _, in := range ins {
		out[in.Name] = in.Value
	}
	return out
}

// known refuses names that are no inputs.
func known(what string, ins []*onnxio.ValueInfo, names []string) error {
	var have []string
	for _, in := range ins {
		have = append(have, fmt.Sprintf("%q", in.Name))
	}
	for _, n := range names {
		if !slices.ContainsFunc(ins, func(in *onnxio.ValueInfo) bool { return in.Name == n }) {
			return fmt.Errorf("a %s is given for %q, but the model has no such input; it has %s", what, n, strings.Join(have, ", "))
		}
	}
	return nil
}

func fixShape(dims []int64) []int {
	if dims == nil {
		return nil
	}
	out := make([]int, len(dims))
	for i, d := range dims {
		out[i] = int(d)
	}
	return out
}
