package main

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"onnxprune"
	"onnxprune/runtime/dataset"
	"onnxprune/runtime/engine"
	"onnxprune/runtime/heads"
	"onnxprune/runtime/metrics"
	"onnxprune/runtime/preprocess"
)

// dataFlags say what a model is measured on and how.
func dataFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "data", Usage: "the data set: a `FOLDER` (COCO, Pascal VOC, YOLO, a folder for each class, pictures, tensors) or the file that lists it"},
		&cli.IntFlag{Name: "limit", Usage: "measure on the first `N` pictures alone"},
		&cli.StringFlag{Name: "engine", Usage: "embedded, onnxruntime or auto", Value: string(engine.Embedded)},
		&cli.IntFlag{Name: "threads", Usage: "pictures at a time; 0: one per processor"},
	}, feedFlags()...)
}

// feedFlags say how a data set is read, how pictures become inputs, and what outputs mean.
func feedFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "annotations", Usage: "COCO's JSON `FILE`, where it is not in the folder"},
		&cli.StringFlag{Name: "images", Usage: "`FOLDER` of the pictures, where it is not the usual one"},
		&cli.StringFlag{Name: "split", Usage: "val, train or test, where the data set has more than one"},
		&cli.StringFlag{Name: "data-format", Usage: "coco, voc, yolo, classes, pictures or tensors, where it can not be told"},
		&cli.StringFlag{Name: "family", Aliases: []string{"profile"}, Usage: "the `FAMILY` that the model is of: how it is fed and read (yolov8, yolox, paddle, imagenet, ...)"},
		&cli.StringFlag{Name: "preprocess", Usage: "how pictures become inputs, as `size=640x640,letterbox,fill=114,bgr,scale=1/255,mean=..,std=..`"},
		&cli.StringFlag{Name: "preprocess-file", Usage: "the same as a YAML `FILE`, with the names of the classes"},
		&cli.StringFlag{Name: "picture-input", Usage: "the `INPUT` that takes the picture, where it can not be told"},
		&cli.StringFlag{Name: "outputs", Usage: "which output is what, as `boxes=NAME,scores=NAME`, with labels=, format=, units=, activation=, background=, nms="},
		&cli.Float64Flag{Name: "score", Usage: "least score of a detection, in place of the family's"},
		&cli.Float64Flag{Name: "iou", Usage: "overlap above which a detection is suppressed, in place of the family's"},
		&cli.IntFlag{Name: "max-detections", Usage: "most detections of a picture, in place of the family's"},
	}
}

func evalFlags() []cli.Flag {
	return slices.Concat(dataFlags(), requestFlags(), []cli.Flag{
		&cli.Uint64Flag{Name: "seed", Usage: "of the criterion random"},
		&cli.StringFlag{Name: "against", Usage: "put the model beside its original `MODEL`"},
		&cli.StringFlag{Name: "baseline", Usage: "resize: what smaller pictures would cost in place of a prune"},
		&cli.StringSliceFlag{Name: "sizes", Usage: "of the resize baseline: `PIXELS` of the longer side of the input"},
		&cli.StringFlag{Name: "format", Usage: "coco (the twelve figures) or ultralytics (a row a class)"},
		&cli.BoolFlag{Name: "per-class", Usage: "show the figures of every class"},
		&cli.StringFlag{Name: "save-predictions", Usage: "write the detections to a `FILE` in COCO's format"},
		shapeFlag(), inexactFlag(), jsonFlag(), quietFlag(),
	})
}

// dataOptions reads dataFlags.
func dataOptions(c *cli.Context) (d onnxprune.Data, e onnxprune.Engine, err error) {
	usage := func(err error) error { return &onnxprune.UsageError{Msg: err.Error()} }
	if c.Int("limit") < 0 {
		return d, e, usage(fmt.Errorf("--limit %d is negative", c.Int("limit")))
	}
	d, err = feedOptions(c)
	d.Path, d.Set.Limit = c.String("data"), c.Int("limit")
	return d, onnxprune.Engine{Kind: engine.Kind(c.String("engine")), Threads: c.Int("threads")}, err
}

