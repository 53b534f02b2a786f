// Command gen writes the assembly of the kernels. Each output is one program
// built with avo: a .s file and the Go declarations of its functions. Run it
// with "go generate ./runtime/kernels"; a test here fails when what is checked
// in is not what it would write.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

// programs are the outputs: <name>_amd64.s and <name>_amd64.go.
var programs = []struct {
	name  string
	about string
	write func(ctx *build.Context)
}{
	{"asm_gemm", "Micro-kernels of the matrix product.", writeGemm},
	{"asm_pack", "Packing of the right factor of a matrix product.", writePack},
	{"asm_depthwise", "Depthwise convolution.", writeDepthwise},
	{"asm_winograd", "Transforms of Winograd's convolution.", writeWinograd},
	{"asm_reduce", "Sums and maxima.", writeReduce},
	{"asm_elementwise", "Element-wise functions of whole vectors.", writeElementwise},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen <folder of package kernels>")
		os.Exit(2)
	}
	files, err := generate()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(os.Args[1], name), text, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "gen:", err)
			os.Exit(1)
		}
	}
}

// generate returns the contents of all generated files by name.
func generate() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, p := range programs {
		ctx := build.NewContext()
		ctx.ConstraintExpr("amd64")
		p.write(ctx)
		file, err := ctx.Result()
		if err != nil {
			return nil, fmt.Errorf("building %s: %w", p.name, err)
		}
		if err := pass.Compile.Execute(file); err != nil {
			return nil, fmt.Errorf("compiling %s: %w", p.name, err)
		}
		cfg := printer.Config{Name: "gen", Pkg: "kernels"}
		text, err := printer.NewGoAsm(cfg).Print(file)
		if err != nil {
			return nil, fmt.Errorf("printing %s: %w", p.name, err)
		}
		stubs, err := printer.NewStubs(cfg).Print(file)
		if err != nil {
			return nil, fmt.Errorf("printing %s: %w", p.name, err)
		}
		files[p.name+"_amd64.s"] = explained(text, p.about)
		files[p.name+"_amd64.go"] = explained(stubs, p.about)
	}
	return files, nil
}

// explained adds what a file is about to the line that says it is generated.
func explained(text []byte, about string) []byte {
	first, rest, _ := bytes.Cut(text, []byte("\n"))
	return bytes.Join([][]byte{first, []byte("\n// " + about + " Written by the program in gen.\n"), rest}, nil)
}
