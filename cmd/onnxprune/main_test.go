package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"google.golang.org/protobuf/encoding/protowire"

	"onnxprune"
	"onnxprune/onnxio"
	"onnxprune/runtime/onnxruntime"
	"onnxprune/runtime/onnxruntime/serve"
	"onnxprune/testmodels"
)

// The scripts in testdata run the program as users do. Their own commands are
//
//	model NAME FILE      write a model of the table below
//	pictures FOLDER      write the demo's pictures and their boxes, as a data set in COCO's format
//	exits CODE COMMAND   run a command that fails with that code, with one line on stderr that begins with the program's
//	                     name, and with every file as it was before
//	cut FILE N TO        write the first N bytes of a file
//	metadata FILE        print the entries of a model's metadata_props, as KEY=VALUE
//	hashed FILE PATTERN  a line of the last output matches, with the file's SHA-256 in place of HASH
//	without FILE TO      copy a model without the entries of onnxprune, read and written by hand
//	noted FILE TO K=V    copy a model with one more entry
//	turned FILE TO       copy a model with its last field first: the same model in other bytes
//	plain FILE           copy the last output to a file, with the folder of the test, times, and differences of float sums
//	                     replaced; where there are such differences, white space is made equal too
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"model": writeModel, "pictures": writePictures, "exits": exits, "plain": plain, "cut": cutFile,
			"metadata": metadata, "hashed": hashed, "without": without, "noted": noted, "turned": turned,
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_COLOR", "1")
			if path, err := onnxruntime.Find(); err == nil {
				e.Setenv(onnxruntime.PathVariable, path)
			}
			return nil
		},
		Condition: func(name string) (bool, error) {
			if name != "onnxruntime" {
				return false, fmt.Errorf("there is no condition %q", name)
			}
			_, err := onnxruntime.Find()
			return err == nil, nil
		},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"onnxprune": main, "ortrun": func() { os.Exit(serve.Main()) }})
}

func writePictures(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: pictures FOLDER")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.CopyFS(dir, testmodels.DemoImages()))
	ts.Check(os.Remove(filepath.Join(dir, "yolov3_mobilenet_v1_fashion.onnx")))
	ts.Check(os.Remove(filepath.Join(dir, "meta.json")))
}

func writeModel(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: model NAME FILE")
	}
	var b []byte
	switch args[0] {
	case "demo":
		b = testmodels.DemoModel()
	case "six":
		b = testmodels.SixConvolutions().Bytes()
	case "six_retrained": // the same network with other weights
		m := testmodels.SixConvolutions().Model()
		for _, t := range m.Tensors() {
			raw, err := t.Raw()
			ts.Check(err)
			raw = bytes.Clone(raw)
			for i := 3; i < len(raw) && len(t.Dims) == 4; i += 4 {
				raw[i] ^= 0x80 // the sign of a float32
			}
			ts.Check(t.SetRaw(t.Dims, raw))
		}
		b = m.Bytes()
	case "mask_rcnn":
		b = testmodels.MaskRCNNR50(testmodels.RCNNOptions{Divisor: 16}).Bytes()
	case "open": // height and width are open
		m := testmodels.New(17)
		x := m.Input("image", onnxio.Float, "N", 3, "H", "W")
		y := m.Relu(m.Conv("first", x, 3, 8, 3))
		m.Output(m.Conv("second", y, 8, 4, 3), onnxio.Float, "N", 4, "H", "W")
		b = m.Bytes()
	case "wrong_concat":
		m := testmodels.New(17)
		x := m.Input("x", onnxio.Float, 1, 4, 8, 8)
		m.Output(m.Concat(7, x, x), onnxio.Float, 1, 8, 8, 8)
		b = m.Bytes()
	case "no_opset":
		g := testmodels.New(17)
		g.Output(g.Relu(g.Input("x", onnxio.Float, 1, 4)), onnxio.Float, 1, 4)
		b = onnxio.NewModel(8, "test", nil, g.Graph()).Bytes()
	case "external_data":
		b = externalWeight("weights.bin")
		ts.Check(os.WriteFile(filepath.Join(filepath.Dir(ts.MkAbs(args[1])), "weights.bin"), make([]byte, 4*4*8), 0o666))
	case "missing_data":
		b = externalWeight("absent.bin")
	case "escaping_data":
		b = externalWeight("../weights.bin")
	default:
		ts.Fatalf("there is no model %q", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o666))
}

