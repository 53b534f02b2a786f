package onnxprune

// What a run gave, in figures for people and in files for programs. Files are written beside their places and renamed when all are complete, so
// a run that fails leaves none.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/value"
)

// Formats of files that outputs are written to.
const (
	FormatNPY = "npy" // NumPy's
	FormatPB  = "pb"  // ONNX' TensorProto
	FormatRaw = "raw" // the elements alone, row by row, little-endian
)

func describeInput(in feed.Input, made bool) RunInput {
	out := RunInput{Name: in.Name, From: in.From, Made: made}
	if t, ok := in.Value.(*value.Tensor); ok {
		out.Type, out.Shape = t.Type.String(), t.Shape
	} else {
		out.Type = in.Value.String()
	}
	if out.Shape == nil {
		out.Shape = []int{}
	}
	return out
}

// firstElements is how many elements a description quotes.
const firstElements = 5

func describeOutput(t namedTensor) RunOutput {
	out := RunOutput{Name: t.name, Kept: t.kept, Type: t.Type.String(), Shape: t.Shape, First: quote(t.Tensor)}
	if out.Shape == nil {
		out.Shape = []int{}
	}
	vs, ok := t.Floats()
	if !ok {
		return out
	}
	low, high, sum, n := math.Inf(1), math.Inf(-1), 0.0, 0
	for _, v := range vs {
		if math.IsInf(v, 0) || math.IsNaN(v) {
			continue
		}
		n++
		low, high = min(low, v), max(high, v)
		sum += (v - sum) / float64(n) // the mean so far: a plain sum may overflow
	}
	out.NonFinite = len(vs) - n
	if n > 0 && !math.IsInf(sum, 0) && !math.IsNaN(sum) {
		out.Min, out.Max, out.Mean = &low, &high, &sum
	}
	return out
}

// quote returns the first elements in words.
func quote(t *value.Tensor) []string {
	out := []string{}
	switch d := t.Data.(type) {
	case []string:
		for _, s := range d[:min(firstElements, len(d))] {
			out = append(out, strconv.Quote(s))
		}
		return out
	case []bool:
		for _, b := range d[:min(firstElements, len(d))] {
			out = append(out, strconv.FormatBool(b))
		}
		return out
	case []uint64:
		for _, v := range d[:min(firstElements, len(d))] {
			out = append(out, strconv.FormatUint(v, 10))
		}
		return out
	case []complex64:
		for _, v := range d[:min(firstElements, len(d))] {
			out = append(out, strconv.FormatComplex(complex128(v), 'g', 6, 64))
		}
		return out
	case []complex128:
		for _, v := range d[:min(firstElements, len(d))] {
			out = append(out, strconv.FormatComplex(v, 'g', 6, 128))
		}
		return out
	}
	if is, ok := t.Ints(); ok {
		for _, v := range is[:min(firstElements, len(is))] {
			out = append(out, strconv.FormatInt(v, 10))
		}
		return out
	}
	vs, _ := t.Floats()
	for _, v := range vs[:min(firstElements, len(vs))] {
		out = append(out, strconv.FormatFloat(v, 'g', 6, 64))
	}
	return out
}

// checkFolder refuses a place that can not be a folder of outputs, before anything is computed.
func checkFolder(dir string) error {
	if dir == "" {
		return nil
	}
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) { // the nearest that exists
		st, err := os.Stat(at)
		if errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
			continue
		}
		if err == nil && !st.IsDir() {
			err = errors.New("it is not a folder")
		}
		if err == nil {
			var probe *os.File
			if probe, err = os.CreateTemp(at, ".onnxprune-*.tmp"); err == nil {
				probe.Close()
				err = os.Remove(probe.Name())
			}
		}
		if err != nil {
			return usage("%s: outputs can not be written there: %s: %v", dir, at, plain(err))
		}
		return nil
	}
}

func folderBelow(dir, below string) string {
	if below == "" {
		return dir
	}
	return filepath.Join(dir, below)
}

// writeTensors writes tensors to files of a folder and returns the files' names. Either all are written or none.
func writeTensors(dir, format string, ts []namedTensor) (names []string, err error) {
	made, err := makeFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: the outputs were not written: %w", dir, plain(err))
	}
	var staged []string
	defer func() {
		for _, tmp := range staged {
			os.Remove(tmp) // what was renamed is there no more
		}
		if err != nil {
			for _, d := range made {
				os.Remove(d) // if it is empty
			}
		}
	}()
	names = fileNames(ts, format)
	for i, t := range ts {
		b, err := encode(t, format)
		if err != nil {
			return nil, usage("output %q can not be written as %s: %v", t.name, format, err)
		}
		tmp, err := stage(dir, whole(b))
		if err != nil {
			return nil, fmt.Errorf("%s: output %q was not written: %w", dir, names[i], plain(err))
		}
		staged = append(staged, tmp)
	}
	for i, tmp := range staged {
		if err := os.Rename(tmp, filepath.Join(dir, names[i])); err != nil {
			return nil, fmt.Errorf("%s: output %q was not written: %w", dir, names[i], err)
		}
	}
	return names, nil
}

// makeFolder makes a folder and its parents, and returns those that were not there, the innermost first.
func makeFolder(dir string) (made []string, err error) {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil || at == filepath.Dir(at) {
			break
		}
		made = append(made, at)
	}
	return made, os.MkdirAll(dir, 0o777)
}

// WriteFile puts content at path: beside it first, then renamed, so that path holds all of it or what it held before.
func WriteFile(path string, content []byte) error {
	tmp, err := stage(filepath.Dir(path), whole(content))
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		if tmp != "" {
			os.Remove(tmp)
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// stage writes a file of a passing name into a folder, to be renamed into its place. Where that fails no file is left.
func stage(dir string, write func(io.Writer) error) (tmp string, err error) {
	f, err := os.CreateTemp(dir, ".onnxprune-*.tmp")
	if err != nil {
		return "", err
	}
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644) // as if it had been created with the usual mask
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// whole writes what is there already.
func whole(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

func encode(t namedTensor, format string) ([]byte, error) {
	switch {
	case format == FormatPB:
		return feed.PB(t.name, t.Tensor)
	case format == FormatNPY:
		return feed.NPY(t.Tensor)
	case t.Type == onnxio.String:
		return nil, errors.New("strings have no fixed width")
	}
	return t.Raw(), nil
}

// longestName keeps file names, with the number and the ending that are added, below the 255 bytes of common file systems.
const longestName = 200

// fileNames makes file names out of the names of tensors: letters, digits, dot, dash and underscore stay. What would be equal, also
// where capitals do not count, is numbered.
func fileNames(ts []namedTensor, format string) []string {
	ending := "." + format
	if format == FormatRaw {
		ending = ".bin"
	}
	taken := map[string]bool{}
	out := make([]string, len(ts))
	for i, t := range ts {
		name := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
				return r
			}
			return '_'
		}, t.name)
		if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") || name == "" { // hidden files, flags
			name = "_" + name
		}
		name = name[:min(len(name), longestName)]
		file := name + ending
		for k := 2; taken[strings.ToLower(file)]; k++ {
			file = fmt.Sprintf("%s_%d%s", name, k, ending)
		}
		taken[strings.ToLower(file)] = true
		out[i] = file
	}
	return out
}
