package preprocess

import (
	"fmt"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/picture"
	"onnxprune/runtime/value"
)

// Axes are those of a picture in a shape.
type Axes struct{ Channels, Height, Width int }

// AxesOf reports whether a shape (-1 where an extent is open) looks like a picture, or a batch of them, and which axes are which.
func AxesOf(elem onnxio.DataType, shape []int) (Axes, bool) {
	n := len(shape)
	if n < 3 || !elem.IsFloat() && elem != onnxio.Uint8 && elem != onnxio.Int8 {
		return Axes{}, false
	}
	colour := func(d int) bool { return d == 3 || d == 1 && n >= 4 }
	large := func(d int) bool { return d < 0 || d >= 8 }
	first, last := Axes{n - 3, n - 2, n - 1}, Axes{n - 1, n - 3, n - 2}
	switch {
	case colour(shape[n-3]) && large(shape[n-2]) && large(shape[n-1]):
		return first, true
	case colour(shape[n-1]) && large(shape[n-3]) && large(shape[n-2]):
		return last, true
	case n == 4 && shape[1] < 0 && shape[2] < 0 && shape[3] < 0:
		return first, true
	}
	return Axes{}, false
}

// canvas is an input's shape with the places of its axes.
type canvas struct {
	elem  onnxio.DataType
	shape []int
	Axes
}

// Tensor makes an input of a declared type out of a picture, and says where the picture lies on it and, in words, what was done. shape settles
// what the type leaves open; -1, or nil, leaves it to the recipe and to the picture.
func (r Recipe) Tensor(p *picture.Picture, want *onnxio.Type, shape []int) (*value.Tensor, detection.Placement, string, error) {
	fail := func(err error) (*value.Tensor, detection.Placement, string, error) {
		return nil, detection.Placement{}, "", err
	}
	if err := r.Check(); err != nil {
		return fail(err)
	}
	c, err := r.canvas(want, shape)
	if err != nil {
		return fail(err)
	}
	l := r.arrange(p.Width, p.Height, c.shape[c.Width], c.shape[c.Height])
	if l.canvasW > picture.MaxSide || l.canvasH > picture.MaxSide {
		return fail(fmt.Errorf("a picture can not be made %dx%d", l.canvasW, l.canvasH))
	}
	c.shape[c.Width], c.shape[c.Height] = l.canvasW, l.canvasH
	if r.Order == BGR && c.shape[c.Channels] == 1 || r.Order == Grey && c.shape[c.Channels] == 3 {
		return fail(fmt.Errorf("the order of channels is %s, the model wants %d", r.Order, c.shape[c.Channels]))
	}
	t := value.New(c.elem, c.shape...)
	if !r.paint(t, p.Resize(l.w, l.h, r.Resample), l, c) {
		return fail(fmt.Errorf("pictures do not go into elements of type %v", c.elem))
	}
	return t, l.placement(p.Width, p.Height), r.describe(p, l, c), nil
}

// canvas works out the input's shape; height and width are -1 where the picture decides.
func (r Recipe) canvas(want *onnxio.Type, shape []int) (canvas, error) {
	if want == nil || want.Kind != onnxio.KindTensor || !(want.Elem.IsFloat() || want.Elem == onnxio.Uint8) {
		return canvas{}, fmt.Errorf("pictures go into tensors of floats or of uint8, the model wants %v", want)
	}
	sh, a, err := r.place(want, shape)
	if err != nil {
		return canvas{}, err
	}
	for _, s := range []struct {
		axis, asked int
		name        string
	}{{a.Height, r.Height, "height"}, {a.Width, r.Width, "width"}} {
		switch {
		case sh[s.axis] >= 0 && s.asked > 0 && sh[s.axis] != s.asked:
			return canvas{}, fmt.Errorf("a %s of %d is asked for, the model wants %d", s.name, s.asked, sh[s.axis])
		case sh[s.axis] < 0 && s.asked > 0:
			sh[s.axis] = s.asked
		case sh[s.axis] == 0 || sh[s.axis] > picture.MaxSide:
			return canvas{}, fmt.Errorf("a picture can not be made %s %d", s.name, sh[s.axis])
		}
	}
	if sh[a.Channels] < 0 {
		sh[a.Channels] = 3
		if r.Order == Grey {
			sh[a.Channels] = 1
		}
	}
	for k := range sh {
		if k != a.Channels && k != a.Height && k != a.Width && sh[k] != 1 {
			if sh[k] >= 0 {
				return canvas{}, fmt.Errorf("one picture is given, the model wants %v", want)
			}
			sh[k] = 1
		}
	}
	c := sh[a.Channels]
	if c != 1 && c != 3 {
		return canvas{}, fmt.Errorf("pictures have 1 or 3 channels, the model wants %d", c)
	}
	for _, list := range []struct {
		name   string
		values []float64
	}{{"mean", r.Mean}, {"std", r.Std}} {
		if len(list.values) > 1 && len(list.values) != c {
			return canvas{}, fmt.Errorf("%s has %d numbers for %d channels", list.name, len(list.values), c)
		}
	}
	return canvas{want.Elem, sh, a}, nil
}

