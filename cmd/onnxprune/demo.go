package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"onnxprune"
	"onnxprune/testmodels"
)

// The demo prunes the embedded detector as PaddleDetection's documentation prunes its own, and verifies it on
// pictures that the detector was validated on.
const (
	demoParams   = "yolo_block.0.0.0.conv.weights,yolo_block.0.0.1.conv.weights,yolo_block.0.1.0.conv.weights"
	demoRatios   = "0.2,0.3,0.4"
	demoPictures = 4
	demoSettings = "preprocess.yml"
)

func demo(c *cli.Context, t *terminal) (err error) {
	args, err := files(c, 0, 1, "demo [FOLDER]")
	if err != nil {
		return err
	}
	dir := c.Args().First()
	if dir == "" {
		if dir, err = os.MkdirTemp("", "onnxprune-demo-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	} else if err := os.MkdirAll(dir, 0o777); err != nil {
		return &onnxprune.UsageError{Msg: err.Error()}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	names, err := fs.Glob(testmodels.DemoImages(), "images/*.png")
	if err != nil {
		return err
	}
	if err := demoFiles(at, names); err != nil {
		return err
	}
	in, out := at("detector.onnx"), at("pruned.onnx")
	quiet := c.Bool("quiet") || c.Bool("json")
	if !quiet {
		t.printf("A YOLOv3 detector of clothes, and its validation pictures, are in %s. The command is:\n\n", dir)
		t.printf("  onnxprune %s %s \\\n    --params %s \\\n    --ratios %s --plan-out %s \\\n    --verify-input image=%s --verify-input im_size=%s\n",
			in, out, demoParams, demoRatios, at("plan.json"), at("pictures.npy"), at("sizes.npy"))
	}
	opt := onnxprune.PruneOptions{PlanOut: at("plan.json")}
	opt.Params = words([]string{demoParams})
	if opt.Ratios, err = ratios([]string{demoRatios}); err != nil {
		return err
	}
	opt.Compare.Threads = c.Int("threads")
	opt.Compare.Inputs = map[string]string{"image": at("pictures.npy"), "im_size": at("sizes.npy")}
	if err := pruneFile(c, t, in, out, opt); err != nil {
		return err
	}
	switch {
	case quiet:
	case len(args) == 0:
		t.printf("The folder is removed again; onnxprune demo FOLDER keeps the files\n")
	default:
		t.printf("\nThe detector was trained elsewhere; how good it is, and what is left of it, is measured on %d pictures by:\n\n", len(names))
		t.printf("  onnxprune eval %s --against %s \\\n    --data %s --preprocess-file %s\n", out, in, at("val"), at(demoSettings))
	}
	return nil
}

// demoFiles writes the detector, its inputs, and a data set to measure it on.
func demoFiles(at func(string) string, names []string) error {
	err := errors.Join(os.WriteFile(at("detector.onnx"), testmodels.DemoModel(), 0o666), demoData(at, names))
	if err != nil {
		return err
	}
	var pictures []float32
	var sizes []int32
	height, width := 0, 0
	for _, name := range names[:min(demoPictures, len(names))] {
		img, err := picture(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		height, width = img.Bounds().Dy(), img.Bounds().Dx()
		pictures = append(pictures, planes(img)...)
		sizes = append(sizes, int32(height), int32(width))
	}
	n := len(sizes) / 2
	if err := writeArray(at("pictures.npy"), "<f4", pictures, n, 3, height, width); err != nil {
		return err
	}
	return writeArray(at("sizes.npy"), "<i4", sizes, n, 2)
}

// demoData writes the pictures with their boxes, and how the detector wants them.
func demoData(at func(string) string, names []string) error {
	val := at("val")
	if err := os.MkdirAll(filepath.Join(val, "images"), 0o777); err != nil {
		return err
	}
	for _, name := range names {
		b, err := fs.ReadFile(testmodels.DemoImages(), name)
		if err == nil {
			err = os.WriteFile(filepath.Join(val, filepath.FromSlash(name)), b, 0o666)
		}
		if err != nil {
			return err
		}
	}
	var meta struct {
		Classes []string `json:"classes"`
	}
	if err := json.Unmarshal(testmodels.DemoMeta(), &meta); err != nil {
		return err
	}
	settings := fmt.Sprintf("# How the detector's pictures were made when it was trained.\nfit: stretch\norder: rgb\nscale: 1/255\nmean: 0.5\nstd: 0.25\nnames: [%s]\n", strings.Join(meta.Classes, ", "))
	return errors.Join(os.WriteFile(filepath.Join(val, "instances.json"), testmodels.DemoAnnotations(), 0o666), os.WriteFile(at(demoSettings), []byte(settings), 0o666))
}

func picture(name string) (image.Image, error) {
	f, err := testmodels.DemoImages().Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	return img, err
}

// planes turns a picture into the detector's input: red, green and blue, each (x/255 - 0.5) / 0.25.
func planes(img image.Image) []float32 {
	b := img.Bounds()
	size := b.Dx() * b.Dy()
	out := make([]float32, 3*size)
	for y := range b.Dy() {
		for x := range b.Dx() {
			r, g, blue, _ := img.At(b.Min.X+x, b.Min.Y+y).RGBA()
			for c, v := range []uint32{r, g, blue} {
				out[c*size+y*b.Dx()+x] = (float32(v>>8)/255 - 0.5) / 0.25
			}
		}
	}
	return out
}

// writeArray writes numbers in NumPy's format, version 1.0: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
func writeArray(path, kind string, data any, shape ...int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	tuple := ""
	for _, d := range shape {
		tuple += fmt.Sprintf("%d, ", d)
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", kind, tuple)
	for (10+len(header)+1)%64 != 0 {
		header += " "
	}
	header += "\n"
	if _, err := io.WriteString(f, "\x93NUMPY\x01\x00"); err != nil {
		return err
	}
	if err := binary.Write(f, binary.LittleEndian, uint16(len(header))); err != nil {
		return err
	}
	if _, err := io.WriteString(f, header); err != nil {
		return err
	}
	return binary.Write(f, binary.LittleEndian, data)
}
