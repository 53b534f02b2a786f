package dataset

// COCO's format: one JSON with images, annotations and categories (https://cocodataset.org/#format-data).

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"onnxprune/runtime/detection"
)

// jsonPatterns are where the JSON usually lies in a data set's folder.
var jsonPatterns = []string{"instances.json", "annotations/instances_val*.json", "_annotations.coco.json", "annotations.json", "annotations/*.json", "*.json"}

type cocoFile struct {
	Images []struct {
		ID       *int64 `json:"id"`
		FileName string `json:"file_name"`
		Width    int    `json:"width"`
		Height   int    `json:"height"`
	} `json:"images"`
	Annotations []struct {
		ID       json.Number `json:"id"`
		Image    *int64      `json:"image_id"`
		Category *int        `json:"category_id"`
		Box      []float64   `json:"bbox"` // x, y, width, height
		Area     *float64    `json:"area"`
		Crowd    int         `json:"iscrowd"`
	} `json:"annotations"`
	Categories []struct {
		ID   *int   `json:"id"`
		Name string `json:"name"`
	} `json:"categories"`
}

func (s *Set) readCOCO(path string, opt Options) error {
	file, folder, err := cocoPaths(path, opt)
	if err != nil {
		return err
	}
	f, err := os.Open(file)
	if err != nil {
		return unreadable(file, err)
	}
	defer f.Close()
	var c cocoFile
	if err := json.NewDecoder(f).Decode(&c); err != nil {
		return fail(file, "it is no JSON in COCO's format: %s", jsonFault(err))
	}
	switch {
	case c.Images == nil || c.Categories == nil:
		return fail(file, "it is no JSON in COCO's format: images or categories are missing")
	case len(c.Images) == 0:
		return fail(file, "the data set is empty: it lists no image")
	}
	classOf, err := s.cocoClasses(file, &c)
	if err != nil {
		return err
	}
	at := map[int64]int{}
	find := finder{folders: cocoFolders(file, folder, opt)}
	for i, img := range c.Images {
		switch {
		case img.ID == nil:
			return fail(file, "images[%d] has no id", i)
		case img.FileName == "":
			return fail(file, "image %d has no file_name", *img.ID)
		}
		if _, twice := at[*img.ID]; twice {
			return fail(file, "image %d is listed twice", *img.ID)
		}
		at[*img.ID] = len(s.Samples)
		name := strings.ReplaceAll(img.FileName, `\`, "/")
		s.Samples = append(s.Samples, Sample{ID: *img.ID, Name: name, Path: find.path(name), Width: img.Width, Height: img.Height, Label: -1})
	}
	if err := find.check(file); err != nil {
		return err
	}
	for i, a := range c.Annotations {
		where := fmt.Sprintf("annotations[%d] (id %s)", i, a.ID)
		if a.ID == "" {
			where = fmt.Sprintf("annotations[%d]", i)
		}
		if a.Image == nil || a.Category == nil {
			return fail(file, "%s has no image_id or no category_id", where)
		}
		sample, ok := at[*a.Image]
		if !ok {
			return fail(file, "%s belongs to image %d, which is not listed", where, *a.Image)
		}
		class, ok := classOf[*a.Category]
		if !ok {
			return fail(file, "%s has the category %d, which is not listed", where, *a.Category)
		}
		if len(a.Box) != 4 || slices.ContainsFunc(a.Box, func(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }) || a.Box[2] < 0 || a.Box[3] < 0 {
			return fail(file, "%s has the bbox %v; it is x, y, width and height in pixels", where, a.Box)
		}
		o := detection.Object{Class: class, Box: detection.Box{X0: a.Box[0], Y0: a.Box[1], X1: a.Box[0] + a.Box[2], Y1: a.Box[1] + a.Box[3]},
			Area: a.Box[2] * a.Box[3], Crowd: a.Crowd != 0}
		if a.Area != nil {
			o.Area = *a.Area
		}
		s.Samples[sample].Objects = append(s.Samples[sample].Objects, o)
	}
	return nil
}

// cocoClasses takes over the categories in the order of their ids, which is the order of the outputs of models that were trained on them.
func (s *Set) cocoClasses(file string, c *cocoFile) (map[int]int, error) {
	for i, cat := range c.Categories {
		if cat.ID == nil {
			return nil, fail(file, "categories[%d] has no id", i)
		}
		s.Classes = append(s.Classes, Class{*cat.ID, cat.Name})
	}
	slices.SortFunc(s.Classes, func(a, b Class) int { return a.ID - b.ID })
	classOf := map[int]int{}
	for i, class := range s.Classes {
		if _, twice := classOf[class.ID]; twice {
			return nil, fail(file, "category %d is listed twice", class.ID)
		}
		classOf[class.ID] = i
	}
	return classOf, nil
}

// cocoPaths finds the JSON, and the folder that the user named.
func cocoPaths(path string, opt Options) (file, folder string, err error) {
	st, err := os.Stat(path)
	if err != nil {
		return "", "", unreadable(path, err)
	}
	if !st.IsDir() {
		return path, filepath.Dir(path), nil
	}
	if opt.Annotations != "" {
		return opt.Annotations, path, nil
	}
	for _, pattern := range jsonPatterns {
		found, _ := filepath.Glob(filepath.Join(escaped(path), pattern))
		if opt.Split != "" {
			found = slices.DeleteFunc(found, func(f string) bool { return len(found) > 1 && !strings.Contains(filepath.Base(f), opt.Split) })
		}
		switch len(found) {
		case 0:
		case 1:
			return found[0], path, nil
		default:
			return "", "", fail(path, "more than one file could be its annotations (%s, %s ...): say which with --annotations", filepath.Base(found[0]), filepath.Base(found[1]))
		}
	}
	return "", "", fail(path, "it has no JSON of annotations: name it with --annotations")
}

// cocoFolders lists where the pictures may be, the likeliest first.
func cocoFolders(file, folder string, opt Options) []string {
	if opt.Images != "" {
		return []string{opt.Images}
	}
	beside := filepath.Dir(file)
	out := []string{folder, filepath.Join(folder, "images"), beside, filepath.Join(beside, "images")}
	if _, split, ok := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), "_"); ok { // instances_val2017.json
		for _, root := range []string{folder, filepath.Dir(beside)} {
			out = append(out, filepath.Join(root, split), filepath.Join(root, "images", split))
		}
	}
	var each []string // the file lies in the folder itself, as a rule
	for _, f := range out {
		if !slices.Contains(each, f) {
			each = append(each, f)
		}
	}
	return each
}

// jsonFault says where a JSON is wrong.
func jsonFault(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("%v at byte %d", err, syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Sprintf("%s is a %s at byte %d", kind.Field, kind.Value, kind.Offset)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	}
	return err.Error()
}

// finder finds pictures in the first of some folders that has them.
type finder struct {
	folders       []string
	found, missed int
	example       string
}

// path returns where a picture is or, where it is nowhere, where it would be looked for first.
func (f *finder) path(name string) string {
	if filepath.IsAbs(name) {
		f.folders = []string{""}
	}
	for i, folder := range f.folders {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if st, err := os.Stat(path); err == nil && !st.IsDir() {
			f.found++
			f.folders[0], f.folders[i] = f.folders[i], f.folders[0] // the others are there too
			return path
		}
	}
	if f.missed++; f.example == "" {
		f.example = name
	}
	return filepath.Join(f.folders[0], filepath.FromSlash(name))
}

// has reports whether a picture is in one of the folders.
func (f *finder) has(name string) bool {
	for _, folder := range f.folders {
		if st, err := os.Stat(filepath.Join(folder, filepath.FromSlash(name))); err == nil && !st.IsDir() {
			return true
		}
	}
	return false
}

// check refuses a data set none of whose pictures is there. Single ones that are missing are named when they are loaded.
func (f *finder) check(file string) error {
	if f.found > 0 || f.missed == 0 {
		return nil
	}
	return fail(file, "none of its %d pictures is there: %s was looked for in %s; name their folder with --images", f.missed, f.example, strings.Join(f.folders, ", "))
}
