package sensitivity

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func curve(param string, place int, rl ...float64) Curve {
	k := Curve{Param: param, Place: place, Channels: 100}
	for i := 0; i < len(rl); i += 2 {
		k.Points = append(k.Points, Point{Ratio: rl[i], Loss: rl[i+1]})
	}
	return k
}

func curves(ks ...Curve) *Curves {
	c := New(Setting{SHA256: "m", Metric: "ap"})
	c.Baseline, c.Curves = 1, append(c.Curves, ks...)
	return c
}

// The first is PaddleSlim's documented probe; the others follow its get_ratios_by_loss line by line.
func TestRatiosAreThoseOfGetRatiosByLoss(t *testing.T) {
	for _, c := range []struct {
		name  string
		curve Curve
		limit float64
		want  float64 // 0: left out
	}{
		{"between two points", curve("p", 0, .1, 0, .2, .02, .3, .06), .04, .25},
		{"on a point", curve("p", 0, .1, 0, .2, .02, .3, .06), .02, .2},
		{"beyond the last point", curve("p", 0, .1, 0, .2, .02), .5, .2},
		{"below the first point", curve("p", 0, .1, .05, .2, .1), .04, 0},
		{"from the largest ratio down, over a hill", curve("p", 0, .1, 0, .2, .3, .3, .01, .4, .5), .05, .3 + .04*.1/.49},
		{"a negative loss", curve("p", 0, .1, -.02, .2, .02), 0, .15},
		{"a negative limit", curve("p", 0, .1, -.02, .2, .02), -.03, 0},
		{"no points", curve("p", 0), .5, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := 0.
			if r := curves(c.curve).Ratios(c.limit); len(r) == 1 {
				got = r[0].Ratio
			}
			if math.Abs(got-c.want) > 1e-15 {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	a := curves(curve("x", 0, .1, .01, .3, .03), curve("z", 2, .1, .5))
	b := curves(curve("x", 0, .2, .02, .3, .04), curve("y", 1, .1, .2))
	got, conflicts, err := Merge(a, b)
	if err != nil {
		t.Fatal(err)
	}
	if want := curves(curve("x", 0, .1, .01, .2, .02, .3, .04), curve("y", 1, .1, .2), curve("z", 2, .1, .5)); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if want := []Conflict{{"x", .3, .03, .04}}; !reflect.DeepEqual(conflicts, want) {
		t.Errorf("conflicts %v, want %v", conflicts, want)
	}
	other := curves()
	other.Setting.SHA256 = "another"
	if _, _, err := Merge(a, other); err == nil || !strings.Contains(err.Error(), "model") {
		t.Errorf("curves of two models are merged: %v", err)
	}
	slim := New(Setting{}) // PaddleSlim's files do not tell their model
	slim.Put(curve("w", 3), Point{Ratio: .5, Loss: .9})
	if got, _, err := Merge(slim, a); err != nil || got.Setting.SHA256 != "m" || got.Points() != 4 {
		t.Errorf("a file without a setting: %+v, %v", got, err)
	}
}

func TestShardsAreDisjointAndWhole(t *testing.T) {
	tasks := []Task{{Param: "a", Ratios: []float64{.1, .2}}, {Param: "b", Ratios: []float64{.1, .2}}, {Param: "c", Ratios: []float64{.1}}}
	for n := 1; n <= 7; n++ {
		count := map[string]int{}
		for i := 1; i <= n; i++ {
			for _, k := range (Shard{i, n}).Of(tasks) {
				for _, r := range k.Ratios {
					count[k.Param+string(rune('0'+int(r*10)))]++
				}
			}
		}
		if len(count) != 5 {
			t.Errorf("%d shards: %v", n, count)
		}
		for p, k := range count {
			if k != 1 {
				t.Errorf("%d shards: %s is measured %d times", n, p, k)
			}
		}
	}
	for _, bad := range []string{"", "2", "0/2", "3/2", "a/b", "-1/2", "1/0"} {
		if s, err := ParseShard(bad); err == nil {
			t.Errorf("%q is read as %v", bad, s)
		}
	}
	if s, err := ParseShard("2/4"); err != nil || s != (Shard{2, 4}) {
		t.Errorf("2/4 is read as %v, %v", s, err)
	}
}

// A run that ends in the middle is taken up without a point measured twice, and gives the bytes of one that did not.
func TestAnInterruptedMeasurementIsResumed(t *testing.T) {
	tasks := []Task{{Param: "b", Place: 1, Ratios: []float64{.3, .1}}, {Param: "a", Ratios: []float64{.1, .2, .3}}}
	file := filepath.Join(t.TempDir(), "c.json")
	calls := 0
	run := func(stop int) func(context.Context, Task, func(Point) error) error {
		return func(_ context.Context, k Task, done func(Point) error) error {
			for _, r := range k.Ratios {
				if calls == stop {
					return context.Canceled
				}
				calls++
				if err := done(Point{Ratio: r, Metric: .5 - r/float64(k.Place+2)}); err != nil {
					return err
				}
			}
			return nil
		}
	}
	c := New(Setting{Metric: "ap"})
	c.Baseline = .5
	if err := c.Measure(t.Context(), tasks, run(3), func() error { return c.Write(file) }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	c, err := Read(file)
	if err != nil || c.Points() != 3 {
		t.Fatalf("%d points are kept, want 3: %v", c.Points(), err)
	}
	if err := c.Measure(t.Context(), tasks, run(-1), func() error { return c.Write(file) }); err != nil {
		t.Fatal(err)
	}
	resumed, _ := os.ReadFile(file)
	if calls != 5 {
		t.Errorf("%d points are measured, want 5", calls)
	}
	whole := New(Setting{Metric: "ap"})
	whole.Baseline = .5
	if err := whole.Measure(t.Context(), tasks, run(-1), func() error { return whole.Write(file) }); err != nil {
		t.Fatal(err)
	}
	if once, _ := os.ReadFile(file); !bytes.Equal(once, resumed) {
		t.Errorf("the resumed file is\n%s\nnot\n%s", resumed, once)
	}
	if l := whole.Of("a").At(.2).Loss; math.Abs(l-.2) > 1e-15 { // (.5 - .4) / .5
		t.Errorf("the loss is %v, want .2", l)
	}
	if _, err := Loss(0, 0); err == nil {
		t.Error("a model that reaches nothing has a loss")
	}
}

func TestFilesThatAreNoCurvesAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                  "",
		"other JSON":             `{"a": 1}`,
		"a plan":                 `{"format": "onnxprune-plan", "version": 1}`,
		"a later version":        `{"format": "onnxprune-sensitivity", "version": 99, "curves": []}`,
		"a ratio of 1":           `{"format": "onnxprune-sensitivity", "version": 1, "curves": [{"param": "a", "points": [{"ratio": 1, "loss": 0}]}]}`,
		"ratios that fall":       `{"format": "onnxprune-sensitivity", "version": 1, "curves": [{"param": "a", "points": [{"ratio": 0.2}, {"ratio": 0.1}]}]}`,
		"a parameter twice":      `{"format": "onnxprune-sensitivity", "version": 1, "curves": [{"param": "a", "points": []}, {"param": "a", "points": []}]}`,
		"text":                   "hello, world",
		"half a pickle":          "\x80\x02}q\x00(X\x05\x00\x00",
		"a pickle that executes": "cos\nsystem\n(S'true'\ntR.",
		"a pickle of a list":     "\x80\x02]q\x00.",
		"a length of 4 GB":       "\x80\x02X\xff\xff\xff\xffa.",
		"a length of 2^62":       "\x80\x04\x8d\x00\x00\x00\x00\x00\x00\x00\x40a.",
		"a frame of 2^62":        "\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x40.",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := parse([]byte(text))
			if err == nil {
				t.Fatalf("read as %+v", c)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %v", err)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("\x80\x02}(X\x01\x00\x00\x00a}(G\x3f\xb9\x99\x99\x99\x99\x99\x9aG\x00\x00\x00\x00\x00\x00\x00\x00uu."))
	f.Add([]byte(`{"format": "onnxprune-sensitivity", "version": 1, "curves": []}`))
	f.Fuzz(func(t *testing.T, b []byte) { _, _ = parse(b) })
}

// Python writes, and reads what we write.
func TestPicklesAreExchangedWithPython(t *testing.T) {
	python := ""
	for _, p := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(p, "-c", "import numpy").Run() == nil {
			python = p
			break
		}
	}
	if python == "" {
		t.Skip("this needs python3 with numpy")
	}
	dir := t.TempDir()
	script := `import pickle, sys, numpy as np
d = {"conv1_weights": {0.1: np.float64(0.25), 0.2: np.float32(0.5)}, "größe": {np.float64(0.3): -1, 0.4: 0.125}}
for protocol in range(6):
    with open("%s/%d.pickle" % (sys.argv[1], protocol), "wb") as f: pickle.dump(d, f, protocol=protocol)`
	if out, err := exec.Command(python, "-c", script, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want := New(Setting{})
	want.Curves = append(want.Curves, Curve{Param: "conv1_weights", Points: []Point{{Ratio: .1, Loss: .25}, {Ratio: .2, Loss: .5}}},
		Curve{Param: "größe", Place: 1, Points: []Point{{Ratio: .3, Loss: -1}, {Ratio: .4, Loss: .125}}})
	for protocol := range 6 {
		got, err := Read(filepath.Join(dir, string(rune('0'+protocol))+".pickle"))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("protocol %d is read as %+v, %v; want %+v", protocol, got, err, want)
		}
	}
	file := filepath.Join(dir, "ours.pkl")
	if err := want.Write(file); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(python, "-c", `import pickle, sys
d = pickle.load(open(sys.argv[1], "rb")); print(d, [type(x) for v in d.values() for kv in v.items() for x in kv] == [float] * 8)`, file).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "{'conv1_weights': {0.1: 0.25, 0.2: 0.5}, 'größe': {0.3: -1.0, 0.4: 0.125}} True" {
		t.Errorf("Python reads ours as %s (%v)", out, err)
	}
}

// The costs here are made up: 100 units a parameter, each of which falls with its ratio.
func TestATargetIsReached(t *testing.T) {
	cost := func(rs []Ratio) (float64, error) {
		left := 400.
		for _, r := range rs {
			left -= math.Round(100 * r.Ratio)
		}
		return left, nil
	}
	smooth := curves(curve("a", 0, .1, .01, .9, .5), curve("b", 1, .1, .02, .9, .9), curve("c", 2, .5, .0, .9, .3), curve("d", 3, .2, .4, .6, .8))
	jumps := curves(curve("a", 0, .1, .5, .9, .2), curve("b", 1, .1, .5, .9, .2), curve("c", 2, .1, .5, .9, .2), curve("d", 3, .1, .9, .9, .9))
	for _, c := range []struct {
		name   string
		curves *Curves
		target float64
	}{
		{"a small cut", smooth, 360}, {"a middle one", smooth, 280}, {"a large one", smooth, 120},
		{"where three parameters jump at one limit", jumps, 250}, {"a little, where all jump", jumps, 390},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := c.curves.Reach(c.target, cost)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(r.Cost-c.target) > c.target/100 {
				t.Errorf("got %v (limit %v, %v), want %v within 1 %%", r.Cost, r.Limit, r.Ratios, c.target)
			}
			if v, _ := cost(r.Ratios); v != r.Cost {
				t.Errorf("the ratios cost %v, not %v", v, r.Cost)
			}
		})
	}
	var far *UnreachableError
	if _, err := smooth.Reach(10, cost); !errors.As(err, &far) || far.Least != 400-90-90-90-60 {
		t.Errorf("a target that can not be reached: %v", err)
	}
	if _, err := New(Setting{}).Reach(10, cost); err == nil {
		t.Error("curves without a point reach a target")
	}
}
