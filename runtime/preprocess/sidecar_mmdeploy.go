package preprocess

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
