package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// checkInputs compares what the caller gives with what the model declares.
func (s *Session) checkInputs(inputs map[string]value.Value) error {
	var known []string
	for _, in := range slices.Concat(s.inputs, s.defaults) {
		known = append(known, in.Name)
	}
	for name, v := range inputs {
		if !slices.Contains(known, name) {
			return &InputError{name, fmt.Errorf("the model has no such input; it has %s", quoted(known))}
		}
		if t, ok := v.(*value.Tensor); ok && t == nil {
			return &InputError{name, errors.New("it is nil")}
		}
	}
	for _, in := range s.inputs {
		v := inputs[in.Name]
		if v == nil {
			return &InputError{in.Name, fmt.Errorf("it is missing; the model wants %v", in.Type)}
		}
		if err := fits(v, in.Type); err != nil {
			return &InputError{in.Name, err}
		}
	}
	for _, in := range s.defaults {
		if v := inputs[in.Name]; v != nil {
			if err := fits(v, in.Type); err != nil {
				return &InputError{in.Name, err}
			}
		}
	}
	return nil
}

func quoted(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(out, ", ")
}

// fits returns an error unless the value is of the declared type. Dimensions that are not fixed fit anything.
func fits(v value.Value, want *onnxio.Type) error {
	if want == nil || want.Kind == onnxio.KindUnknown {
		return nil
	}
	switch v := v.(type) {
	case *value.Tensor:
		return tensorFits(v, want)
	case *value.Sequence:
		if want.Kind != onnxio.KindSequence {
			return fmt.Errorf("it is a %v, the model wants %v", v, want)
		}
		for i, it := range v.Items {
			if err := fits(it, want.Of); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		return nil
	case *value.Optional:
		if want.Kind != onnxio.KindOptional {
			return fmt.Errorf("it is an %v, the model wants %v", v, want)
		}
		if v.Value == nil {
			return nil
		}
		return fits(v.Value, want.Of)
	}
	return fmt.Errorf("it is a %T, which is no value", v)
}

func tensorFits(t *value.Tensor, want *onnxio.Type) error {
	if want.Kind != onnxio.KindTensor && want.Kind != onnxio.KindSparse {
		return fmt.Errorf("it is %v, the model wants %v", t, want)
	}
	if t.Data == nil || dataLen(t) != t.Len() {
		return fmt.Errorf("it is %v, but holds %d elements", t, dataLen(t))
	}
	if slices.Min(append([]int{0}, t.Shape...)) < 0 {
		return fmt.Errorf("it is %v: a dimension is negative", t)
	}
	if want.Elem != onnxio.Undefined && t.Type != want.Elem {
		return fmt.Errorf("it is %v, the model wants %v", t, want)
	}
	if !want.HasShape {
		return nil
	}
	if len(t.Shape) != len(want.Shape) {
		return fmt.Errorf("it is %v, of rank %d; the model wants %v, of rank %d", t, len(t.Shape), want, len(want.Shape))
	}
	for i, d := range want.Shape {
		if n, fixed := d.Extent(); fixed && int64(t.Shape[i]) != n {
			return fmt.Errorf("it is %v, the model wants %v: dimension %d is %d instead of %d", t, want, i, t.Shape[i], d.Value)
		}
	}
	return nil
}

// dataLen returns the number of elements that a tensor really holds, -1 where its slice is not of its type.
func dataLen(t *value.Tensor) int {
	switch d := t.Data.(type) {
	case []float32:
		return lenIf(d, t, onnxio.Float)
	case []float64:
		return lenIf(d, t, onnxio.Double)
	case []int8:
		return lenIf(d, t, onnxio.Int8, onnxio.Int4, onnxio.Int2)
	case []int16:
		return lenIf(d, t, onnxio.Int16)
	case []int32:
		return lenIf(d, t, onnxio.Int32)
	case []int64:
		return lenIf(d, t, onnxio.Int64)
	case []uint8:
		return lenIf(d, t, onnxio.Uint8, onnxio.Uint4, onnxio.Uint2, onnxio.Float4E2M1, onnxio.Float8E8M0,
			onnxio.Float8E4M3FN, onnxio.Float8E4M3FNUZ, onnxio.Float8E5M2, onnxio.Float8E5M2FNUZ)
	case []uint16:
		return lenIf(d, t, onnxio.Uint16, onnxio.Float16, onnxio.BFloat16)
	case []uint32:
		return lenIf(d, t, onnxio.Uint32)
	case []uint64:
		return lenIf(d, t, onnxio.Uint64)
	case []bool:
		return lenIf(d, t, onnxio.Bool)
	case []string:
		return lenIf(d, t, onnxio.String)
	case []complex64:
		return lenIf(d, t, onnxio.Complex64)
	case []complex128:
		return lenIf(d, t, onnxio.Complex128)
	}
	return -1
}

func lenIf[T any](d []T, t *value.Tensor, types ...onnxio.DataType) int {
	if !slices.Contains(types, t.Type) {
		return -1
	}
	return len(d)
}
