// Package preprocess makes a picture a model's input, and says how and why. A detector that is fed in another way than it was
// trained finds less, or nothing, without any error. So what is done is data: a Recipe says how, a Decision says where each part of it
// comes from (decide.go), and both can be printed.
package preprocess

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"onnxprune/analysis/option"
	"onnxprune/runtime/picture"
)

// Fit says how a picture is brought to the input's size.
type Fit string

// The ways of fitting.
const (
	Stretch          Fit = "stretch"            // width and height each scaled by themselves
	Letterbox        Fit = "letterbox"          // scaled as a whole, put into the middle, the rest filled: ultralytics' LetterBox
	LetterboxTopLeft Fit = "letterbox-top-left" // the same, put into the left top corner: YOLOX, SCRFD
	Crop             Fit = "crop"               // scaled so that the shorter side has a length, the middle cut out: ImageNet's classifiers
	KeepRatio        Fit = "keep-ratio"         // scaled as a whole between a shorter and a longer side: the input's size follows the picture
)

var fits = []Fit{Stretch, Letterbox, LetterboxTopLeft, Crop, KeepRatio}

// Order is the order of an input's channels.
type Order string

// The orders of channels.
const (
	RGB  Order = "rgb"
	BGR  Order = "bgr"
	Grey Order = "grey" // one channel, weighed as ITU-R BT.601 does
)

// Recipe says how a picture becomes an input. The zero value stretches, takes RGB (grey where the input has one channel), scales to 0..1 where the
// input is of floats and leaves 0..255 where it is of uint8.
type Recipe struct {
	Width    int            `json:"width,omitempty"` // of the input where the model leaves it open, in pixels; 0: the picture's own
	Height   int            `json:"height,omitempty"`
	Fit      Fit            `json:"fit,omitempty"`       // "": Stretch
	Shorter  int            `json:"shorter,omitempty"`   // of Crop and KeepRatio: length of the shorter side, in pixels; 0: what Share says
	Share    float64        `json:"share,omitempty"`     // of Crop: the part of the shorter side that is kept, timm's crop_pct; 0: all of it
	Longer   int            `json:"longer,omitempty"`    // of KeepRatio: the longer side is at most that; 0: no bound
	Multiple int            `json:"multiple,omitempty"`  // of KeepRatio, and of pictures that keep their own size: sides are filled up to multiples of it
	Resample picture.Filter `json:"resample,omitempty"`  // "": picture.Linear
	Fill     uint8          `json:"fill,omitempty"`      // grey of what the picture leaves over
	FillMean bool           `json:"fill_mean,omitempty"` // what the picture leaves over is zero in the input
	Order    Order          `json:"order,omitempty"`     // "": RGB
	Scale    float64        `json:"scale,omitempty"`     // pixels in 0..255 are multiplied by it first; 0: 1/255 for floats, 1 for integers
	Mean     []float64      `json:"mean,omitempty"`      // then (x-mean)/std, per channel in the order of the input; nil: 0 and 1
	Std      []float64      `json:"std,omitempty"`
	Layout   string         `json:"layout,omitempty"` // "NCHW" or "NHWC"; "": what the input's shape looks like

	// Shrink brings the picture to a smaller size inside of the same input, as if it had been resized for an input that is smaller by
	// this factor: 0.8 uses four fifths of width and height and fills the rest. 0 stands for 1.
	Shrink float64 `json:"shrink,omitempty"`
}

// Setting is one part of a recipe in the words of flags, files and tables, such as {"mean", "0.485:0.456:0.406"}, and where it is from.
type Setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source Source `json:"source"`
	Why    string `json:"why"` // "--mean", "metadata imgsz", "infer_cfg.yml, NormalizeImage"
}

// Keys lists the words that a recipe is written in: docs/data.md says what each takes.
var Keys = []string{"size", "fit", "shorter", "share", "longer", "multiple", "resample", "fill", "order", "scale", "mean", "std", "layout"}

// ParseSettings reads settings as users write them: comma-separated words and pairs, lists with colons:
// "size=416x416,letterbox,fill=114,bgr,scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,nchw". Size is width x height. A word alone is
// a fit, an order or a layout. Errors are *Error.
func ParseSettings(s string, source Source, why string) ([]Setting, error) {
	var out []Setting
	for part := range strings.SplitSeq(s, ",") {
		part = strings.ToLower(strings.TrimSpace(part))
		if part == "" {
			continue
		}
		key, text, pair := strings.Cut(part, "=")
		if !pair {
			text = key
			switch {
			case slices.Contains(fits, Fit(text)):
				key = "fit"
			case slices.Contains([]string{"rgb", "bgr", "grey", "gray"}, text):
				key = "order"
			case text == "nchw" || text == "nhwc":
				key = "layout"
			default:
				return nil, unknown(part)
			}
		}
		set := Setting{key, text, source, why}
		if err := (&Recipe{}).Set(set); err != nil {
			return nil, err
		}
		out = append(out, set)
	}
	return out, nil
}

func unknown(part string) error {
	return &Error{Msg: fmt.Sprintf("preprocessing %q is not known; there are %s, and the words stretch, letterbox, letterbox-top-left, crop, keep-ratio, rgb, bgr, grey, nchw and nhwc",
		part, strings.Join(Keys, "=, ")+"=")}
}

