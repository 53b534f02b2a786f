// Running a session: values are copied in, the model runs, values are copied out.

package onnxruntime

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"
)

// Run runs the model and returns the outputs asked for, all of them when outputs is empty. An input that the model
// declares optional may be left out.
func (s *Session) Run(inputs map[string]*Tensor, outputs []string) (map[string]*Tensor, error) {
	s.alive.RLock()
	defer s.alive.RUnlock()
	if s.session == 0 {
		return nil, errors.New("onnxruntime: running a closed session")
	}
	if len(outputs) == 0 {
		for _, v := range s.outputs {
			outputs = append(outputs, v.Name)
		}
	}
	inputNames := make([]string, 0, len(inputs))
	inputValues := make([]handle, 0, len(inputs))
	defer func() { s.api.releaseValues(inputValues) }()
	for name, t := range inputs {
		value, err := s.makeValue(t)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", name, err)
		}
		inputNames, inputValues = append(inputNames, name), append(inputValues, value)
	}
	outputValues := make([]handle, len(outputs))
	defer func() { s.api.releaseValues(outputValues) }()
	if err := s.call(inputNames, inputValues, outputs, outputValues); err != nil {
		return nil, err
	}
	results := make(map[string]*Tensor, len(outputs))
	for i, name := range outputs {
		t, err := s.readValue(outputValues[i])
		if err != nil {
			return nil, fmt.Errorf("output %q: %w", name, err)
		}
		results[name] = t
	}
	return results, nil
}

// call fills outputValues.
func (s *Session) call(inputNames []string, inputValues []handle, outputNames []string, outputValues []handle) error {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	ins, err := cStrings(&pinner, inputNames)
	if err != nil {
		return fmt.Errorf("inputs: %w", err)
	}
	outs, err := cStrings(&pinner, outputNames)
	if err != nil {
		return fmt.Errorf("outputs: %w", err)
	}
	return s.api.check("running the model", s.api.run(s.session, 0,
		unsafe.SliceData(ins), unsafe.SliceData(inputValues), uintptr(len(ins)),
		unsafe.SliceData(outs), uintptr(len(outs)), unsafe.SliceData(outputValues)))
}

func (a *api) releaseValues(values []handle) {
	for _, v := range values {
		if v != 0 {
			a.releaseValue(v)
		}
	}
}

// makeValue copies a tensor or sequence into an OrtValue that the caller must release.
func (s *Session) makeValue(t *Tensor) (handle, error) {
	switch {
	case t == nil:
		return 0, errors.New("no tensor")
	case t.Sequence != nil:
		return s.makeSequence(t.Sequence)
	}
	value, err := s.makeTensor(t)
	if err != nil {
		return 0, err
	}
	if t.Type == String {
		err = s.putStrings(value, t.Strings)
	} else if len(t.Data) > 0 {
		err = s.putBytes(value, t.Data)
	}
	if err != nil {
		s.api.releaseValue(value)
		return 0, err
	}
	return value, nil
}

