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

	"onnxprune/testmodels"
)

// demoFolder names what the demo writes.
type demoFolder string

func (d demoFolder) at(name string) string { return filepath.Join(string(d), name) }
func (d demoFolder) detector() string      { return d.at("detector.onnx") }
func (d demoFolder) settings() string      { return d.at("preprocess.yml") } // how pictures become inputs
func (d demoFolder) val() string           { return d.at("val") }            // pictures with boxes, to measure on
func (d demoFolder) calibration() string   { return d.at("calibration") }    // other pictures, to learn from
func (d demoFolder) pruned() string        { return d.at("pruned.onnx") }
func (d demoFolder) plan() string          { return d.at("plan.json") }
func (d demoFolder) plain() string         { return d.at("l1_norm.onnx") }

// write writes the detector, its pictures, and how they are fed.
func (d demoFolder) write() error {
	pictures := filepath.Join(d.val(), "images")
	for _, dir := range []string{pictures, d.calibration()} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	return errors.Join(
		os.WriteFile(d.detector(), testmodels.DemoModel(), 0o666),
		os.WriteFile(filepath.Join(d.val(), "instances.json"), testmodels.DemoAnnotations(), 0o666),
		copyPictures(testmodels.DemoImages(), "images", pictures),
		copyPictures(testmodels.CalibrationImages(), ".", d.calibration()),
		d.writeSettings(),
		d.writeArrays())
}

// copyPictures writes a folder of pictures; what is there of the same names is replaced.
func copyPictures(files fs.FS, from, to string) error {
	names, err := fs.Glob(files, "*.png")
	if from != "." {
		names, err = fs.Glob(files, from+"/*.png")
	}
	for _, name := range names {
		var b []byte
		if b, err = fs.ReadFile(files, name); err == nil {
			err = os.WriteFile(filepath.Join(to, filepath.Base(name)), b, 0o666)
		}
		if err != nil {
			return err
		}
	}
	return err
}

func (d demoFolder) writeSettings() error {
	var meta struct {
		Classes []string `json:"classes"`
	}
	if err := json.Unmarshal(testmodels.DemoMeta(), &meta); err != nil {
		return err
	}
	text := fmt.Sprintf("# How the detector's pictures were made when it was trained.\nfit: stretch\norder: rgb\nscale: 1/255\nmean: 0.5\nstd: 0.25\nnames: [%s]\n", strings.Join(meta.Classes, ", "))
	return os.WriteFile(d.settings(), []byte(text), 0o666)
}

// demoArrays is how many pictures the arrays hold.
const demoArrays = 4

// writeArrays writes the first pictures as arrays, as --verify-input takes them.
func (d demoFolder) writeArrays() error {
	names, err := fs.Glob(testmodels.DemoImages(), "images/*.png")
	if err != nil {
		return err
	}
	var pictures []float32
	var sizes []int32
	height, width := 0, 0
	for _, name := range names[:min(demoArrays, len(names))] {
		img, err := picture(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		height, width = img.Bounds().Dy(), img.Bounds().Dx()
		pictures = append(pictures, planes(img)...)
		sizes = append(sizes, int32(height), int32(width))
	}
	n := len(sizes) / 2
	if err := writeArray(d.at("pictures.npy"), "<f4", pictures, n, 3, height, width); err != nil {
		return err
	}
	return writeArray(d.at("sizes.npy"), "<i4", sizes, n, 2)
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