// Parse reads a recipe in the words of ParseSettings.
func Parse(s string) (Recipe, error) {
	var r Recipe
	settings, err := ParseSettings(s, FromFlags, "")
	for _, set := range settings {
		if err == nil {
			err = r.Set(set)
		}
	}
	return r, err
}

// Set takes over one setting. Errors are *Error.
func (r *Recipe) Set(s Setting) error {
	var err error
	switch s.Key {
	case "size":
		w, h, two := strings.Cut(s.Value, "x")
		if !two {
			h = w
		}
		if r.Width, err = pixels(w); err == nil {
			r.Height, err = pixels(h)
		}
	case "shorter":
		r.Shorter, err = pixels(s.Value)
	case "share":
		if r.Share, err = number(s.Value); err == nil && !(r.Share > 0.01 && r.Share <= 1) {
			err = errors.New("it is a part, up to 1")
		}
	case "longer":
		r.Longer, err = pixels(s.Value)
	case "multiple":
		r.Multiple, err = pixels(s.Value)
	case "fit":
		if r.Fit = Fit(s.Value); !slices.Contains(fits, r.Fit) {
			err = fmt.Errorf("there are stretch, letterbox, letterbox-top-left, crop and keep-ratio")
		}
	case "resample":
		r.Resample, err = picture.ParseFilter(s.Value)
	case "fill":
		if r.FillMean = s.Value == "mean"; r.FillMean {
			break
		}
		var n uint64
		if n, err = strconv.ParseUint(s.Value, 10, 8); err != nil {
			err = errors.New("it is a grey from 0 to 255, or the word mean")
		}
		r.Fill = uint8(n)
	case "order":
		if r.Order = Order(s.Value); r.Order == "gray" { // as OpenCV spells it
			r.Order = Grey
		}
		if r.Order != RGB && r.Order != BGR && r.Order != Grey {
			err = errors.New("there are rgb, bgr and grey")
		}
	case "layout":
		if r.Layout = strings.ToUpper(s.Value); r.Layout != "NCHW" && r.Layout != "NHWC" {
			err = errors.New("there are nchw and nhwc")
		}
	case "scale":
		if r.Scale, err = number(s.Value); err == nil && r.Scale == 0 {
			err = errors.New("a scale of zero leaves nothing")
		}
	case "mean":
		r.Mean, err = numbers(s.Value)
	case "std":
		if r.Std, err = numbers(s.Value); slices.Contains(r.Std, 0) {
			err = errors.New("a deviation of zero divides by zero")
		}
	default:
		return unknown(s.Key)
	}
	if err != nil {
		where := ""
		if s.Why != "" {
			where = s.Why + ": "
		}
		return option.Errorf("%spreprocessing %s=%s: %v", where, s.Key, s.Value, err)
	}
	return nil
}

func pixels(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 1 || n > picture.MaxSide {
		return 0, fmt.Errorf("%q is no number of pixels from 1 to %d", s, picture.MaxSide)
	}
	return n, nil
}

func numbers(s string) (list []float64, err error) {
	for f := range strings.SplitSeq(s, ":") {
		v, e := number(f)
		if e != nil {
			return nil, e
		}
		list = append(list, v)
	}
	return list, nil
}

// number reads a decimal number or a fraction such as 1/255.
func number(s string) (float64, error) {
	a, b, fraction := strings.Cut(strings.TrimSpace(s), "/")
	x, err := strconv.ParseFloat(a, 64)
	if err == nil && fraction {
		var y float64
		if y, err = strconv.ParseFloat(b, 64); err == nil && y == 0 {
			err = errors.New("division by zero")
		}
		x /= y
	}
	if err == nil && (x-x != 0) {
		err = fmt.Errorf("%q is not finite", s)
	}
	return x, err
}

// Error says that a setting, a file of settings or a profile is not what it has to be: wrong usage.
type Error = option.Error

// Check refuses what can not be meant, with an *Error.
func (r Recipe) Check() error {
	finite := func(vs ...float64) bool {
		return !slices.ContainsFunc(vs, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	}
	switch {
	case r.Width < 0 || r.Height < 0 || r.Width > picture.MaxSide || r.Height > picture.MaxSide:
		return option.Errorf("pictures of %dx%d pixels: from 1 to %d a side are made", r.Width, r.Height, picture.MaxSide)
	case r.Fit != "" && !slices.Contains(fits, r.Fit):
		return option.Errorf("fit %q is not known; there are %v", r.Fit, fits)
	case r.Order != "" && !slices.Contains([]Order{RGB, BGR, Grey}, r.Order):
		return option.Errorf("order %q of channels is not known; there are %s, %s and %s", r.Order, RGB, BGR, Grey)
	case r.Layout != "" && r.Layout != "NCHW" && r.Layout != "NHWC":
		return option.Errorf("layout %q is not known; there are NCHW and NHWC", r.Layout)
	case !finite(r.Scale, r.Shrink) || !finite(r.Mean...) || !finite(r.Std...):
		return option.Errorf("scale %v, mean %v and deviation %v of pictures are not all numbers", r.Scale, r.Mean, r.Std)
	case slices.Contains(r.Std, 0):
		return option.Errorf("a deviation of zero in %v divides pictures by zero", r.Std)
	case r.Shrink < 0 || r.Shrink > 1:
		return option.Errorf("pictures can not be shrunk to %v of the input: a share from 0 to 1 can", r.Shrink)
	}
	return nil
}
