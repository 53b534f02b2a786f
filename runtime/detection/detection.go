// Package detection holds the words that data sets, detector heads and metrics share: boxes, detections, the objects
// that are really there, and where a picture lies on a model's input.
package detection

// Box is an axis-aligned rectangle in pixels: left, top, right and bottom edge. Edges are real numbers, so the width
// is X1-X0 (COCO's convention, without the +1 of Pascal VOC's).
type Box struct{ X0, Y0, X1, Y1 float64 }

// Width returns the box's width in pixels, 0 where its edges are in the wrong order.
func (b Box) Width() float64 { return max(0, b.X1-b.X0) }

// Height returns the box's height in pixels, 0 where its edges are in the wrong order.
func (b Box) Height() float64 { return max(0, b.Y1-b.Y0) }

// Area returns the box's area in square pixels.
func (b Box) Area() float64 { return b.Width() * b.Height() }

// Intersection returns the area that two boxes share, in square pixels.
func (b Box) Intersection(o Box) float64 {
	w := min(b.X1, o.X1) - max(b.X0, o.X0)
	h := min(b.Y1, o.Y1) - max(b.Y0, o.Y0)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h
}

// IoU returns the intersection of two boxes over their union, in 0..1; 0 where both are empty.
func (b Box) IoU(o Box) float64 {
	i := b.Intersection(o)
	if u := b.Area() + o.Area() - i; u > 0 {
		return i / u
	}
	return 0
}

// Detection is a box that a detector found in a picture, in pixels of that picture.
type Detection struct {
	Class int // index of the class, from 0, in the order of the model's outputs
	Score float64
	Box   Box
}

// Object is a box that a data set says is there, in pixels of the picture.
type Object struct {
	Class     int // index of the class, from 0, in the order of the data set's classes
	Box       Box
	Area      float64 // in square pixels, of the object rather than its box where the data set knows it
	Crowd     bool    // COCO's iscrowd: a region of many objects, which detections may match without counting
	Difficult bool    // Pascal VOC's difficult: not counted
}

// Placement says where a picture lies on the canvas that a model is fed: canvas = picture*scale + offset, per axis.
type Placement struct {
	Width, Height             int     // of the picture, in pixels
	CanvasWidth, CanvasHeight int     // of the model's input, in pixels
	ScaleX, ScaleY            float64 // canvas pixels in one picture pixel
	OffsetX, OffsetY          float64 // of the picture's left top corner on the canvas, in canvas pixels
}

// ToPicture brings a box from the canvas to the picture, without clipping it.
func (p Placement) ToPicture(b Box) Box {
	return Box{(b.X0 - p.OffsetX) / p.ScaleX, (b.Y0 - p.OffsetY) / p.ScaleY, (b.X1 - p.OffsetX) / p.ScaleX, (b.Y1 - p.OffsetY) / p.ScaleY}
}

// ToCanvas brings a box from the picture to the canvas.
func (p Placement) ToCanvas(b Box) Box {
	return Box{b.X0*p.ScaleX + p.OffsetX, b.Y0*p.ScaleY + p.OffsetY, b.X1*p.ScaleX + p.OffsetX, b.Y1*p.ScaleY + p.OffsetY}
}

// Clip returns the part of a box that lies on the picture.
func (p Placement) Clip(b Box) Box {
	w, h := float64(p.Width), float64(p.Height)
	return Box{min(max(b.X0, 0), w), min(max(b.Y0, 0), h), min(max(b.X1, 0), w), min(max(b.Y1, 0), h)}
}
