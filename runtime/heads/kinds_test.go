package heads

// Recognition, and the heads of which the corpus has no model: rows are written by hand after the formulas of their authors.

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// ends is a model whose outputs are declared as given, each the end of a layer with weights and, where named, of more nodes.
type ends struct {
	inputs  [][]any // name and extents of further inputs
	size    int     // of the picture's input
	outputs []end
	meta    map[string]string
}

type end struct {
	name   string
	elem   onnxio.DataType
	dims   []any
	behind string // an operator between the last layer and the output, "" for none
}

func float(name, behind string, dims ...any) end { return end{name, onnxio.Float, dims, behind} }

func (e ends) model() *onnxio.Model {
	b := testmodels.New(13)
	x := b.Input("image", onnxio.Float, 1, 3, e.size, e.size)
	for _, in := range e.inputs {
		b.Input(in[0].(string), onnxio.Float, in[1:]...)
	}
	for _, o := range e.outputs {
		y := b.Conv(o.name+"_layer", x, 3, 4, 1)
		op, in := "Identity", []string{y}
		switch o.behind {
		case "":
		case "Mul":
			op, in = "Mul", []string{y, y}
		default:
			op = o.behind
		}
		b.NodeTo(op, in, []string{o.name})
		b.Output(o.name, o.elem, o.dims...)
	}
	m := b.Model()
	for k, v := range e.meta {
		m.SetMetadata(k, v)
	}
	return m
}

var ultralytics = map[string]string{"task": "detect", "end2end": "False"}

func TestHeadsAreRecognised(t *testing.T) {
	nine := func(names ...string) (out []end) { // of strides 8, 16, 32 at 64 pixels
		for i, name := range names {
			out = append(out, float(name, "Sigmoid", 2*(64>>(2*(i%3))), []int{1, 4, 10}[i/3]))
		}
		return out
	}
	for _, c := range []struct {
		name    string
		model   ends
		options Options
		want    string // head and source
	}{
		{"cells of three strides in columns", ends{size: 64, outputs: []end{float("y", "", 1, 14, 84)}}, Options{}, "yolov8, the outputs"},
		{"the same with metadata", ends{size: 64, outputs: []end{float("y", "", 1, 14, 84)}, meta: ultralytics}, Options{}, "yolov8, the model's metadata"},
		{"three anchors a cell", ends{size: 64, outputs: []end{float("y", "Mul", 1, 252, 15)}}, Options{}, "yolov5, the outputs"},
		{"an open batch", ends{size: 64, outputs: []end{float("y", "Mul", "batch", 252, 15)}}, Options{}, "yolov5, the outputs"},
		{"one anchor a cell, as the layer gives it", ends{size: 64, outputs: []end{float("y", "Sigmoid", 1, 84, 15)}}, Options{}, "yolox, the outputs"},
		{"one anchor a cell, computed", ends{size: 64, outputs: []end{float("y", "Mul", 1, 84, 15)}}, Options{}, "yolov5, the outputs"},
		{"few rows of six", ends{size: 640, outputs: []end{float("y", "", 1, 300, 6)}}, Options{}, "yolov10, the outputs"},
		{"one class and three anchors are rows of six, too", ends{size: 64, outputs: []end{float("y", "Mul", 1, 252, 6)}}, Options{}, "yolov5, the outputs"},
		{"two classes in columns are six rows", ends{size: 64, outputs: []end{float("y", "", 1, 6, 84)}}, Options{}, "yolov8, the outputs"},
		{"masks beside boxes", ends{size: 64, outputs: []end{float("y", "", 1, 46, 84), float("masks", "", 1, 32, 16, 16)}, meta: map[string]string{"task": "segment"}},
			Options{Classes: 10}, "yolov8, the model's metadata"},
		{"NanoDet-Plus", ends{size: 64, outputs: []end{float("y", "Sigmoid", 1, 85, 42)}}, Options{}, "nanodet_plus, the outputs"},
		{"SCRFD", ends{size: 64, outputs: nine("443", "468", "493", "446", "471", "496", "449", "474", "499")}, Options{}, "scrfd, the outputs"},
		{"RF-DETR", ends{size: 64, outputs: []end{float("dets", "", 1, 300, 4), float("labels", "", 1, 300, 91)}}, Options{}, "rfdetr, the outputs"},
		{"D-FINE", ends{size: 64, inputs: [][]any{{"orig_target_sizes", 1, 2}}, outputs: []end{{"labels", onnxio.Int64, []any{1, 300}, ""}, float("boxes", "", 1, 300, 4),
			float("scores", "", 1, 300)}}, Options{}, "detr, the outputs"},
		{"the same without the size is torchvision's", ends{size: 64, outputs: []end{{"labels", onnxio.Int64, []any{"n"}, ""}, float("boxes", "", "n", 4), float("scores", "", "n")}},
			Options{}, "torchvision, the outputs"},
		{"DETR by profile", ends{size: 64, outputs: []end{float("logits", "", 1, 100, 92), float("pred_boxes", "", 1, 100, 4)}}, Options{Profile: "detr"}, "detr_softmax, the profile"},
		{"D-FINE of Hugging Face by profile", ends{size: 64, outputs: []end{float("logits", "", 1, 300, 80), float("pred_boxes", "", 1, 300, 4)}}, Options{Profile: "dfine"}, "detr_sigmoid, the profile"},
		{"Paddle's rows with their number", ends{size: 64, inputs: [][]any{{"scale_factor", 1, 2}}, outputs: []end{float("multiclass_nms3_0.tmp_0", "", "n", 6),
			{"multiclass_nms3_0.tmp_2", onnxio.Int32, []any{1}, ""}}}, Options{}, "paddle, the outputs"},
		{"Paddle's boxes and scores", ends{size: 64, outputs: []end{float("b", "", 1, 252, 4), float("s", "", 1, 20, 252)}}, Options{}, "paddle_boxes, the outputs"},
		{"rows that say what they are", ends{size: 64, outputs: []end{float("batchno_classid_score_x1y1x2y2", "", "n", 7)}}, Options{}, "rows, the outputs"},
		{"six classes are no rows", ends{size: 64, outputs: []end{float("probabilities", "Softmax", 1, 6)}}, Options{}, "imagenet, the outputs"},
		{"a pooled classifier", ends{size: 64, outputs: []end{float("y", "", "N", 1000, 1, 1)}}, Options{}, "imagenet, the outputs"},
		{"a profile of a family", ends{size: 64, outputs: []end{float("y", "", 1, 14, 84)}}, Options{Profile: "yolov5"}, "yolov8, the profile"},
		{"outputs that are named", ends{size: 64, outputs: []end{float("p", "", 1, 99, 4), float("q", "", 1, 99, 3)}},
			Options{Outputs: &Spec{Boxes: "p", Scores: "q", Format: XYXY}}, "outputs, the outputs that were named"},
	} {
		h, err := Find(c.model.model(), nil, c.options)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := h.Name + ", " + string(h.Reason.By); got != c.want {
			t.Errorf("%s: %s (%s), want %s", c.name, got, h.Reason.Why, c.want)
		}
	}
}

