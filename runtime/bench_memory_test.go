package runtime_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/onnxruntime"
)

// memoryOf names the model that this process is to run once, alone: on ONNX Runtime where it is led by "onnxruntime:".
const memoryOf = "ONNXPRUNE_MEMORY_OF"

func TestMain(m *testing.M) {
	model := os.Getenv(memoryOf)
	if model == "" {
		os.Exit(m.Run())
	}
	if err := runAlone(model); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// BenchmarkMemory runs corpus models once, each in a process of its own, on two threads, here and on ONNX Runtime where it is
// installed, and compares the most memory that the two processes had: MiB-peak, MiB-peak-ort, and their ratio peak/ort. A process
// is more than a session: the model's file, weights, packed weights, intermediate values, garbage, and the program itself.
// ONNXPRUNE_MODELS adds a folder of models. The time says nothing.
//
//	go test ./runtime -run '^$' -bench Memory -benchtime 1x
func BenchmarkMemory(b *testing.B) {
	usual := []string{"yolox_nano_416.onnx", "nanodet_m_320.onnx", "picodet_s_320.onnx", "yolov3_mobilenet_v1_w4_fashion.onnx",
		"superres_espcn_core.onnx", "fp16.onnx", "yolov8n_int8.onnx"}
	more := os.Getenv("ONNXPRUNE_MODELS")
	for _, file := range corpusModels(b) {
		name := filepath.Base(file)
		if !slices.Contains(usual, name) && filepath.Dir(file) != filepath.Clean(more) {
			continue
		}
		b.Run(name, func(b *testing.B) {
			_, missing := onnxruntime.Find()
			for b.Loop() {
				ours, err := peakOf(file)
				if err != nil {
					b.Skip(err)
				}
				b.ReportMetric(ours, "MiB-peak")
				if missing != nil {
					continue
				}
				theirs, err := peakOf("onnxruntime:" + file)
				if err != nil {
					b.Skip(err)
				}
				b.ReportMetric(theirs, "MiB-peak-ort")
				b.ReportMetric(ours/theirs, "peak/ort")
			}
		})
	}
}

// peakOf starts this program again to run one model, and returns the most memory it had, in MiB.
func peakOf(model string) (float64, error) {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), memoryOf+"="+model)
	var said strings.Builder
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", model, err, strings.TrimSpace(said.String()))
	}
	kib, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	return kib / 1024, err
}

// runAlone runs a model, and prints the most memory that the process had until then, in KiB.
func runAlone(model string) error {
	file, theirs := strings.CutPrefix(model, "onnxruntime:")
	m, err := onnxio.Open(file)
	if err != nil {
		return err
	}
	in := corpusInputs(filepath.Base(file), m)
	if theirs {
		m.Close()
		path, err := onnxruntime.Find()
		if err != nil {
			return err
		}
		library, err := onnxruntime.Open(path)
		if err != nil {
			return err
		}
		s, err := library.NewSession(file, onnxruntime.Options{Threads: 2})
		if err != nil {
			return err
		}
		if _, err := s.Run(oracleInputs(in), nil); err != nil {
			return err
		}
	} else {
		s, err := runtime.Compile(m, runtime.Options{Threads: 2})
		if err != nil {
			return err
		}
		if _, err := s.Run(context.Background(), in); err != nil {
			return err
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			fmt.Println(f[1])
			return nil
		}
	}
	return fmt.Errorf("the system does not say what the most memory of a process was")
}
