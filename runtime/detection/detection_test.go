package detection

import (
	"math"
	"testing"
)

func TestBoxes(t *testing.T) {
	unit := Box{0, 0, 2, 2}
	for _, c := range []struct {
		name string
		b    Box
		want float64
	}{
		{"itself", unit, 1},
		{"half of it", Box{0, 0, 1, 2}, 0.5},
		{"a quarter overlaps: 1 of 7", Box{1, 1, 3, 3}, 1.0 / 7},
		{"edges touch", Box{2, 0, 4, 2}, 0},
		{"edges in the wrong order", Box{2, 2, 0, 0}, 0},
	} {
		if got := unit.IoU(c.b); math.Abs(got-c.want) > 1e-15 {
			t.Errorf("IoU with %s is %v, want %v", c.name, got, c.want)
		}
	}
}

func TestPlacementsInvert(t *testing.T) {
	p := Placement{Width: 640, Height: 480, CanvasWidth: 320, CanvasHeight: 320, ScaleX: .5, ScaleY: .5, OffsetX: 0, OffsetY: 40}
	b := Box{100, 50, 300, 250}
	c := p.ToCanvas(b)
	if c != (Box{50, 65, 150, 165}) {
		t.Fatalf("on the canvas: %v", c)
	}
	if back := p.ToPicture(c); back != b {
		t.Fatalf("back in the picture: %v, want %v", back, b)
	}
	if got := p.Clip(Box{-5, 10, 700, 490}); got != (Box{0, 10, 640, 480}) {
		t.Fatalf("clipped: %v", got)
	}
}