func TestUnknownHeadsSayWhatThereIs(t *testing.T) {
	for _, c := range []struct {
		name    string
		model   ends
		options Options
		want    []string // parts of the message
		open    bool
	}{
		{"a map of pixels", ends{size: 64, outputs: []end{float("mask", "", 1, 4, 64, 64)}}, Options{}, []string{`"mask" float32[1,4,64,64]`, "boxes=NAME"}, false},
		{"open shapes", ends{size: 64, outputs: []end{float("y", "", 1, "a", "b")}}, Options{}, []string{`"y" float32[1,?,?]`, "until the model runs"}, true},
		{"a profile that does not fit", ends{size: 64, outputs: []end{float("y", "", 1, 14, 84)}}, Options{Profile: "scrfd"}, []string{"profile scrfd reads", `"y" float32[1,14,84]`}, false},
		{"a misspelt profile", ends{size: 64, outputs: []end{float("y", "", 1, 14, 84)}}, Options{Profile: "yolo8"}, []string{`profile "yolo8" is not known`, "yolov8"}, false},
		{"two heads look alike", ends{size: 64, outputs: []end{float("logits", "", 1, 100, 92), float("pred_boxes", "", 1, 100, 4)}}, Options{}, []string{"detr_sigmoid or detr_softmax"}, false},
		{"rotated boxes", ends{size: 64, outputs: []end{float("y", "", 1, 15, 84)}, meta: map[string]string{"task": "obb"}}, Options{}, []string{"rotated"}, false},
		{"an output that is not there", ends{size: 64, outputs: []end{float("y", "", 1, 14, 84)}}, Options{Outputs: &Spec{Boxes: "z", Scores: "y"}}, []string{`no output "z"`, `"y"`}, false},
		{"a threshold out of range", ends{size: 64, outputs: []end{float("y", "", 1, 14, 84)}}, Options{Score: ptr(1.5)}, []string{"least score is 1.5"}, false},
	} {
		_, err := Find(c.model.model(), nil, c.options)
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", c.name, err, w)
			}
		}
		var unknown *UnknownError
		if open := errors.As(err, &unknown) && unknown.Open; open != c.open {
			t.Errorf("%s: open %v", c.name, open)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// A run of a model with one picture of 128 x 96 pixels at twice its size, 10 pixels down an input of 256 x 256.
var placed = detection.Placement{Width: 128, Height: 96, CanvasWidth: 256, CanvasHeight: 256, ScaleX: 2, ScaleY: 2, OffsetY: 10}

func TestHeadsWithoutAModelOfTheCorpus(t *testing.T) {
	box := detection.Box{X0: 40, Y0: 30, X1: 100, Y1: 90} // in the picture: 20, 10, 50, 40
	want := detection.Detection{Class: 0, Score: .75, Box: detection.Box{X0: 20, Y0: 10, X1: 50, Y1: 40}}
	logit := float32(math.Log(3)) // sigmoid .75
	tensor := func(dims ...int) *value.Tensor { return value.New(onnxio.Float, dims...) }
	put := func(t *value.Tensor, first int, vs ...float64) {
		for i, v := range vs {
			value.Of[float32](t)[first+i] = float32(v)
		}
	}
	class := func(d detection.Detection, k int) detection.Detection { d.Class = k; return d }

	t.Run("scrfd", func(t *testing.T) { // second anchor of column 4, row 3 at stride 16: the corner is 64, 48
		scores, dist := []*value.Tensor{tensor(2048, 1), tensor(512, 1), tensor(128, 1)}, []*value.Tensor{tensor(2048, 4), tensor(512, 4), tensor(128, 4)}
		at := 2*(3*16+4) + 1
		put(scores[1], at, .75)
		put(dist[1], 4*at, (64-box.X0)/16, (48-box.Y0)/16, (box.X1-64)/16, (box.Y1-48)/16)
		e := ends{size: 256}
		out := map[string]value.Value{}
		for i, name := range []string{"s8", "s16", "s32"} {
			e.outputs, out[name] = append(e.outputs, float(name, "Sigmoid", scores[i].Shape[0], 1)), scores[i]
		}
		for i, name := range []string{"d8", "d16", "d32"} {
			e.outputs, out[name] = append(e.outputs, float(name, "", dist[i].Shape[0], 4)), dist[i]
		}
		check(t, e, Options{}, out, want)
	})
	t.Run("nanodet_plus", func(t *testing.T) { // column 4, row 3 at stride 16: the corner is 64, 48; distances 1.5, 1.125, 2.25, 2.625
		y := tensor(1, 1024+256+64+16, 2+32)
		row := 34 * (1024 + 3*16 + 4)
		put(y, row, 0, .75)
		for side, d := range []float64{(64 - box.X0) / 16, (48 - box.Y0) / 16, (box.X1 - 64) / 16, (box.Y1 - 48) / 16} {
			whole, part := math.Modf(d)
			for bin := range 8 {
				put(y, row+2+8*side+bin, -1000)
			}
			put(y, row+2+8*side+int(whole), math.Log(max(1-part, 1e-300)), math.Log(max(part, 1e-300)))
		}
		check(t, ends{size: 256, outputs: []end{float("y", "Sigmoid", 1, 1360, 34)}}, Options{}, map[string]value.Value{"y": y}, class(want, 1))
	})
	t.Run("rfdetr", func(t *testing.T) {
		dets, labels := tensor(1, 300, 4), tensor(1, 300, 5)
		for i := range value.Of[float32](labels) {
			value.Of[float32](labels)[i] = -1000
		}
		put(dets, 4*7, 70./256, 60./256, 60./256, 60./256)
		put(labels, 5*7+3, float64(logit))
		check(t, ends{size: 256, outputs: []end{float("dets", "", 1, 300, 4), float("labels", "", 1, 300, 5)}}, Options{}, map[string]value.Value{"dets": dets, "labels": labels}, class(want, 3))
	})
	t.Run("detr_softmax", func(t *testing.T) {
		boxes, logits := tensor(1, 100, 4), tensor(1, 100, 3)
		for q := range 100 {
			put(logits, 3*q, -1000, -1000, 0)
		}
		put(boxes, 0, 70./256, 60./256, 60./256, 60./256)
		put(logits, 0, -1000, math.Log(3), 0) // 3 of 4 for class 1, 1 for no object
		check(t, ends{size: 256, outputs: []end{float("pred_logits", "", 1, 100, 3), float("pred_boxes", "", 1, 100, 4)}}, Options{Profile: "detr"},
			map[string]value.Value{"pred_logits": logits, "pred_boxes": boxes}, class(want, 1))
	})
	t.Run("rows", func(t *testing.T) {
		y := tensor(2, 7)
		put(y, 0, 0, 4, .75, 40, 30, 100, 90)
		put(y, 7, 0, -1, .9, 0, 0, 1, 1)
		check(t, ends{size: 256, outputs: []end{float("batchno_classid_score_x1y1x2y2", "", "n", 7)}}, Options{}, map[string]value.Value{"batchno_classid_score_x1y1x2y2": y}, class(want, 4))
	})
	t.Run("paddle, told the picture's size", func(t *testing.T) {
		y := tensor(1, 6)
		put(y, 0, 2, .75, 20, 10, 50, 40)
		check(t, ends{size: 256, inputs: [][]any{{"scale_factor", 1, 2}}, outputs: []end{float("bbox", "", "n", 6)}}, Options{PictureSizes: true}, map[string]value.Value{"bbox": y}, class(want, 2))
	})
	t.Run("paddle found nothing", func(t *testing.T) {
		y := tensor(1, 6)
		put(y, 0, -1, -1, -1, -1, -1, -1)
		check(t, ends{size: 256, outputs: []end{float("bbox", "", "n", 6)}}, Options{}, map[string]value.Value{"bbox": y})
	})
	t.Run("no boxes at all", func(t *testing.T) {
		e := ends{size: 256, outputs: []end{float("boxes", "", "n", 4), {"labels", onnxio.Int64, []any{"n"}, ""}, float("scores", "", "n")}}
		check(t, e, Options{}, map[string]value.Value{"boxes": tensor(0, 4), "labels": value.New(onnxio.Int64, 0), "scores": tensor(0)})
	})
	t.Run("boxes that are no numbers", func(t *testing.T) {
		y := tensor(2, 6)
		put(y, 0, 0, .9, math.NaN(), 10, 20, 30, 0, math.Inf(1), 1, 2, 3, 4)
		check(t, ends{size: 256, outputs: []end{float("bbox", "", "n", 6)}}, Options{}, map[string]value.Value{"bbox": y})
	})
	t.Run("outputs that are named", func(t *testing.T) {
		spec, err := ParseSpec("boxes=b,scores=s,format=cxcywh,units=normalised,activation=sigmoid,background=last")
		if err != nil {
			t.Fatal(err)
		}
		b, s := tensor(1, 4, 9), tensor(1, 9, 3) // boxes in columns
		for i, v := range []float64{70. / 256, 60. / 256, 60. / 256, 60. / 256} {
			put(b, 9*i+5, v)
		}
		for i := range value.Of[float32](s) {
			value.Of[float32](s)[i] = -1000
		}
		put(s, 3*5, -1000, float64(logit), 50)
		check(t, ends{size: 256, outputs: []end{float("b", "", 1, 4, 9), float("s", "", 1, 9, 3)}}, Options{Outputs: spec}, map[string]value.Value{"b": b, "s": s}, class(want, 1))
	})
	t.Run("TensorFlow's names", func(t *testing.T) {
		spec, err := ParseSpec("boxes=detection_boxes,scores=detection_scores,labels=detection_classes,format=yxyx,units=normalised,background=first,nms=off")
		if err != nil {
			t.Fatal(err)
		}
		b, s, c := tensor(1, 2, 4), tensor(1, 2), tensor(1, 2)
		put(b, 4, 30./256, 40./256, 90./256, 100./256)
		put(s, 0, 0, .75)
		put(c, 0, 0, 3)
		e := ends{size: 256, outputs: []end{float("detection_boxes", "", 1, 2, 4), float("detection_scores", "", 1, 2), float("detection_classes", "", 1, 2)}}
		check(t, e, Options{Outputs: spec}, map[string]value.Value{"detection_boxes": b, "detection_scores": s, "detection_classes": c}, class(want, 2))
	})
}

// Data sets are matched with the model by how many classes it has, so the background is none, and boxes may be fewer than classes.
func TestNamedOutputsCountClasses(t *testing.T) {
	for _, c := range []struct {
		boxes, scores []any
		background    Background
		want          int
	}{
		{[]any{1, 9, 4}, []any{1, 9, 3}, NoBackground, 3},
		{[]any{1, 2, 4}, []any{1, 2, 80}, NoBackground, 80}, // fewer boxes than classes
		{[]any{1, 4, 9}, []any{1, 80, 9}, NoBackground, 80},
		{[]any{1, 9, 4}, []any{1, 9, 21}, FirstBackground, 20},
		{[]any{1, 9, 4}, []any{1, 9, 92}, LastBackground, 91},
		{[]any{1, "n", 4}, []any{1, "n", 3}, NoBackground, 0}, // a run tells
	} {
		m := ends{size: 64, outputs: []end{float("b", "", c.boxes...), float("s", "", c.scores...)}}.model()
		h, err := Find(m, nil, Options{Outputs: &Spec{Boxes: "b", Scores: "s", Format: XYXY, Background: c.background}})
		if err != nil {
			t.Fatal(err)
		}
		if h.Classes != c.want {
			t.Errorf("boxes %v, scores %v, background %q: %d classes, want %d", c.boxes, c.scores, c.background, h.Classes, c.want)
		}
	}
}

// check finds the head by the outputs of a run and compares what it detects.
func check(t *testing.T, e ends, o Options, outputs map[string]value.Value, want ...detection.Detection) {
	t.Helper()
	h, err := Find(e.model(), outputs, o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Detect(outputs, placed)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(want) {
		t.Fatalf("%s finds %v, want %v", h.Name, got, want)
	}
	for i, w := range want {
		g := got[i]
		if g.Class != w.Class || math.Abs(g.Score-w.Score) > 1e-6 || math.Abs(g.Box.X0-w.Box.X0)+math.Abs(g.Box.Y0-w.Box.Y0)+math.Abs(g.Box.X1-w.Box.X1)+math.Abs(g.Box.Y1-w.Box.Y1) > 1e-3 {
			t.Errorf("%s finds %+v, want %+v", h.Name, g, w)
		}
	}
}

func TestOutputsThatDoNotFitAreErrors(t *testing.T) {
	m := ends{size: 64, outputs: []end{float("y", "", 1, 14, 84)}}.model()
	h, err := Find(m, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	at := square(64)
	for _, c := range []struct {
		name    string
		outputs map[string]value.Value
		at      detection.Placement
		want    string
	}{
		{"no such output", map[string]value.Value{}, at, `no output "y"`},
		{"two pictures", map[string]value.Value{"y": value.New(onnxio.Float, 2, 14, 84)}, at, "one picture a run"},
		{"too few rows", map[string]value.Value{"y": value.New(onnxio.Float, 1, 13, 84)}, at, "13 rows for 10 classes"},
		{"no numbers", map[string]value.Value{"y": value.New(onnxio.String, 1, 14, 84)}, at, "holds no numbers"},
		{"a sequence", map[string]value.Value{"y": &value.Sequence{}}, at, "no tensor"},
		{"no placement", map[string]value.Value{"y": value.New(onnxio.Float, 1, 14, 84)}, detection.Placement{}, "where the picture lies"},
	} {
		if _, err := h.Detect(c.outputs, c.at); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := h.Classify(nil); err == nil {
		t.Error("a detector classifies")
	}
}

func TestClassifiersGiveTheirScores(t *testing.T) {
	h, err := Find(ends{size: 64, outputs: []end{float("y", "", "N", 3)}}.model(), nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := h.Classify(map[string]value.Value{"y": value.From([]float32{.5, 3, -1}, 1, 3)})
	if err != nil || h.Task != Classification || h.Classes != 3 || len(got) != 3 || got[1] != 3 {
		t.Errorf("%v, %v, %+v", got, err, h)
	}
	if _, err := h.Classify(map[string]value.Value{"y": value.New(onnxio.Float, 2, 3)}); err == nil {
		t.Error("two pictures are read as one")
	}
	if _, err := h.Detect(nil, square(64)); err == nil {
		t.Error("a classifier detects")
	}
}

func TestSpecsThatAreWrongSayWhy(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "KEY=VALUE",
		"boxes=a":                       "none for scores",
		"boxes=a,scores":                "KEY=VALUE",
		"boxes=a,scores=b,boxes=c":      "twice",
		"boxes=a,scores=b,format=xy":    "there are xyxy, yxyx, xywh and cxcywh",
		"boxes=a,scores=b,units=feet":   "there are pixels and normalised",
		"boxes=a,scores=b,activation=x": "there are none, sigmoid and softmax",
		"boxes=a,scores=b,background=0": "there are none, first and last",
		"boxes=a,scores=b,nms=yes":      "there are on and off",
		"boxes=a,scores=b,colour=red":   "there are boxes, scores",
	} {
		if _, err := ParseSpec(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", text, err, want)
		}
	}
}

func TestEveryHeadIsDocumented(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "heads.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		if !strings.Contains(string(b), "`"+k.name+"`") {
			t.Errorf("docs/heads.md does not name %s", k.name)
		}
	}
	for family, names := range families {
		for _, n := range names {
			if !slices.ContainsFunc(kinds, func(k kind) bool { return k.name == n }) {
				t.Errorf("family %s names a head %q that is not there", family, n)
			}
		}
	}
}
