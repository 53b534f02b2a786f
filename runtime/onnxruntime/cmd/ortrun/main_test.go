// The command line and the random values; a run itself needs an ONNX Runtime and a model.

package main

import (
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"onnxprune/runtime/onnxruntime"
)

func TestTheModelStandsBeforeOrAfterTheFlags(t *testing.T) {
	for _, line := range []string{
		"model.onnx --dims N=2,images.3=640 --seed 7 --optimize none",
		"--dims N=2,images.3=640 --seed 7 model.onnx --optimize none",
		"--dims N=2 --dims images.3=640 --seed 7 --optimize none model.onnx",
	} {
		r, err := parse(strings.Fields(line))
		want := request{
			model: "model.onnx", dims: dimensions{"N": 2, "images.3": 640}, seed: 7, runs: 1,
			opts: onnxruntime.Options{OptimizationLevel: onnxruntime.OptimizeNone},
		}
		if err != nil || !reflect.DeepEqual(r, want) {
			t.Errorf("%s: %+v, %v", line, r, err)
		}
	}
}

func TestAWrongCommandLineIsAnError(t *testing.T) {
	for line, says := range map[string]string{
		"":                       "no model",
		"a.onnx b.onnx":          "one model at a time",
		"a.onnx --dims N":        "not of the form",
		"a.onnx --dims N=-1":     "not of the form",
		"a.onnx --optimize most": "want none, basic",
	} {
		if _, err := parse(strings.Fields(line)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error is %v", line, err)
		}
	}
}

func TestDynamicDimensionsAreSetBySymbolOrByAxis(t *testing.T) {
	images := onnxruntime.ValueInfo{
		Name: "images", Kind: onnxruntime.KindTensor, ElemType: onnxruntime.Float,
		Shape: []int64{-1, 3, -1, -1}, Symbols: []string{"N", "", "", ""},
	}
	random := rand.New(rand.NewPCG(1, 0))
	inputs, err := randomInputs([]onnxruntime.ValueInfo{images}, dimensions{"N": 2, "images.2": 4}, random)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := inputs["images"].Shape, []int64{2, 3, 4, 1}; !reflect.DeepEqual(got, want) {
		t.Errorf("shape is %v, want %v", got, want)
	}
	if _, err := randomInputs([]onnxruntime.ValueInfo{images}, dimensions{"M": 2}, random); err == nil || !strings.Contains(err.Error(), `"M"`) {
		t.Errorf("an unknown dimension gives %v", err)
	}
}

func TestHalvesAreExactFractions(t *testing.T) {
	for n := range uint64(1024) {
		bits := float16Fraction(n)
		half := onnxruntime.Tensor{Type: onnxruntime.Float16, Data: []byte{byte(bits), byte(bits >> 8)}}
		if got, err := half.Numbers(); err != nil || got[0] != float64(n)/1024 {
			t.Fatalf("%d/1024 is %v, %v", n, got, err)
		}
	}
}

func TestAllTypesHaveRandomValuesInRange(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 0))
	for _, elemType := range []int32{1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 16} {
		tensor, err := randomTensor(elemType, []int64{2, 5}, random)
		if err != nil {
			t.Fatal(err)
		}
		values, err := tensor.Numbers()
		if err != nil || len(values) != 10 {
			t.Fatalf("%s: %v, %v", onnxruntime.TypeName(elemType), values, err)
		}
		most := 1.0
		if elemType == onnxruntime.Uint8 {
			most = 255
		}
		for _, v := range values {
			if math.IsNaN(v) || v < 0 || v > most {
				t.Errorf("%s: %g", onnxruntime.TypeName(elemType), v)
			}
		}
	}
}
