package picture

// Resizing as OpenCV does it (modules/imgproc/src/resize.cpp): weights of 11 bits, sums of whole numbers, so that the pixels are the same to the
// last bit. Making a picture smaller looks at the nearest samples only, as cv2.resize does: antialias.go has Pillow's way.

import (
	"fmt"
	"math"
	"strings"
)

// Filter names a way of resizing.
type Filter string

// The filters. The first four are cv2.resize's INTER_LINEAR, INTER_CUBIC, INTER_NEAREST and INTER_AREA, the others Pillow's (and, to a
// rounding, torchvision's with antialias).
const (
	Linear            Filter = "linear"
	Cubic             Filter = "cubic"
	Nearest           Filter = "nearest"
	Area              Filter = "area"
	BilinearAntialias Filter = "bilinear-antialias"
	BicubicAntialias  Filter = "bicubic-antialias"
)

// Filters lists all filters.
var Filters = []Filter{Linear, Cubic, Nearest, Area, BilinearAntialias, BicubicAntialias}

// ParseFilter returns the filter of a name.
func ParseFilter(name string) (Filter, error) {
	var names []string
	for _, f := range Filters {
		if string(f) == name {
			return f, nil
		}
		names = append(names, string(f))
	}
	return "", fmt.Errorf("resampling %q is not known; there are %s", name, strings.Join(names, ", "))
}

// Resize returns the picture in another size; "" stands for Linear. A picture that has the size is returned as it is.
func (p *Picture) Resize(width, height int, f Filter) *Picture {
	if width == p.Width && height == p.Height {
		return p
	}
	switch f {
	case Nearest:
		return p.nearest(width, height)
	case Area:
		if p.Width == 2*width && p.Height == 2*height {
			return p.half()
		}
		if width <= p.Width && height <= p.Height {
			return p.area(width, height)
		}
		return p.sampled(axis(p.Width, width, areaTaps), axis(p.Height, height, areaTaps), width, height, linearRow)
	case Cubic:
		return p.sampled(axis(p.Width, width, cubicTaps), axis(p.Height, height, cubicTaps), width, height, cubicRow)
	case BilinearAntialias:
		return p.antialias(width, height, triangle, 1)
	case BicubicAntialias:
		return p.antialias(width, height, catmullRom, 2)
	}
	if p.Width == 2*width && p.Height == 2*height { // as cv2.resize does: linear at exactly half is the mean of four
		return p.half()
	}
	return p.sampled(axis(p.Width, width, linearTaps), axis(p.Height, height, linearTaps), width, height, linearRow)
}

const (
	weightBits = 11
	weightOne  = 1 << weightBits
)

// taps are the samples that one output sample is made of: positions, clamped to the picture, and weights that add up to weightOne.
type taps struct {
	at     []int
	weight []int32
}

// axis works out the taps of all output samples along one axis.
func axis(from, to int, of func(at int, scale float64) (first int, w []float32)) []taps {
	scale := 1 / (float64(to) / float64(from))
	out := make([]taps, to)
	for i := range out {
		first, w := of(i, scale)
		t := taps{make([]int, len(w)), make([]int32, len(w))}
		for k, v := range w {
			t.at[k] = min(max(first+k, 0), from-1)
			t.weight[k] = int32(math.RoundToEven(float64(v * weightOne)))
		}
		out[i] = t
	}
	return out
}

// source is where an output sample's centre lies among the input's samples.
func source(at int, scale float64) (floor int, fraction float32) {
	f := float32((float64(at)+0.5)*scale - 0.5)
	floor = int(math.Floor(float64(f)))
	return floor, f - float32(floor)
}

func linearTaps(at int, scale float64) (int, []float32) {
	i, f := source(at, scale)
	return i, []float32{1 - f, f}
}

// areaTaps are those of INTER_AREA where a picture grows: linear between the edges of cells, flat inside of them.
func areaTaps(at int, scale float64) (int, []float32) {
	i := int(math.Floor(float64(at) * scale))
	f := float32(float64(at+1) - float64(i+1)/scale)
	if f <= 0 {
		f = 0
	} else {
		f -= float32(math.Floor(float64(f)))
	}
	return i, []float32{1 - f, f}
}

// cubicTaps are Keys' with a = -3/4.
func cubicTaps(at int, scale float64) (int, []float32) {
	const a = -0.75
	i, x := source(at, scale)
	w := []float32{((a*(x+1)-5*a)*(x+1)+8*a)*(x+1) - 4*a, ((a+2)*x-(a+3))*x*x + 1, ((a+2)*(1-x)-(a+3))*(1-x)*(1-x) + 1, 0}
	w[3] = 1 - w[0] - w[1] - w[2]
	return i - 1, w
}

// sampled makes the rows that are needed as wide as the result, then mixes them.
func (p *Picture) sampled(columns, rows []taps, width, height int, mix func(to []uint8, rows [][]int32, w []int32)) *Picture {
	out := New(width, height)
	n := len(rows[0].at)
	kept := make([][]int32, n) // rows by their place modulo n: those of one output row are neighbours, or the same one
	have := make([]int, n)
	for k := range kept {
		kept[k], have[k] = make([]int32, 3*width), -1
	}
	used := make([][]int32, n)
	for y, t := range rows {
		for k, at := range t.at {
			slot := at % n
			if have[slot] != at {
				p.widthOf(kept[slot], at, columns)
				have[slot] = at
			}
			used[k] = kept[slot]
		}
		mix(out.Pix[3*width*y:3*width*(y+1)], used, t.weight)
	}
	return out
}

