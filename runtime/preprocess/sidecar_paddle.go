package preprocess

import "fmt"

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
