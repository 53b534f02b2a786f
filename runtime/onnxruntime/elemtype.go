// Element types: their numbers in ONNX and in ONNX Runtime, and their sizes.

package onnxruntime

import "fmt"

// Element types, by their number in ONNX's TensorProto.DataType.
const (
	Float          int32 = 1
	Uint8          int32 = 2
	Int8           int32 = 3
	Uint16         int32 = 4
	Int16          int32 = 5
	Int32          int32 = 6
	Int64          int32 = 7
	String         int32 = 8
	Bool           int32 = 9
	Float16        int32 = 10
	Double         int32 = 11
	Uint32         int32 = 12
	Uint64         int32 = 13
	Complex64      int32 = 14
	Complex128     int32 = 15
	Bfloat16       int32 = 16
	Float8E4M3FN   int32 = 17
	Float8E4M3FNUZ int32 = 18
	Float8E5M2     int32 = 19
	Float8E5M2FNUZ int32 = 20
	Uint4          int32 = 21
	Int4           int32 = 22
	Float4E2M1     int32 = 23
	Float8E8M0     int32 = 24
	Uint2          int32 = 25
	Int2           int32 = 26
)

// elemTypes is indexed by the ONNX number. The runtime's enumeration equals ONNX's up to Float4E2M1, then the
// two differ in order: the runtime appended Float8E8M0 after the two-bit types.
var elemTypes = []struct {
	name    string
	bits    int64 // per element; the four- and two-bit types are packed, low bits first
	runtime int32 // ONNXTensorElementDataType
}{
	{"undefined", 0, 0},
	{"float", 32, 1}, {"uint8", 8, 2}, {"int8", 8, 3}, {"uint16", 16, 4}, {"int16", 16, 5},
	{"int32", 32, 6}, {"int64", 64, 7}, {"string", 0, 8}, {"bool", 8, 9}, {"float16", 16, 10},
	{"double", 64, 11}, {"uint32", 32, 12}, {"uint64", 64, 13},
	{"complex64", 64, 14}, {"complex128", 128, 15}, {"bfloat16", 16, 16},
	{"float8e4m3fn", 8, 17}, {"float8e4m3fnuz", 8, 18}, {"float8e5m2", 8, 19}, {"float8e5m2fnuz", 8, 20},
	{"uint4", 4, 21}, {"int4", 4, 22}, {"float4e2m1", 4, 23},
	{"float8e8m0", 8, 26}, {"uint2", 2, 24}, {"int2", 2, 25},
}

// TypeName is ONNX's name of an element type in lower case, such as "float16".
func TypeName(elemType int32) string {
	if elemType < 0 || int(elemType) >= len(elemTypes) {
		return fmt.Sprintf("type %d", elemType)
	}
	return elemTypes[elemType].name
}

// fromRuntime gives the ONNX number of a runtime's element type.
func fromRuntime(number int32) (int32, error) {
	for elemType, t := range elemTypes {
		if t.runtime == number {
			return int32(elemType), nil
		}
	}
	return 0, fmt.Errorf("onnxruntime has an element type %d that ONNX 1.22 does not know", number)
}

// elementCount is the product of a shape's dimensions.
func elementCount(shape []int64) (int64, error) {
	const most = 1 << 40 // elements; far over any memory, far under overflow
	count := int64(1)
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		if d > 0 && count > most/d {
			return 0, fmt.Errorf("shape %v is too large", shape)
		}
		count *= d
	}
	return count, nil
}

// byteCount is the number of bytes of a tensor that does not hold strings.
func byteCount(elemType int32, shape []int64) (int64, error) {
	if elemType < 0 || int(elemType) >= len(elemTypes) || elemTypes[elemType].bits == 0 {
		return 0, fmt.Errorf("%s has no byte representation", TypeName(elemType))
	}
	count, err := elementCount(shape)
	if err != nil {
		return 0, err
	}
	return (count*elemTypes[elemType].bits + 7) / 8, nil
}