// exits checks the exit code, the single line, and that nothing changed on the disk.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	before := snapshot(ts)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		e, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = e.ExitCode()
	}
	message := ts.ReadFile("stderr")
	if code != want {
		ts.Fatalf("exit code %d, want %d: %s", code, want, message)
	}
	if strings.Count(message, "\n") != 1 || !strings.HasPrefix(message, "onnxprune: ") {
		ts.Fatalf("stderr is not one line that begins with the program's name: %q", message)
	}
	if after := snapshot(ts); after != before {
		ts.Fatalf("files changed from\n%sto\n%s", before, after)
	}
}

func cutFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: cut FILE N TO")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(ts.ReadFile(args[0])[:n]), 0o666))
}

// entries splits a model into its metadata_props, as key and value, and the other fields of the file, at the level of the wire:
// https://protobuf.dev/programming-guides/encoding
func entries(ts *testscript.TestScript, file string) (list [][2]string, rest []byte) {
	b := []byte(ts.ReadFile(file))
	for len(b) > 0 {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 {
			ts.Fatalf("%s: field %d is broken", file, num)
		}
		field := b[:n]
		b = b[n:]
		if num != 14 {
			rest = append(rest, field...)
			continue
		}
		_, _, tag := protowire.ConsumeTag(field)
		content, _ := protowire.ConsumeBytes(field[tag:])
		var entry [2]string
		for len(content) > 0 {
			num, _, tag := protowire.ConsumeTag(content)
			v, n := protowire.ConsumeBytes(content[tag:])
			entry[num-1] = string(v)
			content = content[tag+n:]
		}
		list = append(list, entry)
	}
	return list, rest
}

func metadata(ts *testscript.TestScript, neg bool, args []string) {
	list, _ := entries(ts, args[0])
	fmt.Fprintln(ts.Stdout(), len(list), "entries")
	for _, e := range list {
		fmt.Fprintf(ts.Stdout(), "%s=%s\n", e[0], e[1])
	}
}

func hashed(ts *testscript.TestScript, neg bool, args []string) {
	hash := fmt.Sprintf("%x", sha256.Sum256([]byte(ts.ReadFile(args[0]))))
	pattern := strings.ReplaceAll(args[1], "HASH", hash)
	if !regexp.MustCompile("(?m)^" + pattern).MatchString(ts.ReadFile("stdout")) {
		ts.Fatalf("no line matches %s", pattern)
	}
}

func without(ts *testscript.TestScript, neg bool, args []string) {
	list, rest := entries(ts, args[0])
	for _, e := range list {
		if !strings.HasPrefix(e[0], "onnxprune.") {
			ts.Fatalf("%s has an entry of someone else", args[0])
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), rest, 0o666))
}

func noted(ts *testscript.TestScript, neg bool, args []string) {
	key, value, _ := strings.Cut(args[2], "=")
	entry := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), key)
	entry = protowire.AppendString(protowire.AppendTag(entry, 2, protowire.BytesType), value)
	b := protowire.AppendBytes(protowire.AppendTag([]byte(ts.ReadFile(args[0])), 14, protowire.BytesType), entry)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o666))
}

func turned(ts *testscript.TestScript, neg bool, args []string) {
	b := []byte(ts.ReadFile(args[0]))
	at := 0
	for rest := b; len(rest) > 0; {
		_, _, n := protowire.ConsumeField(rest)
		if n < 0 {
			ts.Fatalf("%s: a field is broken", args[0])
		}
		at, rest = len(b)-len(rest), rest[n:]
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), slices.Concat(b[at:], b[:at]), 0o666))
}

