package onnxprune

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"onnxprune/runtime/dataset"
	"onnxprune/runtime/evaluation"
)

// predictions collects detections in COCO's format of results.
type predictions struct {
	set *dataset.Set
	of  int // model

	mu    sync.Mutex
	found map[int][]prediction // by picture
}

type prediction struct {
	Image    int64      `json:"image_id"`
	Category int        `json:"category_id"`
	Box      [4]float64 `json:"bbox"` // x, y, width, height
	Score    float64    `json:"score"`
}

func (p *predictions) add(s evaluation.Said) {
	if s.Model != p.of {
		return
	}
	var out []prediction
	for _, d := range s.Found {
		id := d.Class
		if d.Class < len(p.set.Classes) {
			id = p.set.Classes[d.Class].ID
		}
		out = append(out, prediction{s.Item.Sample.ID, id, [4]float64{d.Box.X0, d.Box.Y0, d.Box.Width(), d.Box.Height()}, d.Score})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		p.found = map[int][]prediction{}
	}
	p.found[s.Item.Index] = out
}

func (p *predictions) write(path string) error {
	all := []prediction{}
	for i := range p.set.Samples {
		all = append(all, p.found[i]...)
	}
	tmp, err := stage(filepath.Dir(path), func(w io.Writer) error { return json.NewEncoder(w).Encode(all) })
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return fmt.Errorf("%s: the predictions were not written: %w", path, plain(err))
	}
	return nil
}
