package metrics_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"onnxprune/runtime/detection"
	"onnxprune/runtime/metrics"
)

type (
	box    = detection.Box
	object = detection.Object
	found  = detection.Detection
)

func rect(x0, y0, x1, y1 float64) box { return box{X0: x0, Y0: y0, X1: x1, Y1: y1} }
func thing(b box) object              { return object{Box: b, Area: b.Area()} }
func at(score float64, b box) found   { return found{Score: score, Box: b} }
func none(v float64) bool             { return v == -1 }
func near(a, b, tol float64) bool     { return math.Abs(a-b) <= tol }

// Cases that are worked out by hand, with the definitions of cocodataset.org.
func TestCOCOByHand(t *testing.T) {
	a, b := rect(0, 0, 10, 10), rect(50, 50, 60, 60)
	far := rect(200, 200, 210, 210)
	for _, c := range []struct {
		name    string
		objects []object
		found   []found
		want    map[int]float64 // by index in COCOSummary
	}{
		{"a small object is found exactly", []object{thing(a)}, []found{at(.9, a)},
			map[int]float64{0: 1, 1: 1, 2: 1, 3: 1, 4: -1, 5: -1, 6: 1, 8: 1, 9: 1, 10: -1}},
		{"nothing there, something found: no figure", nil, []found{at(.9, a)}, map[int]float64{0: -1, 8: -1}},
		{"something there, nothing found", []object{thing(a)}, nil, map[int]float64{0: 0, 8: 0}},
		{"one of two is found, behind a false one: precision 1/2 at the 51 recalls up to 1/2", []object{thing(a), thing(b)},
			[]found{at(.9, far), at(.8, a)}, map[int]float64{0: .5 * 51 / 101, 8: .5, 6: 0, 7: .5}},
		{"the second detection of an object is a false one, but comes after all recalls", []object{thing(a)}, []found{at(.9, a), at(.8, a)},
			map[int]float64{0: 1}},
		{"the better overlap comes second: the first detection takes the object", []object{thing(a)},
			[]found{at(.9, rect(0, 0, 10, 7)), at(.8, a)}, // IoU .7: taken up to .65 or .7, else 1/2
			map[int]float64{1: 1, 2: .5}},
		{"at most one detection of a picture and class: recall 1/2", []object{thing(a), thing(b)}, []found{at(.9, a), at(.8, b)},
			map[int]float64{6: .5, 7: 1, 8: 1}},
		{"what lies in a crowd is not counted, however much it is", []object{thing(a), {Box: rect(100, 100, 300, 300), Area: 40000, Crowd: true}},
			[]found{at(.95, far), at(.94, rect(210, 210, 220, 220)), at(.9, a)}, map[int]float64{0: 1, 8: 1, 5: -1}},
		{"a crowd overlaps by the share of the detection: half of it is enough at .5 alone", []object{thing(a), {Box: rect(100, 0, 300, 100), Area: 20000, Crowd: true}},
			[]found{at(.95, rect(90, 0, 110, 20)), at(.9, a)}, map[int]float64{1: 1, 2: .5}},
		{"an object that counts is matched before a crowd that overlaps more", []object{{Box: rect(0, 0, 100, 100), Area: 10000, Crowd: true}, thing(rect(0, 0, 20, 20))},
			[]found{at(.9, rect(0, 0, 20, 15))}, map[int]float64{1: 1, 8: .6}}, // IoU .75: hits at .5 to .75; above, the crowd takes it
		{"an area of 32*32 is small and medium", []object{thing(rect(0, 0, 32, 32))}, []found{at(.9, rect(0, 0, 32, 32))},
			map[int]float64{3: 1, 4: 1, 5: -1}},
		{"a false detection of another size does not count for small ones", []object{thing(a)}, []found{at(.95, rect(100, 100, 200, 200)), at(.9, a)},
			map[int]float64{0: .5, 3: 1, 9: 1}},
		{"the area is the object's own, not the box's", []object{{Box: rect(0, 0, 100, 100), Area: 900}}, []found{at(.9, rect(0, 0, 100, 100))},
			map[int]float64{3: 1, 4: -1, 5: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := metrics.NewCOCO(1)
			m.Add(0, c.objects, c.found)
			got := m.Result().Values()
			for i, want := range c.want {
				if !near(got[i], want, 1e-12) {
					t.Errorf("figure %d (%+v) is %v, want %v", i, metrics.COCOSummary[i], got[i], want)
				}
			}
		})
	}
}

