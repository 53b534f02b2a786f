// What a model says of its inputs and outputs.

package onnxruntime

import (
	"fmt"
	"strings"
	"unsafe"
)

// A Kind of value is an ONNXType.
type Kind int32

const (
	KindUnknown Kind = iota
	KindTensor
	KindSequence
	KindMap
	KindOpaque
	KindSparseTensor
	KindOptional
)

func (k Kind) String() string {
	names := []string{"unknown", "tensor", "sequence", "map", "opaque", "sparse tensor", "optional"}
	if k >= 0 && int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind %d", int32(k))
}

// A ValueInfo describes an input or an output. For a sequence or an optional, ElemType, Shape and Symbols describe the
// tensors inside.
type ValueInfo struct {
	Name     string
	Kind     Kind
	ElemType int32    // ONNX TensorProto.DataType number; 0 where there is none
	Shape    []int64  // -1 where a dimension is dynamic; empty for a scalar, and where the rank is not known
	Symbols  []string // per dimension: its symbolic name, or ""
}

// String writes the value as "images: float[N,3,640,640]".
func (v ValueInfo) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", v.Name)
	if v.Kind != KindTensor {
		fmt.Fprintf(&b, "%s of ", v.Kind)
	}
	b.WriteString(TypeName(v.ElemType) + "[")
	for i, d := range v.Shape {
		if i > 0 {
			b.WriteByte(',')
		}
		switch {
		case d >= 0:
			fmt.Fprint(&b, d)
		case v.Symbols[i] != "":
			b.WriteString(v.Symbols[i])
		default:
			b.WriteByte('?')
		}
	}
	b.WriteByte(']')
	return b.String()
}

// readSignature fills in the session's inputs and outputs.
func (s *Session) readSignature() (err error) {
	a := s.api
	if s.inputs, err = s.readInfos("input", a.sessionGetInputCount, a.sessionGetInputName, a.sessionGetInputTypeInfo); err != nil {
		return err
	}
	s.outputs, err = s.readInfos("output", a.sessionGetOutputCount, a.sessionGetOutputName, a.sessionGetOutputTypeInfo)
	return err
}

func (s *Session) readInfos(
	what string,
	count func(handle, *uintptr) handle,
	name func(handle, uintptr, handle, *unsafe.Pointer) handle,
	typeInfo func(handle, uintptr, *handle) handle,
) ([]ValueInfo, error) {
	a := s.api
	var n uintptr
	if err := a.check("counting the "+what+"s", count(s.session, &n)); err != nil {
		return nil, err
	}
	infos := make([]ValueInfo, n)
	for i := range infos {
		doing := fmt.Sprintf("reading %s %d", what, i)
		var text unsafe.Pointer
		if err := a.check(doing, name(s.session, uintptr(i), s.allocator, &text)); err != nil {
			return nil, err
		}
		infos[i].Name = goString(text)
		if err := a.check(doing, a.allocatorFree(s.allocator, text)); err != nil {
			return nil, err
		}
		var info handle
		if err := a.check(doing, typeInfo(s.session, uintptr(i), &info)); err != nil {
			return nil, err
		}
		err := a.readType(info, &infos[i])
		a.releaseTypeInfo(info)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", what, infos[i].Name, err)
		}
	}
	return infos, nil
}

// readType reads an OrtTypeInfo. Kinds that this package cannot carry keep their kind and nothing more.
func (a *api) readType(info handle, v *ValueInfo) error {
	var kind int32
	if err := a.check("reading a type", a.getOnnxTypeFromTypeInfo(info, &kind)); err != nil {
		return err
	}
	v.Kind = Kind(kind)
	switch v.Kind {
	case KindTensor:
		return a.readTensorType(info, v)
	case KindSequence:
		return a.readInnerType(info, v, a.castTypeInfoToSequenceTypeInfo, a.getSequenceElementType)
	case KindOptional:
		return a.readInnerType(info, v, a.castTypeInfoToOptionalTypeInfo, a.getOptionalContainedTypeInfo)
	}
	return nil
}

// readInnerType reads the type inside a sequence or an optional.
func (a *api) readInnerType(info handle, v *ValueInfo, cast, inner func(handle, *handle) handle) error {
	var outer, inside handle // outer belongs to info
	if err := a.check("reading a type", cast(info, &outer)); err != nil {
		return err
	}
	if err := a.check("reading an inner type", inner(outer, &inside)); err != nil {
		return err
	}
	defer a.releaseTypeInfo(inside)
	var element ValueInfo
	if err := a.readType(inside, &element); err != nil {
		return err
	}
	v.ElemType, v.Shape, v.Symbols = element.ElemType, element.Shape, element.Symbols
	return nil
}

func (a *api) readTensorType(info handle, v *ValueInfo) error {
	var tensor handle // belongs to info
	if err := a.check("reading a tensor's type", a.castTypeInfoToTensorInfo(info, &tensor)); err != nil {
		return err
	}
	var err error
	if v.ElemType, v.Shape, err = a.typeAndShape(tensor); err != nil || len(v.Shape) == 0 {
		return err
	}
	symbols := make([]unsafe.Pointer, len(v.Shape)) // the strings belong to info
	if err := a.check("reading symbolic dimensions", a.getSymbolicDimensions(tensor, &symbols[0], uintptr(len(symbols)))); err != nil {
		return err
	}
	v.Symbols = make([]string, len(symbols))
	for i, p := range symbols {
		v.Symbols[i] = goString(p)
	}
	return nil
}

// typeAndShape reads an OrtTensorTypeAndShapeInfo.
func (a *api) typeAndShape(info handle) (int32, []int64, error) {
	var number int32
	if err := a.check("reading an element type", a.getTensorElementType(info, &number)); err != nil {
		return 0, nil, err
	}
	elemType, err := fromRuntime(number)
	if err != nil {
		return 0, nil, err
	}
	var rank uintptr
	if err := a.check("reading a rank", a.getDimensionsCount(info, &rank)); err != nil {
		return 0, nil, err
	}
	shape := make([]int64, rank)
	if rank > 0 {
		if err := a.check("reading a shape", a.getDimensions(info, &shape[0], rank)); err != nil {
			return 0, nil, err
		}
	}
	return elemType, shape, nil
}

// valueType reads element type and shape of a tensor.
func (a *api) valueType(tensor handle) (int32, []int64, error) {
	var info handle
	if err := a.check("reading a tensor's shape", a.getTensorTypeAndShape(tensor, &info)); err != nil {
		return 0, nil, err
	}
	defer a.releaseTensorTypeAndShapeInfo(info)
	return a.typeAndShape(info)
}
