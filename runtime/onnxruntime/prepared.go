// Runs for the clock: inputs stay in ONNX Runtime's memory, outputs are dropped there.

package onnxruntime

import (
	"errors"
	"fmt"
	"time"
)

// Prepared is a session with inputs that were copied in once. It is for one goroutine.
type Prepared struct {
	session     *Session
	inputNames  []string
	inputs      []handle
	outputNames []string
}

// Prepare copies inputs into ONNX Runtime's memory. Close the result before the session.
func (s *Session) Prepare(inputs map[string]*Tensor) (*Prepared, error) {
	s.alive.RLock()
	defer s.alive.RUnlock()
	if s.session == 0 {
		return nil, errors.New("onnxruntime: preparing a closed session")
	}
	p := &Prepared{session: s}
	for _, v := range s.outputs {
		p.outputNames = append(p.outputNames, v.Name)
	}
	for name, t := range inputs {
		value, err := s.makeValue(t)
		if err != nil {
			s.api.releaseValues(p.inputs)
			return nil, fmt.Errorf("input %q: %w", name, err)
		}
		p.inputNames, p.inputs = append(p.inputNames, name), append(p.inputs, value)
	}
	return p, nil
}

// Time runs the model and returns how long the call took. Outputs are allocated by ONNX Runtime within that time, as in every run, and
// given back after it.
func (p *Prepared) Time() (time.Duration, error) {
	s := p.session
	s.alive.RLock()
	defer s.alive.RUnlock()
	if s.session == 0 {
		return 0, errors.New("onnxruntime: running a closed session")
	}
	outputs := make([]handle, len(p.outputNames))
	defer func() { s.api.releaseValues(outputs) }()
	start := time.Now()
	err := s.call(p.inputNames, p.inputs, p.outputNames, outputs)
	return time.Since(start), err
}

// Close gives the inputs back.
func (p *Prepared) Close() {
	p.session.api.releaseValues(p.inputs)
	p.inputs = nil
}