// feedOptions reads feedFlags.
func feedOptions(c *cli.Context) (d onnxprune.Data, err error) {
	usage := func(err error) error { return &onnxprune.UsageError{Msg: err.Error()} }
	d = onnxprune.Data{Set: dataset.Options{Format: dataset.Format(c.String("data-format")), Annotations: c.String("annotations"),
		Images: c.String("images"), Split: c.String("split")}, Family: c.String("family"),
		Preprocess: preprocess.Options{File: c.String("preprocess-file"), Input: c.String("picture-input")}}
	if d.Preprocess.Settings, err = preprocess.ParseSettings(c.String("preprocess"), preprocess.FromFlags, "--preprocess"); err != nil {
		return d, err
	}
	if text := c.String("outputs"); text != "" {
		if d.Head.Outputs, err = heads.ParseSpec(text); err != nil {
			return d, usage(fmt.Errorf("--outputs: %w", err))
		}
	}
	if c.IsSet("score") {
		v := c.Float64("score")
		d.Head.Score = &v
	}
	if c.IsSet("iou") {
		v := c.Float64("iou")
		d.Head.IoU = &v
	}
	if c.IsSet("max-detections") {
		v := c.Int("max-detections")
		d.Head.Detections = &v
	}
	return d, nil
}

// evaluate is onnxprune eval MODEL --data FOLDER.
func evaluate(c *cli.Context, t *terminal) error {
	args, err := files(c, 1, 1, "eval MODEL.onnx --data FOLDER")
	if err != nil {
		return err
	}
	var opt onnxprune.EvaluateOptions
	if opt.Data, opt.Engine, err = dataOptions(c); err != nil {
		return err
	}
	if opt.Options, err = options(c); err != nil {
		return err
	}
	if opt.Request, opt.Allocation, err = request(c); err != nil {
		return err
	}
	opt.PlanIn = c.String("plan")
	opt.Against, opt.SavePredictions = c.String("against"), c.String("save-predictions")
	switch c.String("baseline") {
	case "":
	case "resize":
		opt.Resize = true
	default:
		return &onnxprune.UsageError{Msg: fmt.Sprintf("baseline %q is not known; there is resize", c.String("baseline"))}
	}
	for _, w := range words(c.StringSlice("sizes")) {
		n, err := strconv.Atoi(w)
		if err != nil {
			return &onnxprune.UsageError{Msg: fmt.Sprintf("size %q is no number of pixels", w)}
		}
		opt.Sizes = append(opt.Sizes, n)
	}
	format := c.String("format")
	if !slices.Contains([]string{"", "coco", "ultralytics"}, format) {
		return &onnxprune.UsageError{Msg: fmt.Sprintf("format %q is not known; there are coco and ultralytics", format)}
	}
	begin, step, end := t.pictures(c.Bool("quiet") || c.Bool("json"))
	opt.Stage, opt.Progress = begin, step
	r, err := onnxprune.Evaluate(c.Context, args[0], opt)
	end()
	switch {
	case err != nil:
		return err
	case c.Bool("json"):
		return t.json(r)
	case !c.Bool("quiet"):
		t.evaluation(r, format, c.Bool("per-class"))
	}
	return nil
}

