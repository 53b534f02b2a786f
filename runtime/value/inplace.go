package value

import (
	"runtime"
	"unsafe"

	"onnxprune/onnxio"
)

// worthSharing is how many bytes of a tensor are too many for two copies.
const worthSharing = 16 << 10

// InPlace is FromProto without the copy where it can be: a large tensor whose bytes in the file are what Go's slice would hold
// is read where it lies. Such a tensor must not be written to, and is gone when its model is closed.
func InPlace(p *onnxio.Tensor) (*Tensor, error) {
	size, ok := p.DataType.Bytes(p.Len())
	if !ok || size < worthSharing || !readsAnywhere {
		return FromProto(p)
	}
	raw, err := p.Raw()
	if err != nil {
		return nil, err
	}
	t := &Tensor{Type: p.DataType, Shape: make([]int, len(p.Dims))}
	for i, d := range p.Dims {
		t.Shape[i] = int(d)
	}
	at, n := unsafe.Pointer(unsafe.SliceData(raw)), t.Len()
	switch p.DataType {
	case onnxio.Float:
		t.Data = unsafe.Slice((*float32)(at), n)
	case onnxio.Double:
		t.Data = unsafe.Slice((*float64)(at), n)
	case onnxio.Float16, onnxio.BFloat16, onnxio.Uint16:
		t.Data = unsafe.Slice((*uint16)(at), n)
	case onnxio.Int8:
		t.Data = unsafe.Slice((*int8)(at), n)
	case onnxio.Uint8:
		t.Data = raw
	case onnxio.Int32:
		t.Data = unsafe.Slice((*int32)(at), n)
	case onnxio.Int64:
		t.Data = unsafe.Slice((*int64)(at), n)
	default:
		return FromProto(p)
	}
	return t, nil
}

// readsAnywhere says that the machine is little-endian, as ONNX files are, and reads numbers at any address: fields of a
// file are not aligned. Go allows such pointers to types without pointers (golang.org/issue/37298).
const readsAnywhere = runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64"