// place finds the axes of channels, height and width; -1 stands for extents that are still open.
func (r Recipe) place(want *onnxio.Type, shape []int) ([]int, Axes, error) {
	sh := Declared(want)
	if sh == nil {
		sh = []int{1, -1, -1, -1}
	}
	if shape != nil && len(shape) != len(sh) {
		return nil, Axes{}, fmt.Errorf("a shape with %d axes is given, the model wants %v", len(shape), want)
	}
	for k, d := range shape {
		if d >= 0 && sh[k] >= 0 && d != sh[k] {
			return nil, Axes{}, fmt.Errorf("the extent %d is given for axis %d, the model wants %v", d, k, want)
		}
		if d >= 0 {
			sh[k] = d
		}
	}
	n := len(sh)
	a, ok := AxesOf(want.Elem, sh)
	switch {
	case n < 3:
		return nil, a, fmt.Errorf("a picture does not fit into %v", want)
	case r.Layout == "NCHW":
		a = Axes{n - 3, n - 2, n - 1}
	case r.Layout == "NHWC":
		a = Axes{n - 1, n - 3, n - 2}
	case !ok:
		return nil, a, fmt.Errorf("where %v has its channels can not be told; say nchw or nhwc", want)
	}
	return sh, a, nil
}

// Declared returns a tensor type's shape with -1 for what it leaves open, nil where it declares no shape.
func Declared(t *onnxio.Type) []int {
	if t == nil || !t.HasShape {
		return nil
	}
	out := make([]int, len(t.Shape))
	for k, d := range t.Shape {
		out[k] = -1
		if n, fixed := d.Extent(); fixed {
			out[k] = int(n)
		}
	}
	return out
}

func (r Recipe) scale(elem onnxio.DataType) float64 {
	switch {
	case r.Scale != 0:
		return r.Scale
	case elem.IsFloat():
		return 1.0 / 255
	}
	return 1
}

// paint fills the tensor and lays the resized picture on it. False stands for elements that pictures do not go into.
func (r Recipe) paint(t *value.Tensor, p *picture.Picture, l layout, c canvas) bool {
	switch d := t.Data.(type) {
	case []float32:
		paint(d, r, p, l, c, func(x float64) float32 { return float32(x) })
	case []float64:
		paint(d, r, p, l, c, func(x float64) float64 { return x })
	case []uint8:
		paint(d, r, p, l, c, func(x float64) uint8 { return uint8(min(255, max(0, x+0.5))) })
	case []uint16:
		narrow := onnxio.Float32ToFloat16
		if t.Type == onnxio.BFloat16 {
			narrow = onnxio.Float32ToBFloat16
		} else if t.Type != onnxio.Float16 {
			return false
		}
		paint(d, r, p, l, c, func(x float64) uint16 { return narrow(float32(x)) })
	default:
		return false
	}
	return true
}