// evaluation prints what eval found out.
func (t *terminal) evaluation(r *onnxprune.Evaluation, format string, perClass bool) {
	t.printf("%s on %s: %s of %d, %s\n", r.Model, r.Data, plural(r.Result.Pictures, "picture"), r.Samples, r.Engine)
	if p := r.Preprocessing; p != nil {
		for _, l := range p.Lines() {
			t.printf("  %s\n", l)
		}
	}
	if h := r.Head; h != nil {
		t.printf("  head: %s (%s); %s\n", h.Name, h.Reason, limits(h.Limits))
	}
	t.broken(r.Broken)
	shown := []*onnxprune.Measured{r.Result}
	if r.Original != nil {
		shown = []*onnxprune.Measured{r.Original, r.Result}
	}
	t.beside(shown)
	for _, m := range shown {
		switch {
		case m.COCO == nil:
		case format == "coco":
			t.title("COCO, " + m.File)
			t.coco(m.COCO.COCOFigures)
		case format == "ultralytics" || perClass:
			t.title("Classes, " + m.File)
			t.classes(r, m, perClass || format == "ultralytics")
		}
	}
	t.resized(r, shown)
	for _, n := range r.Notes {
		t.printf("Note: %s\n", n)
	}
	if r.Predictions != "" {
		t.printf("Wrote the detections to %s\n", r.Predictions)
	}
}

func limits(l heads.Limits) string {
	parts := []string{fmt.Sprintf("scores above %v", l.Score)}
	if l.IoU > 0 {
		parts = append(parts, fmt.Sprintf("suppressed above IoU %v", l.IoU))
	}
	if l.Detections > 0 {
		parts = append(parts, fmt.Sprintf("at most %d detections", l.Detections))
	}
	return strings.Join(parts, ", ")
}

// broken names the pictures that could not be read.
func (t *terminal) broken(all []dataset.Broken) {
	if len(all) == 0 {
		return
	}
	t.printf("%s could not be read and did not count:\n", t.paint(plural(len(all), "picture"), text.FgYellow))
	const most = 10
	for i, b := range all {
		if i == most {
			t.printf("  and %d more (--json lists all)\n", len(all)-most)
			break
		}
		t.printf("  %s: %s\n", b.Name, b.Reason)
	}
}

// share writes a share, "-" where there is none.
func share(v float64) string {
	if v < 0 || math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.4f", v)
}

// beside prints models side by side.
func (t *terminal) beside(all []*onnxprune.Measured) {
	t.title("Measured")
	columns := []column{{name: ""}}
	for _, m := range all {
		columns = append(columns, column{filepath.Base(m.File), true})
	}
	first := all[0]
	var rows [][]string
	row := func(name string, of func(m *onnxprune.Measured) string) {
		r := []string{name}
		for _, m := range all {
			r = append(r, of(m))
		}
		rows = append(rows, r)
	}
	if first.COCO != nil {
		row("mAP50-95", func(m *onnxprune.Measured) string { return share(m.COCO.AP) })
		row("mAP50", func(m *onnxprune.Measured) string { return share(m.COCO.AP50) })
		row("mAP75", func(m *onnxprune.Measured) string { return share(m.COCO.AP75) })
	}
	if first.VOC != nil {
		row("VOC mAP, area", func(m *onnxprune.Measured) string { return share(m.VOC.AP) })
		row("VOC mAP, 11 points", func(m *onnxprune.Measured) string { return share(m.VOC.AP11) })
	}
	if first.Accuracy != nil {
		row("top-1", func(m *onnxprune.Measured) string { return share(m.Accuracy.Top1) })
		row("top-5", func(m *onnxprune.Measured) string { return share(m.Accuracy.Top5) })
	}
	fidelity := func(name string, of func(f *metrics.FidelityResult) (float64, bool)) {
		if last := all[len(all)-1].Fidelity; last == nil {
			return
		} else if _, ok := of(last); !ok {
			return
		}
		row(name, func(m *onnxprune.Measured) string {
			if m.Fidelity == nil {
				return ""
			}
			v, _ := of(m.Fidelity)
			return fmt.Sprintf("%.4g", v)
		})
	}
	fidelity("mAP50-95 against the original's", func(f *metrics.FidelityResult) (float64, bool) {
		if f.Detections == nil {
			return 0, false
		}
		return f.Detections.AP, true
	})
	fidelity("top-1 agreement", func(f *metrics.FidelityResult) (float64, bool) {
		if f.Top1 == nil {
			return 0, false
		}
		return *f.Top1, true
	})
	outputs := func(of func(o *metrics.OutputError) float64) func(f *metrics.FidelityResult) (float64, bool) {
		return func(f *metrics.FidelityResult) (float64, bool) {
			if f.Outputs == nil {
				return 0, false
			}
			return of(f.Outputs), true
		}
	}
	fidelity("squared error of the outputs", outputs(func(o *metrics.OutputError) float64 { return o.Squared }))
	fidelity("the same, relative", outputs(func(o *metrics.OutputError) float64 { return o.Relative }))
	fidelity("cosine of the outputs", outputs(func(o *metrics.OutputError) float64 { return o.Cosine }))
	row("MACs", func(m *onnxprune.Measured) string { return thousands(m.MACs) })
	row("parameters", func(m *onnxprune.Measured) string { return thousands(m.Params) })
	row("ms a picture: preprocess, inference, postprocess", func(m *onnxprune.Measured) string {
		return fmt.Sprintf("%.1f, %.1f, %.1f", m.Speed.Preprocess, m.Speed.Inference, m.Speed.Postprocess)
	})
	t.table(columns, rows)
}

