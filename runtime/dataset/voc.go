package dataset

// Pascal VOC's format: an XML of boxes for each picture (http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html#SECTION00041000000000000000).

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"onnxprune/runtime/detection"
	"onnxprune/runtime/picture"
)

// vocClasses are those of VOC 2007 to 2012, in the order in which models number them.
var vocClasses = strings.Fields("aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse motorbike person pottedplant sheep sofa train tvmonitor")

type vocFile struct {
	XMLName  xml.Name
	Filename string `xml:"filename"`
	Size     struct {
		Width  string `xml:"width"`
		Height string `xml:"height"`
	} `xml:"size"`
	Objects []struct {
		Name      string `xml:"name"`
		Difficult string `xml:"difficult"`
		Box       *struct {
			X0 string `xml:"xmin"`
			Y0 string `xml:"ymin"`
			X1 string `xml:"xmax"`
			Y1 string `xml:"ymax"`
		} `xml:"bndbox"`
	} `xml:"object"`
}

func (s *Set) readVOC(path string, opt Options) error {
	annotations := path
	for _, name := range []string{"Annotations", "annotations"} {
		if st, err := os.Stat(filepath.Join(path, name)); err == nil && st.IsDir() {
			annotations = filepath.Join(path, name)
			break
		}
	}
	names, err := s.vocNames(path, annotations, opt)
	if err != nil {
		return err
	}
	listed, err := vocLabels(path)
	if err != nil {
		return err
	}
	images := []string{filepath.Join(path, "JPEGImages"), filepath.Join(path, "images"), path, annotations}
	if opt.Images != "" {
		images = []string{opt.Images}
	}
	find := finder{folders: images}
	var classOf []string // of each object, in order; the classes are known when all are read
	for _, name := range names {
		file := filepath.Join(annotations, name+".xml")
		v, err := readVOCFile(file)
		if err != nil {
			return err
		}
		sample := Sample{Name: name, Label: -1}
		sample.Width, _ = strconv.Atoi(strings.TrimSpace(v.Size.Width))
		sample.Height, _ = strconv.Atoi(strings.TrimSpace(v.Size.Height))
		for i, o := range v.Objects {
			class := strings.TrimSpace(o.Name)
			if class == "" || o.Box == nil {
				return fail(file, "object %d has no name or no bndbox", i+1)
			}
			object := detection.Object{Difficult: strings.TrimSpace(o.Difficult) == "1"}
			// Pixels are counted from 1 and both edges belong to the box, so it begins where the pixel before it ends.
			for _, edge := range []struct {
				name, text string
				to         *float64
				from       float64
			}{{"xmin", o.Box.X0, &object.Box.X0, 1}, {"ymin", o.Box.Y0, &object.Box.Y0, 1}, {"xmax", o.Box.X1, &object.Box.X1, 0}, {"ymax", o.Box.Y1, &object.Box.Y1, 0}} {
				x, err := strconv.ParseFloat(strings.TrimSpace(edge.text), 64)
				if err != nil || x-x != 0 {
					return fail(file, "object %d (%s): %s is %q, not a number of pixels", i+1, class, edge.name, edge.text)
				}
				*edge.to = max(0, x-edge.from)
			}
			if object.Box.X1 <= object.Box.X0 || object.Box.Y1 <= object.Box.Y0 {
				return fail(file, "object %d (%s): its box ends before it begins", i+1, class)
			}
			object.Area = object.Box.Area()
			classOf = append(classOf, class)
			sample.Objects = append(sample.Objects, object)
		}
		sample.Path = find.picture(name, v.Filename)
		s.add(sample)
	}
	if err := find.check(annotations); err != nil {
		return err
	}
	return s.vocClassesOf(path, listed, classOf)
}

func readVOCFile(file string) (*vocFile, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	defer f.Close()
	var v vocFile
	d := xml.NewDecoder(f)
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil } // names of classes are ASCII in all of them
	if err := d.Decode(&v); err != nil {
		var syntax *xml.SyntaxError
		switch {
		case errors.As(err, &syntax):
			return nil, fail(file, "it is no XML: line %d: %s", syntax.Line, syntax.Msg)
		case errors.Is(err, io.EOF):
			return nil, fail(file, "it is empty")
		}
		return nil, fail(file, "it is no XML in Pascal VOC's format: %v", err)
	}
	if v.XMLName.Local != "annotation" {
		return nil, fail(file, "it is no XML in Pascal VOC's format: its root is %q, not \"annotation\"", v.XMLName.Local)
	}
	return &v, nil
}

// vocNames lists the annotations: those of the split's list where there are lists, else all, in the order of their names.
func (s *Set) vocNames(path, annotations string, opt Options) ([]string, error) {
	splits := []string{"val", "test"}
	if opt.Split != "" {
		splits = []string{opt.Split}
	}
	for _, split := range splits {
		list := filepath.Join(path, "ImageSets", "Main", split+".txt")
		b, err := os.ReadFile(list)
		if err != nil {
			continue
		}
		var names []string
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) > 0 {
				names = append(names, f[0])
			}
		}
		if len(names) == 0 {
			return nil, fail(list, "the data set is empty: the list names no picture")
		}
		return names, nil
	}
	if opt.Split != "" {
		return nil, fail(path, "it has no list ImageSets/Main/%s.txt", opt.Split)
	}
	found, _ := filepath.Glob(filepath.Join(escaped(annotations), "*.xml"))
	if len(found) == 0 {
		return nil, fail(annotations, "the data set is empty: it has no .xml")
	}
	slices.Sort(found)
	for i, f := range found {
		found[i] = strings.TrimSuffix(filepath.Base(f), ".xml")
	}
	return found, nil
}

// vocLabels reads the list of classes that training tools lay beside a data set: one name a line.
func vocLabels(path string) ([]string, error) {
	for _, name := range []string{"label_list.txt", "labels.txt", "classes.txt"} {
		b, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			continue
		}
		var out []string
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); line != "" {
				out = append(out, line)
			}
		}
		return out, nil
	}
	return nil, nil
}

// vocClassesOf numbers the classes: as a list beside the data set says, as VOC does where all are VOC's, else by name.
func (s *Set) vocClassesOf(path string, listed, classOf []string) error {
	order := listed
	if order == nil {
		order = vocClasses
		if slices.ContainsFunc(classOf, func(c string) bool { return !slices.Contains(vocClasses, c) }) {
			order = slices.Compact(slices.Sorted(slices.Values(classOf)))
			s.Notes = append(s.Notes, "the classes are numbered in the order of their names: a file label_list.txt beside the data set says otherwise")
		}
	}
	for i, name := range order {
		s.Classes = append(s.Classes, Class{i, name})
	}
	at := 0
	for i := range s.Samples {
		for k := range s.Samples[i].Objects {
			class := slices.Index(order, classOf[at])
			if class < 0 {
				return fail(path, "%s has an object of the class %q, which the list of classes does not name", s.Samples[i].Name, classOf[at])
			}
			s.Samples[i].Objects[k].Class = class
			at++
		}
	}
	return nil
}

// picture finds a picture by the name of its annotation, or by the file name that the annotation says.
func (f *finder) picture(name, filename string) string {
	if filename = filepath.Base(strings.ReplaceAll(strings.TrimSpace(filename), `\`, "/")); isPicture(filename) && f.has(filename) {
		return f.path(filename)
	}
	for _, ext := range picture.Extensions {
		if f.has(name + ext) {
			return f.path(name + ext)
		}
		if f.has(name + strings.ToUpper(ext)) {
			return f.path(name + strings.ToUpper(ext))
		}
	}
	return f.path(name + ".jpg")
}