func paint[T float32 | float64 | uint8 | uint16](d []T, r Recipe, p *picture.Picture, l layout, c canvas, to func(float64) T) {
	channels := c.shape[c.Channels]
	tables, fill := make([][256]T, channels), make([]T, channels)
	scale := r.scale(c.elem)
	for ch := range channels {
		mean, std := perChannel(r.Mean, ch, 0), perChannel(r.Std, ch, 1)
		for v := range tables[ch] {
			tables[ch][v] = to((float64(v)*scale - mean) / std)
		}
		if fill[ch] = tables[ch][r.Fill]; r.FillMean {
			fill[ch] = to(0)
		}
	}
	stepX, stepC := 1, l.canvasH*l.canvasW // elements between neighbours, and between channels
	if c.Channels > c.Width {
		stepX, stepC = channels, 1
	}
	left, top := max(l.x, l.clipX), max(l.y, l.clipY)
	right, bottom := min(l.x+p.Width, l.clipX+l.clipW), min(l.y+p.Height, l.clipY+l.clipH)
	if left > 0 || top > 0 || right < l.canvasW || bottom < l.canvasH {
		for ch := range channels {
			for k := range l.canvasH * l.canvasW {
				d[ch*stepC+k*stepX] = fill[ch]
			}
		}
	}
	for y := top; y < bottom; y++ {
		row := p.Pix[3*((y-l.y)*p.Width+left-l.x):]
		for ch := range channels {
			at := ch*stepC + (y*l.canvasW+left)*stepX
			table := &tables[ch]
			from := ch
			if r.Order == BGR {
				from = 2 - ch
			}
			for x := range max(0, right-left) {
				v := row[3*x : 3*x+3 : 3*x+3]
				if channels == 1 { // ITU-R BT.601, as Pillow weighs
					d[at] = table[uint8((19595*uint32(v[0])+38470*uint32(v[1])+7471*uint32(v[2])+1<<15)>>16)]
				} else {
					d[at] = table[v[from]]
				}
				at += stepX
			}
		}
	}
}

func perChannel(list []float64, ch int, def float64) float64 {
	if len(list) == 0 {
		return def
	}
	return list[min(ch, len(list)-1)]
}

// describe says in words what was done with a picture.
func (r Recipe) describe(p *picture.Picture, l layout, c canvas) string {
	over := fmt.Sprintf("over grey %d", r.Fill)
	if r.FillMean {
		over = "over zeros"
	}
	var parts []string
	size := fmt.Sprintf("%dx%d pixels", p.Width, p.Height)
	to := fmt.Sprintf("%dx%d", l.canvasW, l.canvasH)
	small := r.Shrink > 0 && r.Shrink < 1
	switch {
	case p.Width == l.canvasW && p.Height == l.canvasH && !small && r.Fit != Crop:
		parts = append(parts, size)
	case r.Fit == Letterbox:
		parts = append(parts, size+" letterboxed to "+to+" "+over)
	case r.Fit == LetterboxTopLeft:
		parts = append(parts, size+" letterboxed to the left top of "+to+" "+over)
	case r.Fit == Crop:
		parts = append(parts, fmt.Sprintf("%s scaled to %dx%d, the middle %s taken", size, l.w, l.h, to))
	case r.Fit == KeepRatio || l.w != l.canvasW || l.h != l.canvasH:
		parts = append(parts, fmt.Sprintf("%s scaled to %dx%d, filled up to %s %s", size, l.w, l.h, to, over))
	default:
		parts = append(parts, size+" stretched to "+to)
	}
	if small {
		parts[0] += fmt.Sprintf(", shrunk to %.4g of it", r.Shrink)
	}
	switch {
	case c.shape[c.Channels] == 1:
		parts = append(parts, "grey")
	case r.Order == BGR:
		parts = append(parts, "BGR")
	default:
		parts = append(parts, "RGB")
	}
	switch s := r.scale(c.elem); s {
	case 1:
		parts = append(parts, "0..255")
	case 1.0 / 255:
		parts = append(parts, "0..1 (divided by 255)")
	default:
		parts = append(parts, fmt.Sprintf("0..255 times %.6g", s))
	}
	if r.Mean != nil {
		parts = append(parts, fmt.Sprintf("minus %v", r.Mean))
	}
	if r.Std != nil {
		parts = append(parts, fmt.Sprintf("divided by %v", r.Std))
	}
	if c.Channels > c.Width {
		return strings.Join(append(parts, "NHWC"), ", ")
	}
	return strings.Join(append(parts, "NCHW"), ", ")
}
