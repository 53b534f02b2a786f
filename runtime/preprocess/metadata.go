package preprocess

// What exporters write into a model's metadata_props: ultralytics description, author, date, version, license, docs, stride, task, batch, imgsz,
// names, args, channels, end2end and head (ultralytics/engine/exporter.py); YOLOv5 stride and names (export.py).

import (
	"fmt"
	"strings"

	"onnxprune/onnxio"
)

func fromMetadata(m *onnxio.Model) said {
	s := said{why: "the model's metadata"}
	read := func(key string) any {
		text := m.Metadata(key)
		if text == "" {
			return nil
		}
		v, err := literal(text)
		if err != nil {
			s.notes = append(s.notes, fmt.Sprintf("metadata %s is passed over: %v", key, err))
		}
		return v
	}
	set := func(key, value, why string) {
		s.settings = append(s.settings, Setting{key, value, FromMetadata, "metadata " + why})
	}
	names, stride := read("names"), m.Metadata("stride") != ""
	s.classes = classNames(names)
	if n, ok := read("stride").(int64); ok {
		s.facts.Stride = int(n)
	}
	s.facts.Task, s.facts.Head, s.facts.Author = m.Metadata("task"), m.Metadata("head"), m.Metadata("author")
	s.facts.End2End = m.Metadata("end2end") == "True"
	if s.facts.Author != "Ultralytics" && s.facts.Task == "" {
		if stride && s.classes != nil {
			s.profile, s.why = "yolov5", "metadata stride and names, as YOLOv5 writes them"
		}
		return s
	}
	height, width := int64(0), int64(0)
	switch v := read("imgsz").(type) {
	case int64:
		height, width = v, v
	case []any:
		if len(v) == 2 {
			height, _ = v[0].(int64)
			width, _ = v[1].(int64)
		}
	}
	if height > 0 && width > 0 {
		set("size", fmt.Sprintf("%dx%d", width, height), "imgsz")
	}
	if n, ok := read("channels").(int64); ok && n == 1 {
		set("order", "grey", "channels")
	}
	switch {
	case s.facts.Task == "classify": // ultralytics/data/augment.py, classify_transforms: Resize and CenterCrop to imgsz, mean 0, std 1
		for _, kv := range [][2]string{{"fit", "crop"}, {"resample", "bilinear-antialias"}, {"order", "rgb"}, {"scale", "1/255"}} {
			set(kv[0], kv[1], "task classify")
		}
	case s.facts.End2End || strings.HasPrefix(s.facts.Head, "v10"):
		s.profile, s.why = "yolov10", "metadata of ultralytics, end2end"
	default:
		s.profile, s.why = "yolov8", "metadata of ultralytics"
	}
	return s
}

// classNames reads names as a list or as a dictionary from 0 on; nil where it is neither.
func classNames(v any) []string {
	switch v := v.(type) {
	case []any:
		out := make([]string, len(v))
		for i, n := range v {
			out[i] = fmt.Sprint(n)
		}
		return out
	case dict:
		out := make([]string, len(v))
		seen := make([]bool, len(v))
		for _, p := range v {
			k, ok := p.key.(int64)
			if !ok || k < 0 || int(k) >= len(v) || seen[k] {
				return nil
			}
			out[k], seen[k] = fmt.Sprint(p.value), true
		}
		return out
	}
	return nil
}
