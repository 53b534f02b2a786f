package preprocess

import "fmt"

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
		longest, bounded := size.at("longest_edge").number()
		if x, old := t.at("max_size").number(); old { // DETR's, before sizes had names
			longest, bounded = x, true
			shortest, ok = size.number()
		}
		width, height, fixed := edge(size)
		switch crop := t.at("do_center_crop").flag(false); {
		case ok && !crop:
			c.set("fit", "keep-ratio")
			c.set("shorter", words([]float64{shortest}, ""))
			if bounded {
				c.set("longer", words([]float64{longest}, ""))
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
