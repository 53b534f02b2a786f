// Command ortrun runs a model on ONNX Runtime with random inputs, to see what the model takes and gives:
//
//	go run ./runtime/onnxruntime/cmd/ortrun model.onnx [--dims N=1,H=640,images.3=640] [--seed 1]
//
// It is a tool for developers. With --serve it runs models for another program instead, which talks to it through standard input and
// output: onnxprune reaches ONNX Runtime that way (package runtime/engine). The model may be gzipped. A dynamic dimension is 1 unless --dims sets it, by its symbol or
// by input and axis.
package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"onnxprune/runtime/onnxruntime"
	"onnxprune/runtime/onnxruntime/serve"
)

func main() {
	if slices.Equal(os.Args[1:], []string{"--serve"}) {
		os.Exit(serve.Main())
	}
	err := run(os.Args[1:], os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "ortrun:", err)
		os.Exit(1)
	}
}

// A request is the command line, read.
type request struct {
	model string
	dims  dimensions
	seed  uint64
	runs  int
	opts  onnxruntime.Options
}

func run(args []string, out io.Writer) error {
	r, err := parse(args)
	if err != nil {
		return err
	}
	path, err := onnxruntime.Find()
	if err != nil {
		return err
	}
	lib, err := onnxruntime.Open(path)
	if err != nil {
		return err
	}
	started := time.Now()
	session, err := load(lib, r.model, r.opts)
	if err != nil {
		return err
	}
	defer session.Close()
	fmt.Fprintf(out, "%s: loaded by ONNX Runtime %s in %s\n", r.model, lib.Version(), rounded(time.Since(started)))
	for _, v := range session.Inputs() {
		fmt.Fprintf(out, "  input  %s\n", v)
	}
	for _, v := range session.Outputs() {
		fmt.Fprintf(out, "  output %s\n", v)
	}
	inputs, err := randomInputs(session.Inputs(), r.dims, rand.New(rand.NewPCG(r.seed, 0)))
	if err != nil {
		return err
	}
	outputs, err := timedRuns(session, inputs, r.runs, out)
	if err != nil {
		return err
	}
	for _, v := range session.Outputs() {
		describe(out, "  "+v.Name, outputs[v.Name])
	}
	return nil
}

// parse takes the model before, between or after the flags.
func parse(args []string) (request, error) {
	r := request{dims: dimensions{}}
	flags := flag.NewFlagSet("ortrun", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: ortrun model.onnx [flags]")
		flags.PrintDefaults()
	}
	flags.Var(r.dims, "dims", "sizes of dynamic dimensions, such as `N=1,H=640,images.3=640`")
	flags.Uint64Var(&r.seed, "seed", 1, "seed of the random inputs")
	flags.IntVar(&r.runs, "runs", 1, "runs to time after the first")
	flags.IntVar(&r.opts.Threads, "threads", 0, "threads inside an operator (default: all cores)")
	level := flags.String("optimize", "all", "how far the graph is rewritten: none, basic, extended, all")
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return r, err
		}
		if args = flags.Args(); len(args) == 0 {
			break
		}
		if r.model != "" {
			return r, fmt.Errorf("one model at a time, and not both %s and %s", r.model, args[0])
		}
		r.model, args = args[0], args[1:]
	}
	if r.model == "" {
		return r, errors.New("no model named: ortrun model.onnx [--dims N=1,H=640] [--seed 1]")
	}
	var known bool
	r.opts.OptimizationLevel, known = map[string]onnxruntime.OptimizationLevel{
		"none": onnxruntime.OptimizeNone, "basic": onnxruntime.OptimizeBasic,
		"extended": onnxruntime.OptimizeExtended, "all": onnxruntime.OptimizeAll,
	}[*level]
	if !known {
		return r, fmt.Errorf("--optimize %s: want none, basic, extended or all", *level)
	}
	return r, nil
}

func load(lib *onnxruntime.Library, path string, opts onnxruntime.Options) (*onnxruntime.Session, error) {
	if !strings.EqualFold(filepath.Ext(path), ".gz") {
		return lib.NewSession(path, opts)
	}
	packed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	reader, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", path, err)
	}
	model, err := io.ReadAll(reader)
	if err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", path, err)
	}
	return lib.NewSessionFromBytes(model, opts)
}

// timedRuns tells the first run from the later ones: the first one also sets up memory.
func timedRuns(session *onnxruntime.Session, inputs map[string]*onnxruntime.Tensor, later int, out io.Writer) (map[string]*onnxruntime.Tensor, error) {
	started := time.Now()
	outputs, err := session.Run(inputs, nil)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "first run %s", rounded(time.Since(started)))
	if later > 0 {
		started = time.Now()
		for range later {
			if _, err := session.Run(inputs, nil); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(out, ", then %s a run", rounded(time.Since(started)/time.Duration(later)))
	}
	fmt.Fprintln(out)
	return outputs, nil
}

func rounded(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }
