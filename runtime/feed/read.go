package feed

// Files of values: which format by the file's ending, and what fits which input.

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
)

// Read reads a file for an input: .npy, .npz (the entry of the input's name, or the only one), .pb (TensorProto, SequenceProto
// or OptionalProto by the declared type), or a picture: .png, .jpg, .bmp, .webp. shape, where not nil, settles what the declared type
// leaves open (-1: still open); a picture is scaled to it. The text says what was done.
//
// Numbers of another type than the input's are converted where no value is lost but by rounding of floats.
func Read(path string, in *onnxio.ValueInfo, shape []int, p preprocess.Recipe) (value.Value, string, error) {
	base := filepath.Base(path)
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".npy", ".npz":
		var t *value.Tensor
		var err error
		if ext == ".npy" {
			t, err = ReadNPY(path)
		} else {
			t, err = ReadNPZ(path, in.Name)
		}
		if err != nil {
			return nil, "", err
		}
		v, note, err := Adapt(t, in.Type, base)
		return v, base + note, err
	case ".pb":
		v, err := ReadPB(path, in.Type)
		if err != nil {
			return nil, "", err
		}
		t, ok := v.(*value.Tensor)
		if !ok {
			return v, base, nil
		}
		v, note, err := Adapt(t, in.Type, base)
		return v, base + note, err
	case ".png", ".jpg", ".jpeg", ".bmp", ".webp":
		return readPicture(path, in, shape, p)
	default:
		return nil, "", fmt.Errorf("%s: files that end in %q are not known; there are .npy, .npz, .pb, .png, .jpg, .bmp and .webp", path, ext)
	}
}

// Write writes a tensor as .npy, or as .pb under a name.
func Write(path, name string, t *value.Tensor) error {
	var b []byte
	var err error
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".npy":
		b, err = NPY(t)
	case ".pb":
		b, err = PB(name, t)
	default:
		return fmt.Errorf("%s: tensors are written as .npy or .pb, not as %q", path, ext)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, b, 0o666)
}

// Adapt gives a tensor the declared element type, and refuses a shape that does not fit. note says what was converted.
func Adapt(t *value.Tensor, want *onnxio.Type, base string) (out *value.Tensor, note string, err error) {
	if want == nil || want.Kind != onnxio.KindTensor {
		return nil, "", fmt.Errorf("%s holds %v, the model wants %v", base, t, want)
	}
	wrong := want.HasShape && len(want.Shape) != len(t.Shape)
	for k, d := range want.Shape {
		n, fixed := d.Extent()
		wrong = wrong || fixed && k < len(t.Shape) && int(n) != t.Shape[k]
	}
	if wrong {
		return nil, "", fmt.Errorf("%s holds %v, the model wants %v", base, t, want)
	}
	if t.Type == want.Elem || want.Elem == onnxio.Undefined {
		return t, "", nil
	}
	out, err = convert(t, want.Elem)
	if err != nil {
		return nil, "", fmt.Errorf("%s holds %v, the model wants %v: %w", base, t, want, err)
	}
	return out, fmt.Sprintf(", converted from %v to %v", t.Type, want.Elem), nil
}

// convert changes the element type: floats into floats, integers into whatever holds their values.
func convert(t *value.Tensor, to onnxio.DataType) (*value.Tensor, error) {
	out := value.New(to, t.Shape...)
	if t.Type.IsFloat() && !to.IsFloat() {
		return nil, fmt.Errorf("floats are not made integers")
	}
	if is, ok := t.Ints(); ok && !to.IsFloat() {
		low, high, ok := limits(to)
		if !ok {
			return nil, fmt.Errorf("that can not be converted")
		}
		for _, v := range is {
			if v < low || v > high || t.Type == onnxio.Uint64 && v < 0 {
				return nil, fmt.Errorf("%d does not fit", v)
			}
		}
		if bs, ok := out.Data.([]bool); ok {
			for k, v := range is {
				bs[k] = v != 0
			}
			return out, nil
		}
		if ds, ok := out.Data.([]int64); ok { // beyond 2^53 a float64 would round
			copy(ds, is)
			return out, nil
		}
		if ds, ok := out.Data.([]uint64); ok {
			for k, v := range is {
				ds[k] = uint64(v)
			}
			return out, nil
		}
	}
	vs, ok := t.Floats()
	if !ok || !set(out, func(k int) float64 { return vs[k] }) {
		return nil, fmt.Errorf("that can not be converted")
	}
	return out, nil
}

// limits are the least and the greatest value of an integer type, as far as int64 can tell.
func limits(t onnxio.DataType) (low, high int64, ok bool) {
	bits := t.Bits()
	signed := []onnxio.DataType{onnxio.Int2, onnxio.Int4, onnxio.Int8, onnxio.Int16, onnxio.Int32, onnxio.Int64}
	unsigned := []onnxio.DataType{onnxio.Uint2, onnxio.Uint4, onnxio.Uint8, onnxio.Uint16, onnxio.Uint32}
	switch {
	case t == onnxio.Bool:
		return 0, 1, true
	case t == onnxio.Uint64:
		return 0, math.MaxInt64, true
	case slices.Contains(signed, t):
		return -1 << (bits - 1), 1<<(bits-1) - 1, true
	case slices.Contains(unsigned, t):
		return 0, 1<<bits - 1, true
	}
	return 0, 0, false
}
