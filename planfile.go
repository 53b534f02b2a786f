package onnxprune

import (
	"fmt"
	"os"
	"path/filepath"

	"onnxprune/analysis/plan"
)

// ReadPlan reads a plan file.
func ReadPlan(path string) (*plan.Plan, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &ModelError{path, plain(err)}
	}
	defer f.Close()
	p, err := plan.Read(f)
	if err != nil {
		return nil, &ModelError{path, err}
	}
	return p, nil
}

// planFile is a plan that is written beside its place before the model is saved, and takes its place when all is well: a
// prune that fails leaves the plan file that was there.
type planFile struct {
	path string
	tmp  string // "" once it is in place, and for a stream
	plan *plan.Plan
}

func stagePlan(path string, p *plan.Plan) (*planFile, error) {
	s := &planFile{path: path, plan: p}
	if st, err := os.Stat(path); err == nil {
		if !st.Mode().IsRegular() {
			return s, nil
		}
		if s.path, err = filepath.EvalSymlinks(path); err != nil { // a link stays, and what it names is replaced
			return nil, err
		}
	}
	var err error
	if s.tmp, err = stage(filepath.Dir(s.path), p.Write); err != nil {
		return nil, fmt.Errorf("%s: the plan was not written: %w", path, plain(err))
	}
	return s, nil
}

// commit puts the plan into its place.
func (s *planFile) commit() error {
	if s.tmp != "" {
		if err := os.Rename(s.tmp, s.path); err != nil {
			return fmt.Errorf("%s: the plan was not written: %w", s.path, err)
		}
		s.tmp = ""
		return nil
	}
	f, err := os.OpenFile(s.path, os.O_WRONLY, 0)
	if err == nil {
		err = s.plan.Write(f)
		if e := f.Close(); err == nil {
			err = e
		}
	}
	if err != nil {
		return fmt.Errorf("%s: the plan was not written: %w", s.path, plain(err))
	}
	return nil
}

func (s *planFile) drop() {
	if s != nil && s.tmp != "" {
		os.Remove(s.tmp)
	}
}
