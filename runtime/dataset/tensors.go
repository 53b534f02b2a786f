package dataset

// Raw tensors as a data set: what calibration tools and ONNX's own tests use. The first axis counts the samples, or each file is one. An
// array is the input that it is named after; where a model has one input that is not given otherwise, any name will do. An array of
// integers called labels holds a class for each sample.

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
)

// arrays are the tensors of a set, by input.
type arrays struct {
	inputs []*onnxio.ValueInfo
	parts  map[string][]part
	bytes  int64 // of a sample
}

// part is a run of samples in one array.
type part struct {
	*feed.Array
	first, count int  // of the samples that it holds
	batch        int  // rows in a sample
	whole        bool // the array is one sample
	axis         bool // and lacks the axis that counts, of extent 1
	shared       bool // the array is the same for all samples
}

// labelNames are names of arrays that hold classes.
var labelNames = []string{"labels", "label", "y", "targets"}

func (s *Set) readTensors(path string, opt Options) error {
	if opt.Model == nil {
		return fail(path, "tensors are read for a model, and none is given")
	}
	files, err := tensorFiles(path)
	if err != nil {
		return err
	}
	a := &arrays{inputs: preprocess.Needed(opt.Model, func(string) bool { return false }), parts: map[string][]part{}}
	s.arrays = a
	var labels *feed.Array
	for _, file := range files {
		list, err := feed.OpenArrays(file)
		if err != nil {
			return &Error{file, strings.TrimPrefix(err.Error(), file+": ")}
		}
		for _, array := range list {
			in := a.inputOf(array, file, len(list))
			if in == nil && slices.Contains(labelNames, strings.ToLower(filepath.Base(array.Name))) {
				labels = array
				continue
			}
			if in == nil {
				return fail(file, "the array %q is no input of the model; it has %s", array.Name, a.names())
			}
			if err := a.add(in, array, file); err != nil {
				return err
			}
		}
	}
	count, err := a.settle(path)
	if err != nil {
		return err
	}
	for i := range count {
		s.Samples = append(s.Samples, Sample{ID: int64(i + 1), Name: a.name(i), Label: -1, row: i})
	}
	return s.tensorLabels(path, labels)
}

// tensorFiles lists the files of a set in the order of their names; numbers in names are numbers.
func tensorFiles(path string) ([]string, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	if !st.IsDir() {
		return []string{path}, nil
	}
	var out []string
	for _, pattern := range []string{"*.npy", "*.npz", "*.pb", "test_data_set_*/input_*.pb"} {
		found, _ := filepath.Glob(filepath.Join(escaped(path), pattern))
		out = append(out, found...)
	}
	if len(out) == 0 {
		return nil, fail(path, "the data set is empty: it has no .npy, .npz or .pb")
	}
	slices.SortStableFunc(out, natural)
	return out, nil
}

// natural compares names in which numbers count as numbers: input_2 comes before input_10.
func natural(a, b string) int {
	for a != "" && b != "" {
		da, db := digits(a), digits(b)
		if da > 0 && db > 0 {
			x, y := strings.TrimLeft(a[:da], "0"), strings.TrimLeft(b[:db], "0")
			if len(x) != len(y) {
				return len(x) - len(y)
			}
			if c := strings.Compare(x, y); c != 0 {
				return c
			}
			a, b = a[da:], b[db:]
			continue
		}
		if a[0] != b[0] {
			return int(a[0]) - int(b[0])
		}
		a, b = a[1:], b[1:]
	}
	return len(a) - len(b)
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

func (a *arrays) names() string {
	var out []string
	for _, in := range a.inputs {
		out = append(out, strconv.Quote(in.Name))
	}
	return strings.Join(out, ", ")
}

// inputOf finds the input that an array is for.
func (a *arrays) inputOf(array *feed.Array, file string, inFile int) *onnxio.ValueInfo {
	for _, in := range a.inputs {
		if array.Name == in.Name || array.Name == fileName(in.Name) {
			return in
		}
	}
	if strings.HasPrefix(filepath.Base(filepath.Dir(file)), "test_data_set_") { // input_K.pb, by position
		if k, err := strconv.Atoi(strings.TrimPrefix(array.Name, "input_")); err == nil && k >= 0 && k < len(a.inputs) {
			return a.inputs[k]
		}
		return nil
	}
	if slices.Contains(labelNames, strings.ToLower(array.Name)) {
		return nil
	}
	if len(a.inputs) == 1 && (inFile == 1 || !slices.Contains(labelNames, strings.ToLower(array.Name))) {
		return a.inputs[0]
	}
	return nil
}

// fileName is an input's name as run --output writes files: letters, digits, '.', '_' and '-'.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '_'
	}, name)
}

