package testmodels_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/onnxruntime"
	. "onnxprune/testmodels"
)

// corpus returns a file of the shared test material, or skips.
func corpus(t testing.TB, parts ...string) string {
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	p := filepath.Join(append([]string{dir}, parts...)...)
	if _, err := os.Stat(p); err != nil {
		t.Skipf("test material %s is not here; set ONNXPRUNE_CORPUS to its folder", filepath.Join(parts...))
	}
	return p
}

// skeleton reads a real export whose weights are left out.
func skeleton(t *testing.T, name string) *onnxio.Model {
	f, err := os.Open(corpus(t, "models", "skeletons", name+".skel.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnxio.Parse(b[8+binary.LittleEndian.Uint64(b):])
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// parameters returns the initializers' dims by name, and how many elements they have together.
func parameters(m *onnxio.Model) (byName map[string][]int64, elements int64) {
	byName = map[string][]int64{}
	for _, t := range m.Graph.Initializers {
		byName[t.Name] = t.Dims
		elements += t.Len()
	}
	return byName, elements
}

func TestSeedNetworksHavePaddlesParameters(t *testing.T) {
	for _, c := range []struct {
		skeleton string
		built    *Builder
		elements int64 // PaddleDetection's figure; 0 where there is none
		tensors  int
	}{
		{"yolov3_mobilenet_v1", YOLOv3MobileNetV1(YOLOv3Options{}), 24286881, 0},
		{"", YOLOv3MobileNetV1(YOLOv3Options{Classes: 80, Output: "heads"}), 24609981, 0},
		{"yolov3_mobilenet_v1_tiny", YOLOv3MobileNetV1(YOLOv3Options{Divisor: 8}), 0, 0},
		{"faster_rcnn_r50", FasterRCNNR50(RCNNOptions{}), 33852960, 169},
		{"faster_rcnn_r50_tiny", FasterRCNNR50(RCNNOptions{Divisor: 8}), 0, 0},
		{"faster_rcnn_r50_tiny_cf", FasterRCNNR50(RCNNOptions{Divisor: 8, ControlFlow: true}), 0, 0},
		{"mask_rcnn_r50", MaskRCNNR50(RCNNOptions{}), 35971185, 173},
		{"mask_rcnn_r50_tiny", MaskRCNNR50(RCNNOptions{Divisor: 8}), 0, 0},
	} {
		got, elements := parameters(c.built.Model())
		if c.elements != 0 && elements != c.elements || c.tensors != 0 && len(got) != c.tensors {
			t.Errorf("%s: %d parameters in %d tensors, want %d in %d", c.skeleton, elements, len(got), c.elements, c.tensors)
		}
		if c.skeleton == "" {
			continue
		}
		t.Run(c.skeleton, func(t *testing.T) {
			want, _ := parameters(skeleton(t, c.skeleton))
			for name, dims := range want {
				if constant := len(dims) < 2 && (len(dims) == 0 || dims[0] <= 2) || strings.HasPrefix(name, "onnx::Add"); constant {
					continue // the export keeps a few scalars and the anchors as initializers
				}
				if !slices.Equal(got[name], dims) {
					t.Errorf("%s is %v, want %v", name, got[name], dims)
				}
			}
			for name := range got {
				if want[name] == nil {
					t.Errorf("%s is not in the export", name)
				}
			}
		})
	}
}

// convMACs counts the multiplications of all convolutions on the way of one picture.
func convMACs(m *onnxio.Model, size int64) int64 {
	dims, _ := parameters(m)
	at := map[string]int64{"image": size} // height and width of a value
	macs := int64(0)
	for _, n := range m.Graph.Nodes {
		if len(n.Inputs) == 0 || at[n.Inputs[0]] == 0 {
			continue
		}
		s := at[n.Inputs[0]]
		switch n.OpType {
		case "Conv":
			w := dims[n.Inputs[1]]
			s = (s+2*n.Attribute("pads").Ints[0]-w[2])/n.Attribute("strides").Ints[0] + 1
			macs += s * s * w[0] * w[1] * w[2] * w[3]
		case "Resize":
			s *= 2
		case "BatchNormalization", "Relu", "LeakyRelu", "Concat":
		default:
			continue
		}
		at[n.Outputs[0]] = s
	}
	return macs
}

func TestYOLOv3HasPaddleSlimsMACs(t *testing.T) {
	for classes, want := range map[int]int64{20: 21694656000, 80: 22160432640} {
		if got := convMACs(YOLOv3MobileNetV1(YOLOv3Options{Classes: classes, Output: "heads"}).Model(), 608); got != want {
			t.Errorf("%d classes: %d MACs, want %d", classes, got, want)
		}
	}
}

// picture is a smooth picture with some texture.
func picture(size int) *onnxruntime.Tensor {
	v := make([]float32, 0, 3*size*size)
	for c := range 3 {
		for y := range size {
			for x := range size {
				v = append(v, float32(math.Sin(float64(x*(c+1))/7)+math.Cos(float64(y)/5*float64(c+2))))
			}
		}
	}
	return onnxruntime.FromFloat32([]int64{1, 3, int64(size), int64(size)}, v)
}

func TestSeedNetworksRunInONNXRuntimeAndFindObjects(t *testing.T) {
	path, err := onnxruntime.Find()
	if err != nil {
		t.Skip(err)
	}
	lib, err := onnxruntime.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	const size = 160
	info := onnxruntime.FromFloat32([]int64{1, 3}, []float32{size, size, 1})
	yolo := map[string]*onnxruntime.Tensor{"image": picture(size), "im_size": onnxruntime.FromInt32([]int64{1, 2}, []int32{120, 200})}
	rcnn := map[string]*onnxruntime.Tensor{"image": picture(size), "im_info": info, "im_shape": info}
	small := RCNNOptions{Divisor: 8, Size: size, PreNMS: 200, PostNMS: 20, Keep: 10}
	guarded, open := small, small
	guarded.ControlFlow, open.Size = true, -1
	for name, c := range map[string]struct {
		built  *Builder
		inputs map[string]*onnxruntime.Tensor
		widest float64 // no coordinate may be larger
	}{
		"yolov3":             {YOLOv3MobileNetV1(YOLOv3Options{Divisor: 8, Size: size}), yolo, 199},
		"yolov3, open sizes": {YOLOv3MobileNetV1(YOLOv3Options{Divisor: 8, Size: -1, Classes: 80}), yolo, 199},
		"faster_rcnn":        {FasterRCNNR50(small), rcnn, size - 1},
		"faster_rcnn_cf":     {FasterRCNNR50(guarded), rcnn, size - 1},
		"mask_rcnn":          {MaskRCNNR50(small), rcnn, size - 1},
		"mask_rcnn, open":    {MaskRCNNR50(open), rcnn, size - 1},
	} {
		s, err := lib.NewSessionFromBytes(c.built.Bytes(), onnxruntime.Options{Threads: 1})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		out, err := s.Run(c.inputs, nil)
		s.Close()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := plausible(out["bbox"], c.widest); err != nil {
			t.Errorf("%s: bbox %v", name, err)
		}
		if mask := out["mask"]; mask != nil && (len(mask.Shape) != 4 || mask.Shape[0] != out["bbox"].Shape[0]) {
			t.Errorf("%s: mask %v for bbox %v", name, mask.Shape, out["bbox"].Shape)
		}
	}
}

// plausible checks that there are boxes, of several sizes, inside the picture, with scores in order per class.
func plausible(bbox *onnxruntime.Tensor, widest float64) error {
	if bbox == nil || len(bbox.Shape) != 2 || bbox.Shape[0] < 3 || bbox.Shape[1] != 6 {
		return fmt.Errorf("has shape %v, want at least 3 rows of 6", bbox.Shape)
	}
	v, err := bbox.Numbers()
	if err != nil {
		return err
	}
	widths := map[float64]bool{}
	for row := v; len(row) > 0; row = row[6:] {
		score, box := row[1], row[2:6]
		if math.IsNaN(score) || score < 0.01 || score > 1 || slices.Min(box) < 0 || slices.Max(box) > widest || box[0] > box[2] || box[1] > box[3] {
			return fmt.Errorf("holds the row %v", row[:6])
		}
		widths[box[2]-box[0]] = true
	}
	if len(widths) < 3 {
		return fmt.Errorf("has only %d widths in %d rows", len(widths), bbox.Shape[0])
	}
	return nil
}

func TestMaskRCNNCapturesTheSharedStage(t *testing.T) {
	m := MaskRCNNR50(RCNNOptions{Divisor: 16}).Model()
	uses := map[string]int{}
	m.Walk(func(n *onnxio.Node) {
		for _, in := range n.Inputs {
			uses[in]++
		}
	}, func(g *onnxio.Graph) {
		if g != m.Graph && len(g.Initializers) > 0 {
			t.Errorf("body %q has weights of its own", g.Name)
		}
	})
	for _, name := range []string{"res5a_branch2a_weights", "res5c_branch2c_weights", "bn5b_branch2b_scale"} {
		if uses[name] != 2 {
			t.Errorf("%s is used %d times, want in the main graph and in the body", name, uses[name])
		}
	}
	if !bytes.Equal(m.Bytes(), MaskRCNNR50(RCNNOptions{Divisor: 16}).Bytes()) {
		t.Error("two builds differ")
	}
}