// makeTensor makes an OrtValue of the tensor's type and shape, after checking that the elements fit it.
func (s *Session) makeTensor(t *Tensor) (handle, error) {
	have, want := int64(len(t.Data)), int64(0)
	unit := "bytes"
	var err error
	if t.Type == String {
		have, unit = int64(len(t.Strings)), "strings"
		want, err = elementCount(t.Shape)
	} else {
		want, err = byteCount(t.Type, t.Shape)
	}
	if err != nil {
		return 0, err
	}
	if have != want {
		return 0, fmt.Errorf("a tensor of %s %v has %d %s, want %d", TypeName(t.Type), t.Shape, have, unit, want)
	}
	// ONNX Runtime 1.30.0 makes tensors by ONNX's number of the type, yet reports them by the number of its own
	// enumeration. So the type is asked back before a byte is written, whichever number a version goes by: a
	// tensor of a smaller type would be written over its end.
	for _, number := range []int32{elemTypes[t.Type].runtime, t.Type} {
		value, err := s.createTensor(t.Shape, number)
		if err != nil {
			return 0, err
		}
		made, _, err := s.api.valueType(value)
		if err == nil && made == t.Type {
			return value, nil
		}
		s.api.releaseValue(value)
		if err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("this onnxruntime makes no tensors of %s", TypeName(t.Type))
}

func (s *Session) createTensor(shape []int64, number int32) (handle, error) {
	var value handle
	err := s.api.check("creating a tensor", s.api.createTensorAsOrtValue(s.allocator,
		unsafe.SliceData(shape), uintptr(len(shape)), number, &value))
	return value, err
}

func (s *Session) makeSequence(elements []*Tensor) (handle, error) {
	if len(elements) == 0 {
		return 0, errors.New("onnxruntime takes no empty sequence as input")
	}
	values := make([]handle, 0, len(elements))
	defer func() { s.api.releaseValues(values) }() // the sequence holds copies
	for i, t := range elements {
		value, err := s.makeValue(t)
		if err != nil {
			return 0, fmt.Errorf("element %d: %w", i, err)
		}
		values = append(values, value)
	}
	var sequence handle
	err := s.api.check("creating a sequence", s.api.createValue(&values[0], uintptr(len(values)), int32(KindSequence), &sequence))
	return sequence, err
}

func (s *Session) putBytes(value handle, data []byte) error {
	var p unsafe.Pointer
	if err := s.api.check("writing a tensor", s.api.getTensorMutableData(value, &p)); err != nil {
		return err
	}
	copy(unsafe.Slice((*byte)(p), len(data)), data)
	return nil
}

func (s *Session) putStrings(value handle, list []string) error {
	for i, text := range list {
		if text == "" {
			continue // what a new tensor holds
		}
		var p unsafe.Pointer
		if err := s.api.check("writing a string", s.api.getResizedStringTensorElementBuffer(value, uintptr(i), uintptr(len(text)), &p)); err != nil {
			return err
		}
		copy(unsafe.Slice((*byte)(p), len(text)), text)
	}
	return nil
}

// readValue copies an OrtValue out.
func (s *Session) readValue(value handle) (*Tensor, error) {
	if value == 0 {
		return nil, errors.New("onnxruntime gave no value")
	}
	var present, kind int32
	if err := s.api.check("asking for a value", s.api.hasValue(value, &present)); err != nil {
		return nil, err
	}
	if present == 0 {
		return nil, errors.New("an optional without a value cannot be returned")
	}
	if err := s.api.check("reading a value's kind", s.api.getValueType(value, &kind)); err != nil {
		return nil, err
	}
	switch Kind(kind) {
	case KindTensor:
		return s.readTensor(value)
	case KindSequence:
		return s.readSequence(value)
	}
	return nil, fmt.Errorf("a value of kind %s cannot be returned", Kind(kind))
}

func (s *Session) readSequence(value handle) (*Tensor, error) {
	var n uintptr
	if err := s.api.check("counting a sequence", s.api.getValueCount(value, &n)); err != nil {
		return nil, err
	}
	list := make([]*Tensor, n)
	for i := range list {
		var element handle
		if err := s.api.check("reading a sequence", s.api.getValue(value, int32(i), s.allocator, &element)); err != nil {
			return nil, err
		}
		t, err := s.readValue(element)
		s.api.releaseValue(element)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		list[i] = t
	}
	return &Tensor{Sequence: list}, nil
}

func (s *Session) readTensor(value handle) (*Tensor, error) {
	elemType, shape, err := s.api.valueType(value)
	if err != nil {
		return nil, err
	}
	t := &Tensor{Type: elemType, Shape: shape}
	if elemType == String {
		t.Strings, err = s.getStrings(value, shape)
	} else {
		t.Data, err = s.getBytes(value, elemType, shape)
	}
	return t, err
}

func (s *Session) getBytes(value handle, elemType int32, shape []int64) ([]byte, error) {
	size, err := byteCount(elemType, shape)
	if err != nil || size == 0 {
		return []byte{}, err
	}
	var p unsafe.Pointer
	if err := s.api.check("reading a tensor", s.api.getTensorMutableData(value, &p)); err != nil {
		return nil, err
	}
	data := make([]byte, size)
	copy(data, unsafe.Slice((*byte)(p), size))
	return data, nil
}

// getStrings reads the strings, which come in one piece with the offset of each.
func (s *Session) getStrings(value handle, shape []int64) ([]string, error) {
	count, err := elementCount(shape)
	if err != nil || count == 0 {
		return []string{}, err
	}
	var size uintptr
	if err := s.api.check("measuring strings", s.api.getStringTensorDataLength(value, &size)); err != nil {
		return nil, err
	}
	text, offsets := make([]byte, size+1), make([]uintptr, count, count+1) // +1: never an empty slice
	if err := s.api.check("reading strings", s.api.getStringTensorContent(value, &text[0], size, &offsets[0], uintptr(count))); err != nil {
		return nil, err
	}
	offsets = append(offsets, size)
	list := make([]string, count)
	for i := range list {
		list[i] = string(text[offsets[i]:offsets[i+1]])
	}
	return list, nil
}
