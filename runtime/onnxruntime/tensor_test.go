// The helpers of Tensor, against values computed by hand.

package onnxruntime

import (
	"math"
	"reflect"
	"testing"
)

func TestElementsAreStoredLittleEndian(t *testing.T) {
	for _, c := range []struct {
		name string
		got  *Tensor
		want []byte
	}{
		{"float 1", FromFloat32([]int64{1}, []float32{1}), []byte{0, 0, 0x80, 0x3f}},
		{"double -2", FromFloat64([]int64{1}, []float64{-2}), []byte{0, 0, 0, 0, 0, 0, 0, 0xc0}},
		{"int32 258", FromInt32([]int64{1}, []int32{258}), []byte{2, 1, 0, 0}},
		{"int64 -1", FromInt64([]int64{1}, []int64{-1}), []byte{255, 255, 255, 255, 255, 255, 255, 255}},
		{"uint8 7", FromUint8([]int64{1}, []uint8{7}), []byte{7}},
		{"bools", FromBool([]int64{2}, []bool{true, false}), []byte{1, 0}},
	} {
		if !reflect.DeepEqual(c.got.Data, c.want) {
			t.Errorf("%s is %v, want %v", c.name, c.got.Data, c.want)
		}
	}
}

func TestNumbersOfEveryWidth(t *testing.T) {
	for _, c := range []struct {
		name string
		in   Tensor
		want []float64
	}{
		{"float16", Tensor{Type: Float16, Shape: []int64{5}, Data: []byte{0, 0x3c, 0, 0xc0, 0xff, 0x7b, 1, 0, 0, 0xfc}}, []float64{1, -2, 65504, math.Ldexp(1, -24), math.Inf(-1)}},
		{"bfloat16", Tensor{Type: Bfloat16, Shape: []int64{2}, Data: []byte{0x80, 0x3f, 0x20, 0xc0}}, []float64{1, -2.5}},
		{"int8", Tensor{Type: Int8, Shape: []int64{2}, Data: []byte{0xff, 5}}, []float64{-1, 5}},
		{"uint16", Tensor{Type: Uint16, Shape: []int64{1}, Data: []byte{0xff, 0xff}}, []float64{65535}},
		{"bool", Tensor{Type: Bool, Shape: []int64{2}, Data: []byte{0, 1}}, []float64{0, 1}},
	} {
		got, err := c.in.Numbers()
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", c.name, got, err, c.want)
		}
	}
}

func TestATensorIsNotReadAsWhatItIsNot(t *testing.T) {
	for _, c := range []struct {
		name string
		in   *Tensor
	}{
		{"another type", FromInt64([]int64{1}, []int64{1})},
		{"too few bytes", &Tensor{Type: Float, Shape: []int64{2}, Data: make([]byte, 4)}},
		{"a sequence", &Tensor{Type: Float, Shape: []int64{}, Sequence: []*Tensor{}}},
	} {
		if got, err := c.in.Float32s(); err == nil {
			t.Errorf("%s: read as %v", c.name, got)
		}
	}
}

func TestBytesOfPackedTypesAreRoundedUp(t *testing.T) {
	for _, c := range []struct {
		elemType int32
		shape    []int64
		want     int64
	}{
		{Uint4, []int64{3}, 2}, {Int2, []int64{5}, 2}, {Float8E8M0, []int64{5}, 5}, {Complex128, nil, 16}, {Float, []int64{3, 0}, 0},
	} {
		if got, err := byteCount(c.elemType, c.shape); err != nil || got != c.want {
			t.Errorf("%s %v: %d bytes, %v, want %d", TypeName(c.elemType), c.shape, got, err, c.want)
		}
	}
}
