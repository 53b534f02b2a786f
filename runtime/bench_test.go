package runtime_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/onnxruntime"
)

// BenchmarkModels runs corpus models on one thread, here and on ONNX Runtime where it is installed. ONNXPRUNE_MODELS adds a
// folder of models. MiB-peak is what intermediate values take.
func BenchmarkModels(b *testing.B) {
	usual := []string{"yolox_nano_416.onnx", "nanodet_m_320.onnx", "picodet_s_320.onnx", "silero_vad_v5.onnx",
		"yolov3_mobilenet_v1_w4_fashion.onnx", "superres_espcn_core.onnx", "fp16.onnx", "yolov8n_int8.onnx"}
	more := os.Getenv("ONNXPRUNE_MODELS")
	for _, file := range corpusModels(b) {
		name := filepath.Base(file)
		if !slices.Contains(usual, name) && filepath.Dir(file) != more {
			continue
		}
		m, err := onnxio.Open(file)
		if err != nil {
			b.Fatal(err)
		}
		in := corpusInputs(name, m)
		b.Run(name+"/onnxprune", func(b *testing.B) {
			s, err := runtime.Compile(m, runtime.Options{Threads: 1})
			if err != nil {
				b.Skip(err)
			}
			defer s.Close()
			for b.Loop() {
				if _, err := s.Run(context.Background(), in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(s.Memory().Peak)/(1<<20), "MiB-peak")
		})
		b.Run(name+"/onnxruntime", func(b *testing.B) {
			s, err := oracle(b).NewSession(file, onnxruntime.Options{Threads: 1})
			if err != nil {
				b.Skip(err)
			}
			defer s.Close()
			ins := oracleInputs(in)
			for b.Loop() {
				if _, err := s.Run(ins, nil); err != nil {
					b.Skip(err)
				}
			}
		})
		if err := m.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCompile makes a session of a detector with 550 nodes.
func BenchmarkCompile(b *testing.B) {
	m, err := onnxio.Open(filepath.Join(corpusFolder(b), "models", "fashion", "yolov3_mobilenet_v1_w4_fashion.onnx"))
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	for b.Loop() {
		s, err := runtime.Compile(m, runtime.Options{})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}