// add takes over an array, if its shape is that of samples of the input.
func (a *arrays) add(in *onnxio.ValueInfo, array *feed.Array, file string) error {
	want := preprocess.Declared(in.Type)
	parts := a.parts[in.Name]
	first := 0
	if len(parts) > 0 {
		first = parts[len(parts)-1].first + parts[len(parts)-1].count
	}
	p := part{Array: array, first: first, count: 1, batch: 1}
	switch {
	case len(want) == 0: // nothing declared, or a scalar: each array is a sample
		p.whole = true
	case len(array.Shape) == len(want) && fits(array.Shape[1:], want[1:]):
		if p.batch = max(1, want[0]); array.Shape[0]%p.batch != 0 {
			return fail(file, "array %q has %d rows; the model takes %d at a time, and that does not divide them", array.Name, array.Shape[0], p.batch)
		}
		p.count = array.Shape[0] / p.batch
	case len(array.Shape) == len(want)-1 && fits(array.Shape, want[1:]) && want[0] <= 1:
		p.whole, p.axis = true, true
	default:
		return fail(file, "array %q has the shape %v, the model's input %q is %v", array.Name, array.Shape, in.Name, in.Type)
	}
	a.parts[in.Name] = append(parts, p)
	return nil
}

func fits(shape, want []int) bool {
	return slices.EqualFunc(shape, want, func(d, w int) bool { return w < 0 || d == w })
}

// settle counts the samples. An input with a single sample serves all of them.
func (a *arrays) settle(path string) (int, error) {
	count := 0
	counts := map[string]int{}
	for _, in := range a.inputs {
		parts := a.parts[in.Name]
		if len(parts) == 0 {
			return 0, fail(path, "no array is given for the model's input %q; give a .npy or an entry of an .npz of that name", in.Name)
		}
		last := parts[len(parts)-1]
		counts[in.Name] = last.first + last.count
		count = max(count, counts[in.Name])
		a.bytes += int64(value.Count(last.Shape)) * int64(last.Type.Bits()) / 8 / int64(max(last.count, 1))
	}
	for _, in := range a.inputs {
		switch n := counts[in.Name]; {
		case n == count:
		case n == 1:
			a.parts[in.Name][0].shared = true
		default:
			return 0, fail(path, "the input %q has %d samples, another input has %d", in.Name, n, count)
		}
	}
	if count == 0 {
		return 0, fail(path, "the data set is empty: its arrays have no rows")
	}
	return count, nil
}

// name names a sample after its file and row.
func (a *arrays) name(row int) string {
	for _, in := range a.inputs {
		for _, p := range a.parts[in.Name] {
			if !p.shared && row >= p.first && row < p.first+p.count {
				if p.count == 1 {
					return p.Name
				}
				return fmt.Sprintf("%s[%d]", p.Name, row-p.first)
			}
		}
	}
	return strconv.Itoa(row)
}

func (s *Set) rowBytes() int64 {
	if s.arrays == nil {
		return 0
	}
	return s.arrays.bytes
}

// rowOf reads one sample.
func (s *Set) rowOf(row int) (map[string]value.Value, error) {
	out := map[string]value.Value{}
	for _, in := range s.arrays.inputs {
		for _, p := range s.arrays.parts[in.Name] {
			if !p.shared && (row < p.first || row >= p.first+p.count) {
				continue
			}
			t, err := p.sample(row)
			if err == nil {
				t, _, err = feed.Adapt(t, in.Type, p.Name)
			}
			if err != nil {
				return nil, err
			}
			out[in.Name] = t
			break
		}
	}
	return out, nil
}

func (p *part) sample(row int) (*value.Tensor, error) {
	if !p.whole {
		if p.shared {
			row = p.first
		}
		return p.Rows((row-p.first)*p.batch, p.batch)
	}
	t, err := p.All()
	if err != nil || !p.axis {
		return t, err
	}
	return t.View(append([]int{1}, t.Shape...)...), nil
}

// tensorLabels takes over an array of classes.
func (s *Set) tensorLabels(path string, labels *feed.Array) error {
	if labels == nil {
		return nil
	}
	t, err := labels.All()
	if err != nil {
		return &Error{path, err.Error()}
	}
	classes, ok := t.Ints()
	if !ok || len(classes) != len(s.Samples) {
		return fail(path, "the labels are %v; there are %d samples, each with an integer", t, len(s.Samples))
	}
	const most = 1 << 20
	last := int64(0)
	for i, c := range classes {
		if c < 0 || c > most {
			return fail(path, "the label of sample %d is %d", i, c)
		}
		s.Samples[i].Label = int(c)
		last = max(last, c)
	}
	for i := range last + 1 {
		s.Classes = append(s.Classes, Class{int(i), strconv.FormatInt(i, 10)})
	}
	return nil
}
