// tiny runs a model of one node. A test builds it and looks whether it starts.
package main

import (
	"context"
	"fmt"
	"os"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
)

func main() {
	g := onnxio.NewGraph("tiny")
	g.AddInput(onnxio.NewValueInfo("x", onnxio.TensorType(onnxio.Float, onnxio.Named("N"))))
	g.AddNode(onnxio.NewNode("Relu", "", []string{"x"}, []string{"y"}))
	g.AddOutput(onnxio.NewValueInfo("y", onnxio.TensorType(onnxio.Float, onnxio.Named("N"))))
	s, err := runtime.Compile(onnxio.NewModel(8, "tiny", []onnxio.Opset{{Version: 17}}, g), runtime.Options{})
	if err == nil {
		var out map[string]value.Value
		if out, err = s.Run(context.Background(), map[string]value.Value{"x": value.From([]float32{-1, 2}, 2)}); err == nil {
			fmt.Println(value.Of[float32](out["y"].(*value.Tensor)))
			return
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
