package preprocess

// Files that exporters write beside a model: Paddle's infer_cfg.yml and inference.yml, mmdeploy's pipeline.json and detail.json, Hugging Face's
// preprocessor_config.json and config.json. What is not understood there is told, never guessed.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// sidecar reads one kind of file.
type sidecar struct {
	name string
	read func(s *collector, t tree)
}

var sidecars = []sidecar{
	{"infer_cfg.yml", paddleDetection},
	{"inference.yml", paddle},
	{"pipeline.json", mmdeploy},
	{"detail.json", mmdeployDetail},
	{"preprocessor_config.json", huggingFace},
	{"processor_config.json", func(c *collector, t tree) { huggingFace(c, t.at("image_processor")) }},
	{"config.json", huggingFaceModel},
}

// collector gathers what one file says.
type collector struct {
	said
	file string
	step string // the part of the file that is read, for Setting.Why
}

func (c *collector) set(key, value string) {
	why := c.file
	if c.step != "" {
		why += ", " + c.step
	}
	set := Setting{key, value, FromSidecar, why}
	if err := (&Recipe{}).Set(set); err != nil {
		c.notes = append(c.notes, fmt.Sprintf("%v: passed over", err))
		return
	}
	for i := range c.settings { // the later step decides
		if c.settings[i].Key == key {
			c.settings[i] = set
			return
		}
	}
	c.settings = append(c.settings, set)
}

func (c *collector) size(width, height float64) { c.set("size", words([]float64{width, height}, "x")) }

func (c *collector) normalise(mean, std []float64) {
	if mean != nil {
		c.set("mean", words(mean, ":"))
	}
	if std != nil {
		c.set("std", words(std, ":"))
	}
}

func (c *collector) unknown(what string) {
	c.notes = append(c.notes, fmt.Sprintf("%s: %s is not understood and passed over", c.file, what))
}

// fromSidecar reads the files beside a model, or in the folder above where the model lies in one called onnx, as Hugging Face's exporter
// lays it.
func fromSidecar(path string) (said, error) {
	var all said
	if path == "" {
		return all, nil
	}
	folder := filepath.Dir(path)
	folders := []string{folder}
	if abs, err := filepath.Abs(folder); err == nil && filepath.Base(abs) == "onnx" {
		folders = append(folders, filepath.Dir(abs))
	}
	for _, folder := range folders {
		for _, kind := range sidecars {
			file := filepath.Join(folder, kind.name)
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				continue
			}
			c := &collector{file: kind.name}
			b, err := readBounded(file)
			if err == nil {
				var t tree
				if t, err = parseTree(b); err == nil {
					kind.read(c, t)
				}
			}
			if err != nil {
				return all, &Error{fmt.Sprintf("%s, beside the model: %v; mend it, or move it away and say how pictures are fed", file, err)}
			}
			all.merge(c)
		}
	}
	return all, nil
}

// merge adds what one more file says; what an earlier one says stays.
func (s *said) merge(c *collector) {
	said := map[string]bool{}
	for _, set := range s.settings {
		said[set.Key] = true
	}
	for _, set := range c.settings {
		if !said[set.Key] {
			s.settings = append(s.settings, set)
		}
	}
	if s.classes == nil && c.classes != nil {
		s.classes, s.why = c.classes, c.file
	}
	s.facts.add(c.facts)
	s.notes = append(s.notes, c.notes...)
}

// cvFilters are the numbers of cv2's interpolations.
var cvFilters = map[float64]string{0: "nearest", 1: "linear", 2: "cubic", 3: "area"}

// paddleDetection reads infer_cfg.yml: PaddleDetection, ppdet/engine/export_utils.py writes it and deploy/python/preprocess.py obeys it.
func paddleDetection(c *collector, t tree) {
	steps := t.at("Preprocess").list()
	if steps == nil {
		return
	}
	c.set("order", "rgb")
	normalised := false
	for _, s := range steps {
		c.step = s.at("type").text()
		switch c.step {
		case "Resize":
			c.paddleResize(s)
		case "LetterBoxResize":
			c.target(s.at("target_size").numbers())
			c.set("fit", "letterbox")
			c.set("fill", "127") // cv2.copyMakeBorder with 127.5
		case "NormalizeImage":
			normalised = true
			c.set("scale", map[bool]string{true: "1/255", false: "1"}[s.at("is_scale").flag(true)])
			if s.at("norm_type").text() != "none" {
				c.normalise(s.at("mean").numbers(), s.at("std").numbers())
			}
		case "PadStride":
			if x, ok := s.at("stride").number(); ok && x > 0 {
				c.set("multiple", words([]float64{x}, ""))
				c.set("fill", "mean")
			}
		case "Pad":
			c.target(s.at("size").numbers())
			c.set("fit", "letterbox-top-left")
			fill := s.at("fill_value").numbers()
			switch {
			case normalised:
				c.set("fill", "mean")
			case len(fill) > 0:
				c.set("fill", words([]float64{float64(int(fill[0]))}, ""))
			}
		case "Permute", "":
		default:
			c.unknown(c.step)
		}
	}
	c.step = ""
	c.classes = t.at("label_list").texts()
}

