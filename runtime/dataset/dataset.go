// Package dataset reads data sets as their owners have them: COCO's JSON, Pascal VOC's XML, YOLO's text files, folders named after classes, plain
// folders of pictures, and raw tensors. All become one thing, a Set: samples in a fixed order, each with what is known of it. A Loader
// makes them a model's inputs, ahead of the model and in order, within a bound of memory (load.go).
package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/picture"
)

// Format names a kind of data set.
type Format string

// The formats.
const (
	COCO     Format = "coco"     // one JSON of boxes, and pictures
	VOC      Format = "voc"      // an XML of boxes for each picture
	YOLO     Format = "yolo"     // data.yaml, and a text of boxes for each picture
	Classes  Format = "classes"  // a folder for each class
	Pictures Format = "pictures" // without labels
	Tensors  Format = "tensors"  // .npy, .npz, .pb
)

var formats = []Format{COCO, VOC, YOLO, Classes, Pictures, Tensors}

// Options say what a data set is, where that can not be told from its files. The zero value finds out.
type Options struct {
	Format      Format
	Annotations string        // COCO: the JSON
	Images      string        // folder of the pictures, where it is not the usual one
	Split       string        // "val", "train", "test": where a data set has more than one; "": val, or what there is
	Limit       int           // at most so many samples, the first ones; 0: all
	Model       *onnxio.Model // Tensors: whose inputs they are
}

// Set is a data set.
type Set struct {
	Format  Format
	Path    string
	Classes []Class // in the order of Object.Class and Sample.Label; nil where nothing is labelled
	Samples []Sample
	Notes   []string // what a reader should know

	arrays *arrays // of Tensors
}

// Class is a class as a data set names it.
type Class struct {
	ID   int // as the data set counts: COCO's category_id, else the index
	Name string
}

// Sample is one picture, or one row of tensors.
type Sample struct {
	ID      int64  // COCO's image id, else the place in the set from 1 on
	Name    string // as the data set names it
	Path    string // of the picture; "" of tensors
	Objects []detection.Object
	Label   int // class of the whole picture; -1 where it has none

	Width, Height int // in pixels as the data set says; 0 where it does not

	row int // of Tensors
}

// Labelled reports what is known of the samples: boxes, classes of whole pictures, or nothing.
func (s *Set) Labelled() (boxes, classes bool) {
	switch s.Format {
	case COCO, VOC, YOLO:
		return true, false
	case Classes:
		return false, true
	case Tensors:
		return false, s.Classes != nil
	}
	return false, false
}

// Error says that a data set can not be read, and where.
type Error struct {
	Path string // of the file or folder
	Msg  string
}

func (e *Error) Error() string { return e.Path + ": " + e.Msg }

func fail(path, format string, args ...any) error { return &Error{path, fmt.Sprintf(format, args...)} }

// Open reads a data set: a folder, or the file that lists it (COCO's JSON, YOLO's data.yaml, a tensor). Pictures are not opened yet. Errors are
// *Error.
func Open(path string, opt Options) (*Set, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	format := opt.Format
	if format == "" {
		if format, err = recognise(path, st, opt); err != nil {
			return nil, err
		}
	}
	s := &Set{Format: format, Path: path}
	switch format {
	case COCO:
		err = s.readCOCO(path, opt)
	case VOC:
		err = s.readVOC(path, opt)
	case YOLO:
		err = s.readYOLO(path, opt)
	case Classes:
		err = s.readClasses(path, opt)
	case Tensors:
		err = s.readTensors(path, opt)
	case Pictures:
		err = s.readPictures(path, opt)
	default:
		var names []string
		for _, f := range formats {
			names = append(names, string(f))
		}
		err = fail(path, "data sets of the format %q are not known; there are %s", format, strings.Join(names, ", "))
	}
	if err != nil {
		return nil, err
	}
	if opt.Limit > 0 && len(s.Samples) > opt.Limit {
		s.Samples = s.Samples[:opt.Limit]
	}
	if len(s.Samples) == 0 {
		return nil, fail(path, "the data set is empty: it has no picture (%s)", strings.Join(picture.Extensions, ", "))
	}
	return s, nil
}

// unreadable makes an error of a file an *Error.
func unreadable(path string, err error) error {
	var e *fs.PathError
	if errors.As(err, &e) {
		err = e.Err
	}
	return &Error{path, err.Error()}
}

// recognise finds out what a data set is.
func recognise(path string, st os.FileInfo, opt Options) (Format, error) {
	if opt.Annotations != "" {
		return COCO, nil
	}
	if !st.IsDir() {
		switch ext := strings.ToLower(filepath.Ext(path)); {
		case ext == ".json":
			return COCO, nil
		case ext == ".yaml" || ext == ".yml":
			return YOLO, nil
		case ext == ".npy" || ext == ".npz" || ext == ".pb":
			return Tensors, nil
		case isPicture(path):
			return Pictures, nil
		}
		return "", fail(path, "what data set this is can not be told: give a folder, COCO's .json, YOLO's data.yaml, or .npy, .npz and .pb")
	}
	for _, kind := range []struct {
		format   Format
		patterns []string
	}{
		{COCO, jsonPatterns},
		{YOLO, []string{"data.yaml", "data.yml", "dataset.yaml"}},
		{VOC, []string{"Annotations/*.xml", "annotations/*.xml", "*.xml"}},
		{Tensors, []string{"*.npy", "*.npz", "*.pb", "test_data_set_*/*.pb"}},
	} {
		for _, pattern := range kind.patterns {
			if found, _ := filepath.Glob(filepath.Join(escaped(path), pattern)); len(found) > 0 {
				return kind.format, nil
			}
		}
	}
	if labels, err := os.Stat(filepath.Join(path, "labels")); err == nil && labels.IsDir() {
		return "", fail(path, "it has a folder of labels, but no data.yaml that names their classes: write one with path, val and names")
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", unreadable(path, err)
	}
	folders := 0
	for _, e := range entries {
		if isPicture(e.Name()) {
			return Pictures, nil
		}
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			folders++
		}
	}
	if folders > 1 {
		return Classes, nil
	}
	return Pictures, nil
}

// escaped makes a path mean itself in filepath.Glob.
func escaped(path string) string {
	return strings.NewReplacer(`[`, `\[`, `*`, `\*`, `?`, `\?`, `\`, `\\`).Replace(path)
}

func isPicture(path string) bool {
	return slices.Contains(picture.Extensions, strings.ToLower(filepath.Ext(path))) && !strings.HasPrefix(filepath.Base(path), ".")
}

// picturesBelow lists the pictures of a folder and what is below it, in the order of their paths, relative to the folder.
func picturesBelow(folder string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !e.IsDir() && isPicture(path) {
			rel, err := filepath.Rel(folder, path)
			out = append(out, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	slices.Sort(out)
	return out, err
}
