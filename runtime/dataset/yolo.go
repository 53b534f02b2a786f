package dataset

// YOLO's format: data.yaml names the folders and the classes; beside each images/a.jpg a labels/a.txt has a line for each object: class, and centre
// x and y, width and height as parts of the picture's, or the corners of an outline (https://docs.ultralytics.com/datasets/detect/).

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"onnxprune/runtime/detection"
	"onnxprune/runtime/picture"
)

type yoloFile struct {
	Path  string    `yaml:"path"`
	Train yaml.Node `yaml:"train"`
	Val   yaml.Node `yaml:"val"`
	Test  yaml.Node `yaml:"test"`
	Names yaml.Node `yaml:"names"`
	Count *int      `yaml:"nc"`
}

func (s *Set) readYOLO(path string, opt Options) error {
	file := path
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		for _, name := range []string{"data.yaml", "data.yml", "dataset.yaml"} {
			if _, err := os.Stat(filepath.Join(path, name)); err == nil {
				file = filepath.Join(path, name)
				break
			}
		}
		if file == path {
			return fail(path, "it has no data.yaml that names its folders and classes")
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return unreadable(file, err)
	}
	var y yoloFile
	if err := yaml.Unmarshal(b, &y); err != nil {
		return fail(file, "it is no YAML of a data set: %v", err)
	}
	if err := s.yoloClasses(file, &y); err != nil {
		return err
	}
	places, split := y.split(opt.Split)
	if places == nil {
		return fail(file, "it has no entry %s that says where the pictures are", split)
	}
	pictures, err := yoloPictures(file, y.Path, places, opt)
	if err != nil {
		return err
	}
	labelled := 0
	for _, p := range pictures {
		sample := Sample{Name: filepath.Base(p), Path: p, Label: -1}
		labels := yoloLabels(p)
		b, err := os.ReadFile(labels)
		if err == nil {
			labelled++
			if err := s.yoloObjects(&sample, labels, string(b)); err != nil {
				return err
			}
		} else if !os.IsNotExist(err) {
			return unreadable(labels, err)
		}
		s.add(sample)
	}
	if labelled == 0 && len(pictures) > 0 {
		return fail(file, "none of its %d pictures has labels: %s was looked for", len(pictures), yoloLabels(pictures[0]))
	}
	if n := len(pictures) - labelled; n > 0 {
		s.Notes = append(s.Notes, countOf(n, "picture has", "pictures have")+" no file of labels: nothing is taken to be on them")
	}
	return nil
}

func (s *Set) yoloClasses(file string, y *yoloFile) error {
	var names []string
	switch y.Names.Kind {
	case yaml.SequenceNode:
		if err := y.Names.Decode(&names); err != nil {
			return fail(file, "names: %v", err)
		}
	case yaml.MappingNode:
		byIndex := map[int]string{}
		if err := y.Names.Decode(&byIndex); err != nil {
			return fail(file, "names are a list, or a mapping from numbers to names")
		}
		for i := range len(byIndex) {
			name, ok := byIndex[i]
			if !ok {
				return fail(file, "%d names of classes are given, but none for %d", len(byIndex), i)
			}
			names = append(names, name)
		}
	default:
		return fail(file, "it has no names of classes")
	}
	if y.Count != nil && *y.Count != len(names) {
		return fail(file, "nc says %d classes, names has %d", *y.Count, len(names))
	}
	for i, name := range names {
		s.Classes = append(s.Classes, Class{i, name})
	}
	return nil
}

// split returns what an entry lists; "" stands for val, else test, else train.
func (y *yoloFile) split(want string) (places []string, split string) {
	entries := map[string]*yaml.Node{"val": &y.Val, "test": &y.Test, "train": &y.Train}
	order := []string{"val", "test", "train"}
	if want != "" {
		order = []string{want}
	}
	for _, name := range order {
		n := entries[name]
		if n == nil || n.Kind == 0 {
			continue
		}
		if n.Kind == yaml.ScalarNode && n.Value != "" && n.Tag != "!!null" {
			return []string{n.Value}, name
		}
		var list []string
		if n.Kind == yaml.SequenceNode && n.Decode(&list) == nil && len(list) > 0 {
			return list, name
		}
	}
	return nil, order[0]
}