// target takes a size as Paddle writes it: height, width.
func (c *collector) target(size []float64) {
	if len(size) == 1 {
		size = []float64{size[0], size[0]}
	}
	if len(size) == 2 {
		c.size(size[1], size[0])
	}
}

func (c *collector) paddleResize(s tree) {
	size := s.at("target_size").numbers()
	if !s.at("keep_ratio").flag(true) {
		c.set("fit", "stretch")
		c.target(size)
	} else if len(size) == 2 {
		c.set("fit", "keep-ratio")
		c.set("shorter", words([]float64{min(size[0], size[1])}, ""))
		c.set("longer", words([]float64{max(size[0], size[1])}, ""))
	}
	interp := 1.0
	if x, ok := s.at("interp").number(); ok {
		interp = x
	}
	if name, ok := cvFilters[interp]; ok {
		c.set("resample", name)
	} else {
		c.unknown(fmt.Sprintf("interp %v", interp))
	}
}

// paddle reads inference.yml: PaddleX writes the one of detectors like infer_cfg.yml, PaddleClas a list of transforms.
func paddle(c *collector, t tree) {
	paddleDetection(c, t)
	for _, s := range t.at("PreProcess", "transform_ops").list() {
		m, _ := s.v.(map[string]any)
		for name := range m { // one entry each
			c.step = name
			s = s.at(name)
		}
		switch c.step {
		case "ResizeImage":
			if x, ok := s.at("resize_short").number(); ok {
				c.set("fit", "crop")
				c.set("shorter", words([]float64{x}, ""))
			} else if size := s.at("size").numbers(); len(size) > 0 {
				c.set("fit", "stretch")
				c.size(size[0], size[len(size)-1])
			}
			switch name := s.at("interpolation").text(); {
			case s.at("backend").text() == "pil" && name == "bicubic":
				c.set("resample", "bicubic-antialias")
			case s.at("backend").text() == "pil":
				c.set("resample", "bilinear-antialias")
			case name == "bicubic":
				c.set("resample", "cubic")
			default:
				c.set("resample", "linear")
			}
		case "CropImage":
			if size := s.at("size").numbers(); len(size) > 0 {
				c.set("fit", "crop")
				c.size(size[0], size[len(size)-1])
			}
		case "NormalizeImage":
			if x, ok := s.at("scale").number(); ok {
				c.set("scale", words([]float64{x}, ""))
			}
			c.normalise(s.at("mean").numbers(), s.at("std").numbers())
		case "DecodeImage":
			c.set("order", map[bool]string{true: "rgb", false: "bgr"}[s.at("to_rgb").flag(true) && s.at("img_mode").text() != "BGR"])
		case "ToCHWImage":
		default:
			c.unknown(c.step)
		}
	}
	c.step = ""
	if c.classes == nil {
		c.classes = t.at("PostProcess", "Topk", "label_list").texts()
	}
}

// mmdeploy reads pipeline.json, as mmdeploy's tools/deploy.py --dump-info writes it.
func mmdeploy(c *collector, t tree) {
	for _, task := range t.at("pipeline", "tasks").list() {
		if task.at("module").text() != "Transform" {
			continue
		}
		normalised := false
		for _, s := range task.at("transforms").list() {
			c.step = s.at("type").text()
			size := s.at("size").numbers() // width, height
			if len(size) == 1 {
				size = append(size, size[0])
			}
			switch c.step {
			case "Resize":
				c.mmResize(s, size)
			case "Pad":
				if len(size) == 2 {
					c.size(size[0], size[1])
				} else if x, ok := s.at("size_divisor").number(); ok && x > 1 {
					c.set("multiple", words([]float64{x}, ""))
				}
				c.set("fill", "0")
				if fill := s.at("pad_val", "img").numbers(); len(fill) > 0 {
					c.set("fill", words([]float64{float64(int(fill[0]))}, ""))
				} else if fill := s.at("pad_val").numbers(); len(fill) > 0 {
					c.set("fill", words([]float64{float64(int(fill[0]))}, ""))
				}
				if normalised {
					c.set("fill", "mean")
				}
			case "CenterCrop":
				if crop := s.at("crop_size").numbers(); len(crop) > 0 {
					c.set("fit", "crop")
					c.size(crop[len(crop)-1], crop[0])
				}
			case "Normalize":
				normalised = true
				c.set("scale", "1")
				c.set("order", map[bool]string{true: "rgb", false: "bgr"}[s.at("to_rgb").flag(true)])
				c.normalise(s.at("mean").numbers(), s.at("std").numbers())
			case "LoadImageFromFile", "DefaultFormatBundle", "ImageToTensor", "Collect", "PackDetInputs", "PackInputs":
			default:
				c.unknown(c.step)
			}
		}
	}
	c.step = ""
}

