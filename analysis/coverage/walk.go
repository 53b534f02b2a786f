package coverage

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// Report is what was measured of the models below a folder.
type Report struct {
	Ratios  []float64 `json:"ratios"`
	Inexact bool      `json:"allow_inexact,omitempty"`
	Models  []Model   `json:"models"`
}

// Walk measures every *.onnx below a folder, in the order of their paths, which are given relative to it. A model that fails is a row
// with its error; only a wrong ratio, a folder that can not be read, or a context that ends, stops the walk.
func Walk(ctx context.Context, dir string, opt Options) (*Report, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	paths, err := files(dir)
	if err != nil {
		return nil, err
	}
	r := &Report{Ratios: opt.Ratios, Inexact: opt.AllowInexact, Models: []Model{}}
	if r.Ratios == nil {
		r.Ratios = defaultRatios
	}
	for i, path := range paths {
		if opt.Progress != nil {
			opt.Progress(i, len(paths), path)
		}
		m, err := Measure(ctx, filepath.Join(dir, path), opt)
		m.Path = filepath.ToSlash(path)
		if stopped := ctx.Err(); stopped != nil {
			return r, stopped
		}
		if err != nil {
			m.Error = err.Error()
		}
		r.Models = append(r.Models, m)
	}
	if opt.Progress != nil {
		opt.Progress(len(paths), len(paths), "")
	}
	return r, nil
}

// files lists the models below a folder, relative to it.
func files(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("reading %s: %w", dir, err)
		}
		if d.IsDir() || !strings.HasSuffix(d.Name(), ".onnx") {
			return nil
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out = append(out, rel)
		return nil
	})
	slices.Sort(out)
	return out, err
}
