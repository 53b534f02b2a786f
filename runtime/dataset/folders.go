package dataset

import (
	"os"
	"path/filepath"
	"strings"
)

// readClasses reads a folder for each class, in the order of their names, as torchvision's ImageFolder does.
func (s *Set) readClasses(path string, opt Options) error {
	root, err := splitFolder(path, opt)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return unreadable(root, err)
	}
	for _, e := range entries { // sorted by name
		folder := filepath.Join(root, e.Name())
		if st, err := os.Stat(folder); err != nil || !st.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		names, err := picturesBelow(folder)
		if err != nil {
			return unreadable(folder, err)
		}
		class := len(s.Classes)
		s.Classes = append(s.Classes, Class{class, e.Name()})
		for _, name := range names {
			s.add(Sample{Name: e.Name() + "/" + name, Path: filepath.Join(folder, filepath.FromSlash(name)), Label: class})
		}
		if len(names) == 0 {
			s.Notes = append(s.Notes, "the class "+e.Name()+" has no picture")
		}
	}
	return nil
}

// splitFolder goes into the folder of a split where a data set has one.
func splitFolder(path string, opt Options) (string, error) {
	splits := []string{"val", "validation", "test", "train"}
	if opt.Split != "" {
		splits = []string{opt.Split}
	}
	for _, split := range splits {
		folder := filepath.Join(path, split)
		if st, err := os.Stat(folder); err == nil && st.IsDir() {
			return folder, nil
		}
	}
	if opt.Split != "" {
		return "", fail(path, "it has no folder %s", opt.Split)
	}
	return path, nil
}

// readPictures reads a folder of pictures, in the order of their paths, or a single picture.
func (s *Set) readPictures(path string, opt Options) error {
	st, err := os.Stat(path)
	if err != nil {
		return unreadable(path, err)
	}
	if !st.IsDir() {
		s.add(Sample{Name: filepath.Base(path), Path: path, Label: -1})
		return nil
	}
	names, err := picturesBelow(path)
	if err != nil {
		return unreadable(path, err)
	}
	for _, name := range names {
		s.add(Sample{Name: name, Path: filepath.Join(path, filepath.FromSlash(name)), Label: -1})
	}
	return nil
}

// add appends a sample that has no number of its own.
func (s *Set) add(sample Sample) {
	sample.ID = int64(len(s.Samples) + 1)
	s.Samples = append(s.Samples, sample)
}
