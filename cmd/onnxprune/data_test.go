package main

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"onnxprune"
	"onnxprune/analysis/sensitivity"
)

// The scripts in testdata/data measure models on pictures: the way of docs/tutorial.md, and what is wrong with data. Their commands are
// those of TestScripts and TestRunScripts, and
//
//	point CURVES PARAM RATIO EVAL   a point of the curves is what eval --json says of that prune
//	left REPORT SHARE TOLERANCE     a prune's report says that so many of the MACs are left
func TestDataScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "data"),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"model": runScriptModel, "exits": exits, "cut": cutFile, "point": checkPoint, "left": checkLeft,
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_COLOR", "1")
			return nil
		},
	})
}

func checkPoint(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: point CURVES PARAM RATIO EVAL")
	}
	var curves sensitivity.Curves
	var e onnxprune.Evaluation
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &curves))
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[3])), &e))
	ratio, err := strconv.ParseFloat(args[2], 64)
	ts.Check(err)
	for _, k := range curves.Curves {
		p := k.At(ratio)
		if k.Param != args[1] || p == nil {
			continue
		}
		if got, want := p.Metric, e.Result.COCO.AP; math.Abs(got-want) > 1e-6 {
			ts.Fatalf("%s at %v: mAP %v, and measured alone %v", k.Param, ratio, got, want)
		}
		if got, want := p.Loss, (curves.Baseline-p.Metric)/curves.Baseline; math.Abs(got-want) > 1e-12 || want == 0 {
			ts.Fatalf("%s at %v: loss %v, want %v", k.Param, ratio, got, want)
		}
		return
	}
	ts.Fatalf("%s has no point of %s at %v", args[0], args[1], ratio)
}

func checkLeft(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: left REPORT SHARE TOLERANCE")
	}
	var r onnxprune.Report
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	want, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	within, err := strconv.ParseFloat(args[2], 64)
	ts.Check(err)
	if got := float64(r.After.MACs) / float64(r.Before.MACs); !(math.Abs(got-want) <= within) {
		ts.Fatalf("%v of the MACs are left, want %v", got, want)
	}
}