// snapshot lists all files of the script's folder with their content's hash.
func snapshot(ts *testscript.TestScript) string {
	var b strings.Builder
	root := ts.Getenv("WORK")
	ts.Check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if !d.Type().IsRegular() {
			fmt.Fprintln(&b, rel)
			return nil
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %x\n", rel, sha256.Sum256(content))
		return err
	}))
	return b.String()
}

var (
	times = regexp.MustCompile(`\b\d+(\.\d+)? m?s\b`)
	tiny  = regexp.MustCompile(`\b\d(\.\d+)?e-\d+\b`)
	space = regexp.MustCompile(` +`)
	rule  = regexp.MustCompile(`-{4,}`)
	sums  = regexp.MustCompile(`(?m)(\]) (\S+ ){6}(yes|no)$`)
)

func plain(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: plain FILE")
	}
	out := strings.ReplaceAll(ts.ReadFile("stdout"), ts.Getenv("WORK"), "$WORK")
	out = times.ReplaceAllString(out, "TIME")
	if tiny.MatchString(out) {
		out = rule.ReplaceAllString(space.ReplaceAllString(tiny.ReplaceAllString(out, "TINY"), " "), "----")
		out = sums.ReplaceAllString(out, "$1 FIGURES $3")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(out), 0o666))
}

func TestTheBuiltProgramStarts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	program := filepath.Join(t.TempDir(), "onnxprune")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	linkedStatically(t, program)
	cmd := exec.Command(program, "version")
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	if want := "onnxprune " + onnxprune.Version + "\n"; err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
}

// linkedStatically checks that a program asks for no dynamic linker: ONNX Runtime is reached through another one.
func linkedStatically(t *testing.T, program string) {
	f, err := elf.Open(program)
	if err != nil {
		t.Logf("not an ELF file: %v", err)
		return
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program is linked dynamically")
		}
	}
}

func TestAnInterruptEndsThePruneWithItsOwnCode(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.onnx"), filepath.Join(dir, "out.onnx")
	if err := os.WriteFile(in, testmodels.DemoModel(), 0o666); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{in, out, "--params", "conv1_weights", "--ratios", "0.3"}, &stdout, &stderr)
	if want := "onnxprune: interrupted, nothing was written\n"; code != onnxprune.ExitInterrupted || stderr.String() != want {
		t.Errorf("exit code %d, %q, want %d, %q", code, stderr.String(), onnxprune.ExitInterrupted, want)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("an output was written")
	}
}

func TestAnInterruptedMeasurementShowsWhatItHas(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in.onnx")
	if err := testmodels.SixConvolutions().Save(in); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags []string
		shows bool
	}{{nil, true}, {[]string{"--json"}, false}} {
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(500*time.Millisecond, cancel)
		var stdout, stderr bytes.Buffer
		code := run(ctx, append([]string{"bench", in, in, "--duration", "1h", "--warmup", "1ms"}, c.flags...), &stdout, &stderr)
		if code != onnxprune.ExitInterrupted || !regexp.MustCompile(`^onnxprune: interrupted: \d+ runs of each model are measured\n$`).MatchString(stderr.String()) {
			t.Errorf("exit code %d, %q", code, stderr.String())
		}
		if shows := strings.Contains(stdout.String(), "times as long"); shows != c.shows || !shows && stdout.Len() > 0 {
			t.Errorf("printed %q", stdout.String())
		}
	}
}

// broken is an output that panics: a fault of the program, wherever it may be.
type broken struct{}

func (broken) Write([]byte) (int, error) { panic("something\nunexpected") }

func TestAFaultOfTheProgramIsOneLineToo(t *testing.T) {
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"version"}, broken{}, &stderr)
	if want := "onnxprune: internal error: something unexpected; please report it with the command and the model\n"; code != onnxprune.ExitInternal || stderr.String() != want {
		t.Errorf("exit code %d, %q, want %d, %q", code, stderr.String(), onnxprune.ExitInternal, want)
	}
}