// cocoScorer finds the independent scorer of the test material, and a Python that can run it.
func cocoScorer(t *testing.T) (dir, python string) {
	t.Helper()
	root := os.Getenv("ONNXPRUNE_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	dir = filepath.Join(root, "tools", "scorer")
	if _, err := os.Stat(filepath.Join(dir, "coco_score.py")); err != nil {
		t.Skipf("the independent scorer is not here; set ONNXPRUNE_CORPUS to the folder of the test material: %v", err)
	}
	for _, python = range []string{"python3", "/usr/bin/python3"} { // the second is the system's, where the first is another
		if exec.Command(python, "-c", "import numpy").Run() == nil {
			return dir, python
		}
	}
	t.Skip("the independent scorer needs python3 with numpy")
	return "", ""
}

type row = map[string]any

// Random scenes in which boxes lie on a coarse grid: overlaps that are exactly a threshold, equal scores, crowds, all sizes, more
// than 100 detections, empty pictures and classes.
func TestCOCOAgainstAnIndependentScorer(t *testing.T) {
	dir, python := cocoScorer(t)
	for _, grid := range []float64{8, 0} { // 0: real numbers
		r := rand.New(rand.NewPCG(uint64(grid)+1, 7))
		snap := func(v float64) float64 {
			if grid == 0 {
				return v
			}
			return math.Round(v/grid) * grid
		}
		random := func() box {
			x, y, s := snap(r.Float64()*300), snap(r.Float64()*300), math.Exp(2.5+3*r.Float64())
			return rect(x, y, x+max(snap(s), 1), y+max(snap(s*(.5+r.Float64())), 1))
		}
		const classes, pictures = 5, 60
		m := metrics.NewCOCO(classes)
		var images, annotations, predictions, categories []row
		xywh := func(b box) []float64 { return []float64{b.X0, b.Y0, b.X1 - b.X0, b.Y1 - b.Y0} }
		for k := range classes {
			categories = append(categories, row{"id": k*3 + 1})
		}
		type picture struct {
			objects []object
			found   []found
		}
		var all []picture
		for i := range pictures {
			var p picture
			images = append(images, row{"id": i})
			n, extra := r.IntN(12), r.IntN(30)
			switch i {
			case 7:
				extra = 400
			case 8:
				n, extra = 0, 0
			}
			for range n {
				o := thing(random())
				o.Class = r.IntN(classes - 1) // nothing of the last class is there
				if r.IntN(4) == 0 {
					o.Area *= .3
				}
				o.Crowd = r.IntN(8) == 0
				p.objects = append(p.objects, o)
				for range r.IntN(3) {
					j := func() float64 { return snap(r.NormFloat64() * .1 * o.Box.Width()) }
					b := rect(o.Box.X0+j(), o.Box.Y0+j(), o.Box.X1+j(), o.Box.Y1+j())
					if b.Area() > 0 {
						p.found = append(p.found, found{Class: o.Class, Score: math.Round(r.Float64()*50) / 50, Box: b})
					}
				}
			}
			for range extra {
				p.found = append(p.found, found{Class: r.IntN(classes), Score: math.Round(r.Float64()*40) / 50, Box: random()})
			}
			for _, o := range p.objects {
				crowd := 0
				if o.Crowd {
					crowd = 1
				}
				annotations = append(annotations, row{"image_id": i, "category_id": o.Class*3 + 1, "bbox": xywh(o.Box), "area": o.Area, "iscrowd": crowd})
			}
			for _, d := range p.found {
				predictions = append(predictions, row{"image_id": i, "category_id": d.Class*3 + 1, "bbox": xywh(d.Box), "score": d.Score})
			}
			all = append(all, p)
		}
		for i := range all { // the order of arrival does not matter
			k := (i*7 + 3) % pictures
			m.Add(k, all[k].objects, all[k].found)
		}
		want := independent(t, dir, python, row{"images": images, "annotations": annotations, "categories": categories}, predictions)
		for i, v := range m.Result().Values() {
			if !near(v, want[i], 1e-9) || none(v) {
				t.Errorf("grid %v: figure %d (%+v) is %.9f, the independent scorer says %.9f", grid, i, metrics.COCOSummary[i], v, want[i])
			}
		}
		// A class alone is a data set of that class.
		want = independent(t, dir, python, row{"images": images, "annotations": annotations, "categories": []row{{"id": 4}}}, predictions)
		for i, v := range m.Result().Classes[1].Values() {
			if !near(v, want[i], 1e-9) {
				t.Errorf("grid %v: figure %d of class 1 is %.9f, the independent scorer says %.9f", grid, i, v, want[i])
			}
		}
	}
}

// independent runs the scorer on files in COCO's format.
func independent(t *testing.T, dir, python string, instances row, predictions []row) (out [12]float64) {
	t.Helper()
	tmp := t.TempDir()
	for name, v := range map[string]any{"i.json": instances, "p.json": predictions} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tmp, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const script = `import sys, json; sys.dont_write_bytecode = True; sys.path.insert(0, sys.argv[1]); import coco_score
print(json.dumps(coco_score.score(*(json.load(open(f)) for f in sys.argv[2:]))))`
	cmd := exec.Command(python, "-c", script, dir, filepath.Join(tmp, "i.json"), filepath.Join(tmp, "p.json"))
	cmd.Stderr = os.Stderr
	b, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var values []float64
	if err := json.Unmarshal(b, &values); err != nil || copy(out[:], values) != 12 {
		t.Fatalf("the scorer wrote %s (%v)", b, err)
	}
	return out
}

// Precision and recall where F1 is best: between the scores .2 and .8 all three detections of .8 and above count, and that is best.
func TestPrecisionAndRecallAtTheBestF1(t *testing.T) {
	m := metrics.NewCOCO(2) // class 1 has no object
	a, b, c := rect(0, 0, 10, 10), rect(50, 50, 60, 60), rect(100, 100, 110, 110)
	far := rect(200, 200, 210, 210)
	m.Add(0, []object{thing(a), thing(b), thing(c)}, []found{at(.9, a), at(.85, far), at(.8, b), at(.01, far), at(.005, far)})
	r := m.Result()
	if !near(r.Recall, 2./3, .05) || !near(r.Precision, 2./3, .05) || r.Score > .8 {
		t.Errorf("precision %v, recall %v at %v; want 2/3 and 2/3", r.Precision, r.Recall, r.Score)
	}
	if p := r.Classes[1]; !none(p.Precision) || !none(p.AP) {
		t.Errorf("a class without objects has %+v, want -1", p)
	}
}