func (c *collector) mmResize(s tree, size []float64) {
	switch {
	case len(size) == 2 && size[0] > 0 && size[1] < 0, len(size) == 2 && size[0] < 0: // mmpretrain: (256, -1), the shorter side
		c.set("fit", "crop")
		c.set("shorter", words([]float64{max(size[0], size[1])}, ""))
	case len(size) == 2 && s.at("keep_ratio").flag(false):
		c.set("fit", "keep-ratio")
		c.set("shorter", words([]float64{min(size[0], size[1])}, ""))
		c.set("longer", words([]float64{max(size[0], size[1])}, ""))
	case len(size) == 2:
		c.set("fit", "stretch")
		c.size(size[0], size[1])
	}
	if name := s.at("interpolation").text(); name == "bicubic" {
		c.set("resample", "cubic")
	} else {
		c.set("resample", "linear")
	}
}

// mmdeployDetail reads detail.json.
func mmdeployDetail(c *collector, t tree) {
	c.facts.Task = t.at("codebase", "task").text()
	if size := t.at("onnx_config", "input_shape").numbers(); len(size) == 2 && size[0] > 0 {
		c.size(size[0], size[1])
	}
}

// pillowFilters are the numbers of Pillow's resampling filters.
var pillowFilters = map[float64]string{0: "nearest", 2: "bilinear-antialias", 3: "bicubic-antialias"}

// huggingFace reads preprocessor_config.json, as transformers' image processors write it.
func huggingFace(c *collector, t tree) {
	if !t.has("image_processor_type") && !t.has("feature_extractor_type") && !t.has("do_resize") && !t.has("image_mean") {
		return
	}
	c.step = ""
	c.set("order", "rgb")
	edge := func(t tree) (width, height float64, ok bool) {
		if x, ok := t.number(); ok {
			return x, x, true
		}
		w, ok1 := t.at("width").number()
		h, ok2 := t.at("height").number()
		return w, h, ok1 && ok2
	}
	size := t.at("size")
	if t.at("do_resize").flag(true) {
		shortest, ok := size.at("shortest_edge").number()
		width, height, fixed := edge(size)
		switch crop := t.at("do_center_crop").flag(false); {
		case ok && !crop:
			c.set("fit", "keep-ratio")
			c.set("shorter", words([]float64{shortest}, ""))
			if x, ok := size.at("longest_edge").number(); ok {
				c.set("longer", words([]float64{x}, ""))
			}
			c.set("fill", "mean")
		case crop && (ok || fixed):
			c.set("fit", "crop")
			if !ok {
				shortest = min(width, height)
			}
			c.set("shorter", words([]float64{shortest}, ""))
		case fixed:
			c.set("fit", "stretch")
			c.size(width, height)
		}
		resample := 2.0
		if x, ok := t.at("resample").number(); ok {
			resample = x
		}
		if name, ok := pillowFilters[resample]; ok {
			c.set("resample", name)
		} else {
			c.unknown(fmt.Sprintf("resample %v", resample))
		}
	}
	if t.at("do_center_crop").flag(false) {
		if w, h, ok := edge(t.at("crop_size")); ok {
			c.set("fit", "crop")
			c.size(w, h)
		}
	}
	factor := 1.0 / 255
	if x, ok := t.at("rescale_factor").number(); ok {
		factor = x
	}
	if !t.at("do_rescale").flag(true) {
		factor = 1
	}
	c.set("scale", words([]float64{factor}, ""))
	if t.at("do_normalize").flag(true) {
		c.normalise(t.at("image_mean").numbers(), t.at("image_std").numbers())
	}
}

// huggingFaceModel reads config.json.
func huggingFaceModel(c *collector, t tree) {
	if t.has("id2label") {
		c.classes = t.at("id2label").byIndex()
	}
	if x, ok := t.at("num_channels").number(); ok && x == 1 {
		c.set("order", "grey")
	}
}
