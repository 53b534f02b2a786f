package preprocess

// Files that exporters write beside a model: Paddle's infer_cfg.yml and inference.yml, mmdeploy's pipeline.json and detail.json, Hugging Face's
// preprocessor_config.json and config.json. What is not understood there is told, never guessed.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"onnxprune/analysis/option"
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
				return all, option.Errorf("%s, beside the model: %v; mend it, or move it away and say how pictures are fed", file, err)
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
