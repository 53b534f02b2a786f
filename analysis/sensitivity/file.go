package sensitivity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Read reads a file of curves, in this package's JSON or in PaddleSlim's pickle. The content says which it is.
func Read(path string) (*Curves, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func parse(b []byte) (*Curves, error) {
	if t := bytes.TrimLeft(b, " \t\r\n"); len(t) == 0 || t[0] != '{' {
		return readPickle(b)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	c := &Curves{}
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("not a file of sensitivity curves: %w", err)
	}
	switch {
	case c.Format != Format:
		return nil, fmt.Errorf("not a file of sensitivity curves: its format is %q, not %q", c.Format, Format)
	case c.Version > Version:
		return nil, fmt.Errorf("the curves have version %d; this program knows %d", c.Version, Version)
	}
	return c, c.check()
}

// check refuses curves that could not have been measured.
func (c *Curves) check() error {
	seen := map[string]bool{}
	for _, k := range c.Curves {
		if k.Param == "" || seen[k.Param] {
			return fmt.Errorf("the parameter %q has no name or stands twice", k.Param)
		}
		seen[k.Param] = true
		for i, p := range k.Points {
			switch {
			case !(p.Ratio > 0 && p.Ratio < 1):
				return fmt.Errorf("%s: ratio %v is not between 0 and 1", k.Param, p.Ratio)
			case math.IsNaN(p.Loss) || math.IsInf(p.Loss, 0):
				return fmt.Errorf("%s at %v: the loss is %v", k.Param, p.Ratio, p.Loss)
			case i > 0 && p.Ratio <= k.Points[i-1].Ratio:
				return fmt.Errorf("%s: the ratios do not rise: %v stands behind %v", k.Param, p.Ratio, k.Points[i-1].Ratio)
			}
		}
	}
	return nil
}

// pickled reports whether a file's name asks for PaddleSlim's format.
func pickled(path string) bool {
	return slices.Contains([]string{".pickle", ".pkl", ".data"}, strings.ToLower(filepath.Ext(path)))
}

// Write writes the curves as a whole or not at all: JSON, or PaddleSlim's pickle where the name ends in .pickle, .pkl or .data,
// which keeps losses alone. Equal curves give equal bytes.
func (c *Curves) Write(path string) error {
	var b bytes.Buffer
	if pickled(path) {
		c.pickle(&b)
	} else {
		e := json.NewEncoder(&b)
		e.SetIndent("", " ")
		e.SetEscapeHTML(false)
		if err := e.Encode(c); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b.Bytes())
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
