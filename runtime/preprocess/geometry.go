package preprocess

// Where a picture lies on the input. Each rule is that of the program whose models need it, roundings included.

import (
	"math"

	"onnxprune/runtime/detection"
)

// layout is the outcome: the picture is resized to w x h and laid on the canvas with its left top corner at x, y, clipped to a window.
type layout struct {
	canvasW, canvasH int
	w, h             int
	x, y             int
	clipW, clipH     int // of the window that may be painted; it lies where the fit puts it
	clipX, clipY     int
}

func (l layout) placement(width, height int) detection.Placement {
	return detection.Placement{Width: width, Height: height, CanvasWidth: l.canvasW, CanvasHeight: l.canvasH,
		ScaleX: float64(l.w) / float64(width), ScaleY: float64(l.h) / float64(height), OffsetX: float64(l.x), OffsetY: float64(l.y)}
}

// arrange lays a picture of a size on a canvas; canvasW and canvasH below 1 are open.
func (r Recipe) arrange(width, height, canvasW, canvasH int) layout {
	if canvasW < 1 || canvasH < 1 {
		return r.open(width, height, canvasW, canvasH)
	}
	l := layout{canvasW: canvasW, canvasH: canvasH, clipW: canvasW, clipH: canvasH}
	if r.Shrink > 0 && r.Shrink < 1 {
		l.clipW, l.clipH = max(1, round(r.Shrink*float64(canvasW))), max(1, round(r.Shrink*float64(canvasH)))
		if r.Fit == Letterbox || r.Fit == Crop { // in the middle, as the picture itself
			l.clipX, l.clipY = (canvasW-l.clipW)/2, (canvasH-l.clipH)/2
		}
	}
	w, h := float64(width), float64(height)
	ratio := min(float64(l.clipW)/w, float64(l.clipH)/h)
	switch r.Fit {
	case Letterbox: // ultralytics/data/augment.py: round, and the left and top gaps round their half down
		l.w, l.h = max(1, round(w*ratio)), max(1, round(h*ratio))
		l.x = l.clipX + round(float64(l.clipW-l.w)/2-0.1)
		l.y = l.clipY + round(float64(l.clipH-l.h)/2-0.1)
	case LetterboxTopLeft, KeepRatio: // yolox/data/data_augment.py, preproc: truncated
		l.w, l.h = max(1, int(w*ratio)), max(1, int(h*ratio))
	case Crop: // torchvision's Resize and CenterCrop
		shorter := r.Shorter
		if shorter == 0 {
			shorter = min(canvasW, canvasH)
			if r.Share > 0 {
				shorter = max(1, int(float64(shorter)/r.Share)) // timm/data/transforms_factory.py
			}
		}
		if l.clipW < canvasW {
			shorter = max(1, round(float64(shorter)*r.Shrink))
		}
		if width < height {
			l.w, l.h = shorter, max(1, int(float64(shorter)*h/w))
		} else {
			l.w, l.h = max(1, int(float64(shorter)*w/h)), shorter
		}
		l.x, l.y = l.clipX-round(float64(l.w-l.clipW)/2), l.clipY-round(float64(l.h-l.clipH)/2)
	default:
		l.w, l.h = l.clipW, l.clipH
	}
	return l
}

// open lays a picture on a canvas that follows the picture.
func (r Recipe) open(width, height, canvasW, canvasH int) layout {
	l := layout{w: width, h: height}
	if r.Fit == KeepRatio && (r.Shorter > 0 || r.Longer > 0) { // PaddleDetection's Resize, torchvision's and DETR's transforms
		short, long := float64(min(width, height)), float64(max(width, height))
		ratio := float64(r.Shorter) / short
		if r.Longer > 0 && (ratio == 0 || math.RoundToEven(ratio*long) > float64(r.Longer)) {
			ratio = float64(r.Longer) / long
		}
		l.w, l.h = max(1, round(float64(width)*ratio)), max(1, round(float64(height)*ratio))
	}
	l.canvasW, l.canvasH = upTo(l.w, r.Multiple), upTo(l.h, r.Multiple)
	if canvasW > 0 { // one side is the model's
		l.canvasW = canvasW
		l.w = min(l.w, canvasW)
	}
	if canvasH > 0 {
		l.canvasH = canvasH
		l.h = min(l.h, canvasH)
	}
	if r.Shrink > 0 && r.Shrink < 1 {
		l.w, l.h = max(1, round(r.Shrink*float64(l.w))), max(1, round(r.Shrink*float64(l.h)))
	}
	l.clipW, l.clipH = l.canvasW, l.canvasH
	return l
}

func upTo(n, multiple int) int {
	if multiple < 2 {
		return n
	}
	return (n + multiple - 1) / multiple * multiple
}

// round rounds halves to even, as Python does.
func round(x float64) int { return int(math.RoundToEven(x)) }
