package runtime_test

// onnx-go brings operator cases, generated from an older release of ONNX's as Go source. They are read from that source, since
// importing them would bring a test framework along, and run through gorgonia's dense tensors, in and out.

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"onnxprune/onnxio"
	"onnxprune/runtime"
)

func TestCasesOfOnnxGo(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/owulveryck/onnx-go").Output()
	if err != nil {
		t.Skipf("the module's folder is not known: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "backend", "testbackend", "onnx", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, file := range files {
		c, err := readOnnxGoCase(file)
		if errors.Is(err, errNoCase) {
			continue
		}
		if err == nil {
			err = c.run()
		}
		if err != nil {
			t.Errorf("%s: %v", c.title, err)
		} else {
			passed++
		}
	}
	if passed < 348 && !t.Failed() {
		t.Errorf("%d cases passed, there should be 348", passed)
	}
}

type onnxGoCase struct {
	title    string
	model    []byte
	in, want []*tensor.Dense
}

var errNoCase = errors.New("no case in the file")

// readOnnxGoCase finds the one testbackend.TestCase literal of a file.
func readOnnxGoCase(file string) (c onnxGoCase, err error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		return c, err
	}
	err = errNoCase
	ast.Inspect(f, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || !errors.Is(err, errNoCase) {
			return true
		}
		if sel, ok := lit.Type.(*ast.SelectorExpr); !ok || sel.Sel.Name != "TestCase" {
			return true
		}
		err = nil
		for _, e := range lit.Elts {
			kv := e.(*ast.KeyValueExpr)
			switch kv.Key.(*ast.Ident).Name {
			case "Title":
				c.title, _ = strconv.Unquote(kv.Value.(*ast.BasicLit).Value)
			case "ModelB":
				c.model = append(c.model, numbers[uint8](kv.Value)...)
			case "Input":
				c.in = denseList(kv.Value)
			case "ExpectedOutput":
				c.want = denseList(kv.Value)
			}
		}
		return false
	})
	return c, err
}

// denseList reads []tensor.Tensor{tensor.New(tensor.WithShape(...), tensor.WithBacking([]T{...})), ...}.
func denseList(e ast.Expr) (out []*tensor.Dense) {
	for _, e := range e.(*ast.CompositeLit).Elts {
		var options []tensor.ConsOpt
		for _, arg := range e.(*ast.CallExpr).Args {
			call := arg.(*ast.CallExpr)
			switch call.Fun.(*ast.SelectorExpr).Sel.Name {
			case "WithShape":
				options = append(options, tensor.WithShape(numbers[int](&ast.CompositeLit{Elts: call.Args})...))
			case "WithBacking":
				options = append(options, tensor.WithBacking(backing(call.Args[0].(*ast.CompositeLit))))
			}
		}
		out = append(out, tensor.New(options...))
	}
	return out
}

func backing(lit *ast.CompositeLit) any {
	switch name := lit.Type.(*ast.ArrayType).Elt.(*ast.Ident).Name; name {
	case "float32":
		return numbers[float32](lit)
	case "float64":
		return numbers[float64](lit)
	case "int":
		return numbers[int](lit)
	case "int32":
		return numbers[int32](lit)
	case "int64":
		return numbers[int64](lit)
	default:
		panic("a tensor of " + name)
	}
}

func numbers[T uint8 | int | int32 | int64 | float32 | float64](e ast.Expr) (out []T) {
	for _, e := range e.(*ast.CompositeLit).Elts {
		sign := T(1)
		if u, ok := e.(*ast.UnaryExpr); ok && u.Op == token.SUB {
			sign, e = -sign, u.X
		}
		text := e.(*ast.BasicLit).Value
		if i, err := strconv.ParseInt(text, 0, 64); err == nil {
			out = append(out, sign*T(i))
			continue
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			panic(err)
		}
		out = append(out, sign*T(v))
	}
	return out
}

func (c onnxGoCase) run() error {
	m, err := onnxio.Parse(c.model)
	if err != nil {
		return err
	}
	s, err := runtime.Compile(m, runtime.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	in := map[string]*tensor.Dense{}
	for i, v := range s.Inputs() {
		in[v.Name] = asDeclared(c.in[i], v.Type)
	}
	out, err := s.RunDense(context.Background(), in)
	if err != nil {
		return err
	}
	for i, v := range s.Outputs()[:min(len(s.Outputs()), len(c.want))] {
		got, err := runtime.FromDense(out[v.Name])
		if err != nil {
			return err
		}
		want, err := runtime.FromDense(c.want[i])
		if err != nil {
			return err
		}
		if g, _ := got.Floats(); len(g) == 1 && want.Len() == 1 {
			w, _ := want.Floats()
			err = equalNumbers(g, w)
		} else {
			err = equal(got, want)
		}
		if err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return nil
}

// asDeclared mends tensors of one element, which the cases' generator wrote as []float32 of one axis, whatever they were.
func asDeclared(d *tensor.Dense, want *onnxio.Type) *tensor.Dense {
	v, ok := d.Data().([]float32)
	if !ok || len(v) != 1 {
		return d
	}
	ones := make([]int, len(want.Shape))
	for i := range ones {
		ones[i] = 1
	}
	shape := tensor.WithShape(ones...)
	switch want.Elem {
	case onnxio.Int64:
		return tensor.New(shape, tensor.WithBacking([]int64{int64(v[0])}))
	case onnxio.Int32:
		return tensor.New(shape, tensor.WithBacking([]int32{int32(v[0])}))
	}
	return tensor.New(shape, tensor.WithBacking(v))
}