// yoloPictures lists the pictures of folders, and of text files that list pictures.
func yoloPictures(file, root string, places []string, opt Options) ([]string, error) {
	beside := filepath.Dir(file)
	roots := []string{beside}
	if root != "" {
		roots = []string{filepath.Join(beside, root), beside}
		if filepath.IsAbs(root) {
			roots = []string{root, beside}
		}
	}
	if opt.Images != "" {
		places, roots = []string{opt.Images}, []string{""}
	}
	var out []string
	for _, place := range places {
		found := ""
		for _, r := range roots {
			p := filepath.Join(r, filepath.FromSlash(place))
			if filepath.IsAbs(place) {
				p = place
			}
			if _, err := os.Stat(p); err == nil {
				found = p
				break
			}
			// Roboflow writes ../valid/images for what lies in valid/images beside the file.
			if p := filepath.Join(r, strings.TrimPrefix(filepath.ToSlash(place), "../")); found == "" && exists(p) {
				found = p
				break
			}
		}
		if found == "" {
			return nil, fail(file, "it names %s, which is neither below %s nor beside it", place, filepath.Join(beside, root))
		}
		if !strings.EqualFold(filepath.Ext(found), ".txt") {
			names, err := picturesBelow(found)
			if err != nil {
				return nil, unreadable(found, err)
			}
			for _, n := range names {
				out = append(out, filepath.Join(found, filepath.FromSlash(n)))
			}
			continue
		}
		b, err := os.ReadFile(found)
		if err != nil {
			return nil, unreadable(found, err)
		}
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			if !filepath.IsAbs(line) {
				line = filepath.Join(filepath.Dir(found), filepath.FromSlash(line))
			}
			out = append(out, line)
		}
	}
	return out, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// yoloLabels is where the labels of a picture are: in the folder labels that stands in the last images' place.
func yoloLabels(path string) string {
	parts := strings.Split(filepath.ToSlash(path), "/")
	for i := len(parts) - 2; i >= 0; i-- {
		if parts[i] == "images" {
			parts[i] = "labels"
			break
		}
	}
	p := filepath.FromSlash(strings.Join(parts, "/"))
	return strings.TrimSuffix(p, filepath.Ext(p)) + ".txt"
}

// yoloObjects reads a file of labels. Boxes are parts of the picture, so its size is read from its header.
func (s *Set) yoloObjects(sample *Sample, file, text string) error {
	line := 0
	for l := range strings.Lines(text) {
		line++
		fields := strings.Fields(l)
		if len(fields) == 0 {
			continue
		}
		class, err := strconv.Atoi(fields[0])
		if err != nil || class < 0 || class >= len(s.Classes) {
			return fail(file, "line %d: the class is %q; there are %d classes, from 0 on", line, fields[0], len(s.Classes))
		}
		v := make([]float64, len(fields)-1)
		for i, f := range fields[1:] {
			x, err := strconv.ParseFloat(f, 64)
			if err != nil || !(x > -0.01 && x < 1.01) {
				return fail(file, "line %d: %q is no part of a picture's width or height, from 0 to 1", line, f)
			}
			v[i] = x
		}
		var b detection.Box
		switch {
		case len(v) == 4:
			b = detection.Box{X0: v[0] - v[2]/2, Y0: v[1] - v[3]/2, X1: v[0] + v[2]/2, Y1: v[1] + v[3]/2}
		case len(v) >= 6 && len(v)%2 == 0: // the corners of an outline
			b = detection.Box{X0: math.Inf(1), Y0: math.Inf(1), X1: math.Inf(-1), Y1: math.Inf(-1)}
			for i := 0; i < len(v); i += 2 {
				b = detection.Box{X0: min(b.X0, v[i]), Y0: min(b.Y0, v[i+1]), X1: max(b.X1, v[i]), Y1: max(b.Y1, v[i+1])}
			}
		default:
			return fail(file, "line %d: it has %d numbers; it is class, x, y, width and height, or class and an outline", line, len(fields))
		}
		sample.Objects = append(sample.Objects, detection.Object{Class: class, Box: b})
	}
	if len(sample.Objects) == 0 {
		return nil
	}
	h, err := picture.ReadHeader(sample.Path)
	if err != nil {
		sample.Objects = nil // the picture is named when it is loaded
		return nil
	}
	sample.Width, sample.Height = h.Upright()
	for i := range sample.Objects {
		b := &sample.Objects[i].Box
		b.X0, b.X1 = b.X0*float64(sample.Width), b.X1*float64(sample.Width)
		b.Y0, b.Y1 = b.Y0*float64(sample.Height), b.Y1*float64(sample.Height)
		sample.Objects[i].Area = b.Area()
	}
	return nil
}