// coco prints the twelve figures as pycocotools does.
func (t *terminal) coco(f metrics.COCOFigures) {
	for i, v := range f.Values() {
		k := metrics.COCOSummary[i]
		what, short := "Average Recall", "(AR)"
		if k.Precision {
			what, short = "Average Precision", "(AP)"
		}
		t.printf(" %-18s %s @[ IoU=%-9s | area=%6s | maxDets=%3d ] = %0.3f\n", what, short, k.IoU, k.Area, k.Most, v)
	}
}

// classes prints ultralytics' table: a row for all, and one for each class.
func (t *terminal) classes(r *onnxprune.Evaluation, m *onnxprune.Measured, each bool) {
	columns := []column{{name: "Class"}, {"Images", true}, {"Instances", true}, {"P", true}, {"R", true}, {"mAP50", true}, {"mAP50-95", true}}
	objects := 0
	for _, k := range m.COCO.Classes {
		objects += k.Objects
	}
	rows := [][]string{{"all", fmt.Sprint(m.Pictures), fmt.Sprint(objects), share(m.COCO.Precision), share(m.COCO.Recall), share(m.COCO.AP50), share(m.COCO.AP)}}
	for _, k := range m.COCO.Classes {
		if k.Objects == 0 || !each {
			continue
		}
		name := fmt.Sprint(k.Class)
		if k.Class < len(r.Classes) {
			name = r.Classes[k.Class]
		}
		rows = append(rows, []string{name, fmt.Sprint(k.Pictures), fmt.Sprint(k.Objects), share(k.Precision), share(k.Recall), share(k.AP50), share(k.AP)})
	}
	t.table(columns, rows)
}

// resized prints the curve of smaller inputs, and where the model lies on it.
func (t *terminal) resized(r *onnxprune.Evaluation, shown []*onnxprune.Measured) {
	if len(r.Resize) == 0 {
		return
	}
	t.title("A smaller input instead of a prune (" + shown[0].File + ")")
	columns := []column{{name: "input"}, {"MACs", true}, {"", true}, {shown[0].Metric, true}, {"measured on", false}}
	why := ""
	rows := [][]string{}
	for _, z := range r.Resize {
		how := "the model at that size"
		if z.How == onnxprune.HowCanvas {
			how, why = "pictures of that size on the model's own input", z.Why
		}
		rows = append(rows, []string{fmt.Sprintf("%dx%d", z.Width, z.Height), thousands(z.MACs), fmt.Sprintf("%+.1f %%", 100*(z.Share-1)), share(z.Value), how})
	}
	t.table(columns, rows)
	if why != "" {
		t.printf("The model can not be brought to a size: %s\n", why)
	}
	if r.Original != nil && r.Result.MACs < r.Original.MACs {
		if v, ok := r.Rival(); ok {
			t.printf("At the MACs of %s a smaller input gives %s; it has %s\n", r.Result.File, share(v), share(r.Result.Value))
		}
	}
}