// widthOf writes a row at the result's width, times weightOne.
func (p *Picture) widthOf(to []int32, y int, columns []taps) {
	row := p.Pix[3*p.Width*y : 3*p.Width*(y+1)]
	if len(columns[0].at) == 2 {
		for x, t := range columns {
			a, b := row[3*t.at[0]:][:3], row[3*t.at[1]:][:3]
			wa, wb := t.weight[0], t.weight[1]
			o := to[3*x:][:3]
			o[0], o[1], o[2] = int32(a[0])*wa+int32(b[0])*wb, int32(a[1])*wa+int32(b[1])*wb, int32(a[2])*wa+int32(b[2])*wb
		}
		return
	}
	for x, t := range columns {
		var s [3]int32
		for k, at := range t.at {
			a := row[3*at:][:3]
			s[0] += int32(a[0]) * t.weight[k]
			s[1] += int32(a[1]) * t.weight[k]
			s[2] += int32(a[2]) * t.weight[k]
		}
		copy(to[3*x:], s[:])
	}
}

// linearRow mixes two rows. OpenCV shortens the sums on the way (VResizeLinear for uchar), and so do we.
func linearRow(to []uint8, rows [][]int32, w []int32) {
	a, b := rows[0][:len(to)], rows[1][:len(to)]
	for x := range to {
		to[x] = uint8(((w[0]*(a[x]>>4))>>16 + (w[1]*(b[x]>>4))>>16 + 2) >> 2)
	}
}

// cubicRow mixes four rows, in floats as OpenCV's vectors do.
func cubicRow(to []uint8, rows [][]int32, w []int32) {
	const unit = 1.0 / (weightOne * weightOne)
	var f [4]float32
	for k := range f {
		f[k] = float32(w[k]) * unit
	}
	a, b, c, d := rows[0][:len(to)], rows[1][:len(to)], rows[2][:len(to)], rows[3][:len(to)]
	for x := range to {
		s := float32(a[x])*f[0] + float32(float32(b[x])*f[1]) + float32(float32(c[x])*f[2]) + float32(float32(d[x])*f[3])
		to[x] = uint8(min(max(math.RoundToEven(float64(s)), 0), 255))
	}
}

func (p *Picture) nearest(width, height int) *Picture {
	out := New(width, height)
	sx, sy := 1/(float64(width)/float64(p.Width)), 1/(float64(height)/float64(p.Height))
	for y := range height {
		row := p.Pix[3*p.Width*min(int(math.Floor(float64(y)*sy)), p.Height-1):]
		for x := range width {
			copy(out.Pix[3*(y*width+x):][:3], row[3*min(int(math.Floor(float64(x)*sx)), p.Width-1):])
		}
	}
	return out
}

// half averages two by two pixels; halves are rounded up, by OpenCV as well.
func (p *Picture) half() *Picture {
	out := New(p.Width/2, p.Height/2)
	at := 0
	for y := range out.Height {
		top, bottom := p.Pix[3*p.Width*2*y:], p.Pix[3*p.Width*(2*y+1):]
		for x := range out.Width {
			for k := 6 * x; k < 6*x+3; k++ {
				out.Pix[at] = uint8((int(top[k]) + int(top[k+3]) + int(bottom[k]) + int(bottom[k+3]) + 2) >> 2)
				at++
			}
		}
	}
	return out
}

// area averages the cells that fall on each output pixel, parts of them by their part.
func (p *Picture) area(width, height int) *Picture {
	out := New(width, height)
	columns, rows := cells(p.Width, width), cells(p.Height, height)
	line, sum := make([]float32, 3*width), make([]float32, 3*width)
	for y, r := range rows {
		clear(sum)
		for k, w := range r.weight {
			row := p.Pix[3*p.Width*(r.first+k):]
			clear(line)
			for x, c := range columns {
				for j, v := range c.weight {
					px := row[3*(c.first+j):][:3]
					for ch := range 3 {
						line[3*x+ch] += float32(float32(px[ch]) * v)
					}
				}
			}
			for i, v := range line {
				sum[i] += float32(v * w)
			}
		}
		for i, v := range sum {
			out.Pix[3*width*y+i] = uint8(min(max(math.RoundToEven(float64(v)), 0), 255))
		}
	}
	return out
}

// cell is a run of samples and the part that each has in an output sample.
type cell struct {
	first  int
	weight []float32
}

func cells(from, to int) []cell {
	scale := 1 / (float64(to) / float64(from))
	out := make([]cell, to)
	for i := range out {
		low, high := float64(i)*scale, min(float64(i+1)*scale, float64(from))
		whole := min(scale, float64(from)-low)
		first, last := int(math.Ceil(low)), min(int(math.Floor(high)), from-1)
		first = min(first, last)
		c := cell{first: first}
		if float64(first)-low > 1e-3 {
			c.first = first - 1
			c.weight = append(c.weight, float32((float64(first)-low)/whole))
		}
		for range last - first {
			c.weight = append(c.weight, float32(1/whole))
		}
		if high-float64(last) > 1e-3 {
			c.weight = append(c.weight, float32(min(min(high-float64(last), 1), whole)/whole))
		}
		out[i] = c
	}
	return out
}
