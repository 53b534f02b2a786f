package testmodels

import (
	"embed"
	"io/fs"
)

// This file embeds a small trained detector with some of its validation pictures, so that the tool can be shown, and
// tested, with nothing else at hand. demo/README.md says where they come from.

//go:embed demo/yolov3_mobilenet_v1_fashion.onnx demo/instances.json demo/meta.json demo/images demo/LICENSE.fashion-mnist
var demo embed.FS

//go:embed demo/calibration
var calibration embed.FS

// DemoModel returns the ONNX file of a yolov3_mobilenet_v1 at a quarter of its widths, trained on scenes with ten kinds of clothes.
// Inputs are "image" float32 [N,3,128,128], RGB, (x/255-0.5)/0.25, and "im_size" int32 [N,2], height and width;
// the output "bbox" is [K,6]: class, score, x0, y0, x1, y1.
func DemoModel() []byte { return demoFile("yolov3_mobilenet_v1_fashion.onnx") }

// DemoAnnotations returns the boxes of the pictures in COCO's format. Classes are numbered from 0; a picture's
// file_name is its path in DemoImages.
func DemoAnnotations() []byte { return demoFile("instances.json") }

// DemoMeta returns a JSON object with the model's classes, anchors, preprocessing and measured accuracy.
func DemoMeta() []byte { return demoFile("meta.json") }

// DemoImages returns a file system with 48 validation pictures, images/*.png, of 128x128 pixels, and the licence of
// what they show.
func DemoImages() fs.FS { return below(demo, "demo") }

// CalibrationImages returns a file system with 48 training pictures without labels, *.png, of 128x128 pixels. None is in DemoImages: what is
// learnt from them can be measured there.
func CalibrationImages() fs.FS { return below(calibration, "demo/calibration") }

func below(files embed.FS, dir string) fs.FS {
	sub, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // the path is a constant
	}
	return sub
}

func demoFile(name string) []byte {
	b, err := demo.ReadFile("demo/" + name)
	if err != nil {
		panic(err) // what is embedded is there
	}
	return b
}
