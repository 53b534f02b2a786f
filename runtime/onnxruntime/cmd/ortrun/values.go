// Inputs at random, outputs in a line each.

package main

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"

	"onnxprune/runtime/onnxruntime"
)

// dimensions are sizes by symbol ("N") or by input and axis ("images.2"). They are a flag.Value.
type dimensions map[string]int64

func (d dimensions) String() string {
	var list []string
	for name, size := range d {
		list = append(list, fmt.Sprintf("%s=%d", name, size))
	}
	sort.Strings(list)
	return strings.Join(list, ",")
}

func (d dimensions) Set(text string) error {
	for _, item := range strings.Split(text, ",") {
		name, size, found := strings.Cut(item, "=")
		n, err := strconv.ParseInt(size, 10, 64)
		if !found || err != nil || n < 0 {
			return fmt.Errorf("%q is not of the form N=1", item)
		}
		d[name] = n
	}
	return nil
}

// resolve gives the shape that an input is made with. Names that it uses are noted in used.
func (d dimensions) resolve(v onnxruntime.ValueInfo, used map[string]bool) []int64 {
	shape := append([]int64{}, v.Shape...)
	for i := range shape {
		if shape[i] >= 0 {
			continue
		}
		shape[i] = 1
		for _, name := range []string{v.Symbols[i], fmt.Sprintf("%s.%d", v.Name, i)} {
			if size, ok := d[name]; ok {
				shape[i], used[name] = size, true
			}
		}
	}
	return shape
}

// randomInputs makes the inputs: reals from [0,1), integers 0 or 1 (they are often indices or counts), bytes 0 to 255.
func randomInputs(infos []onnxruntime.ValueInfo, dims dimensions, random *rand.Rand) (map[string]*onnxruntime.Tensor, error) {
	inputs, used := map[string]*onnxruntime.Tensor{}, map[string]bool{}
	for _, v := range infos {
		if v.Kind == onnxruntime.KindOptional {
			continue
		}
		if v.Kind != onnxruntime.KindTensor {
			return nil, fmt.Errorf("input %q: no random value for a %s", v.Name, v.Kind)
		}
		t, err := randomTensor(v.ElemType, dims.resolve(v, used), random)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", v.Name, err)
		}
		inputs[v.Name] = t
	}
	for name := range dims {
		if !used[name] {
			return nil, fmt.Errorf("--dims: no dynamic dimension %q", name)
		}
	}
	return inputs, nil
}

func randomTensor(elemType int32, shape []int64, random *rand.Rand) (*onnxruntime.Tensor, error) {
	const most = 1 << 30 // elements
	count := int64(1)
	for _, d := range shape {
		if d > 0 && count > most/d {
			return nil, fmt.Errorf("shape %v is too large", shape)
		}
		count *= d
	}
	bit := func() uint64 { return random.Uint64N(2) }
	switch elemType {
	case onnxruntime.Float:
		return onnxruntime.FromFloat32(shape, fill(count, random.Float32)), nil
	case onnxruntime.Double:
		return onnxruntime.FromFloat64(shape, fill(count, random.Float64)), nil
	case onnxruntime.Float16:
		return raw(elemType, shape, 2, fill(count, func() uint64 { return float16Fraction(random.Uint64N(1024)) })), nil
	case onnxruntime.Bfloat16:
		return raw(elemType, shape, 2, fill(count, func() uint64 { return uint64(math.Float32bits(random.Float32()) >> 16) })), nil
	case onnxruntime.Uint8:
		return raw(elemType, shape, 1, fill(count, func() uint64 { return random.Uint64N(256) })), nil
	case onnxruntime.Bool, onnxruntime.Int8:
		return raw(elemType, shape, 1, fill(count, bit)), nil
	case onnxruntime.Uint16, onnxruntime.Int16:
		return raw(elemType, shape, 2, fill(count, bit)), nil
	case onnxruntime.Uint32, onnxruntime.Int32:
		return raw(elemType, shape, 4, fill(count, bit)), nil
	case onnxruntime.Uint64, onnxruntime.Int64:
		return raw(elemType, shape, 8, fill(count, bit)), nil
	case onnxruntime.String:
		return onnxruntime.FromStrings(shape, fill(count, func() string { return strconv.FormatUint(bit(), 10) })), nil
	}
	return nil, fmt.Errorf("no random values of type %s", onnxruntime.TypeName(elemType))
}

// float16Fraction gives the bits of n/1024 as IEEE 754 binary16, exactly, for n below 1024.
func float16Fraction(n uint64) uint64 {
	if n == 0 {
		return 0
	}
	exponent := uint64(14) // of values in [0.5,1)
	for n < 512 {
		n, exponent = n*2, exponent-1
	}
	return exponent<<10 | (n-512)<<1
}

func fill[T any](count int64, next func() T) []T {
	values := make([]T, count)
	for i := range values {
		values[i] = next()
	}
	return values
}

// raw stores values at a width of so many bytes.
func raw(elemType int32, shape []int64, width int, values []uint64) *onnxruntime.Tensor {
	data := make([]byte, 0, len(values)*width)
	for _, v := range values {
		for i := range width {
			data = append(data, byte(v>>(8*i)))
		}
	}
	return &onnxruntime.Tensor{Type: elemType, Shape: shape, Data: data}
}

// describe prints shape, range and mean of a value; those of NaN and infinities are counted and left out.
func describe(out io.Writer, name string, t *onnxruntime.Tensor) {
	if t.Sequence != nil {
		fmt.Fprintf(out, "%s: sequence of %d\n", name, len(t.Sequence))
		for i, element := range t.Sequence {
			describe(out, fmt.Sprintf("%s[%d]", name, i), element)
		}
		return
	}
	fmt.Fprintf(out, "%s: %s%v", name, onnxruntime.TypeName(t.Type), t.Shape)
	defer fmt.Fprintln(out)
	values, err := t.Numbers()
	if err != nil || len(values) == 0 {
		return
	}
	low, high, sum, finite := math.Inf(1), math.Inf(-1), 0.0, 0
	for _, v := range values {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			low, high, sum, finite = min(low, v), max(high, v), sum+v, finite+1
		}
	}
	if finite > 0 {
		fmt.Fprintf(out, " min %.6g max %.6g mean %.6g", low, high, sum/float64(finite))
	}
	if finite < len(values) {
		fmt.Fprintf(out, ", %d of %d not finite", len(values)-finite, len(values))
	}
}
