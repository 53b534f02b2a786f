package statistics

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// The file begins with a line of JSON that says what there is, and goes on with the numbers of every conv group in that order:
// little-endian float64, the mean, then the covariance's lower triangle row by row.

const (
	fileFormat  = "onnxprune-statistics"
	fileVersion = 1
	maxSize     = 1 << 16 // columns of a row: more is no statistics of ours
)

type header struct {
	Format     string        `json:"format"`
	Version    int           `json:"version"`
	Model      string        `json:"model_sha256"`
	Pictures   int           `json:"pictures"`
	Detections bool          `json:"rows_by_detections"`
	Inputs     []headerInput `json:"inputs"`
}

type headerInput struct {
	Key    string `json:"key"`
	Form   Form   `json:"form"`
	Groups int    `json:"groups"`
	Size   int    `json:"size"`
	Rows   []int  `json:"rows"`
}

// Write writes the statistics.
func (s *Statistics) Write(w io.Writer) error {
	b := bufio.NewWriterSize(w, 1<<20)
	h := header{Format: fileFormat, Version: fileVersion, Model: s.Model, Pictures: s.Pictures, Detections: s.Detections, Inputs: []headerInput{}}
	keys := slices.Sorted(maps.Keys(s.Inputs))
	for _, k := range keys {
		in := s.Inputs[k]
		e := headerInput{Key: k, Form: in.Form, Groups: len(in.Moments)}
		for i := range in.Moments {
			e.Size = in.Moments[i].Size
			e.Rows = append(e.Rows, in.Moments[i].Rows)
		}
		h.Inputs = append(h.Inputs, e)
	}
	line, err := json.Marshal(h)
	if err != nil {
		return err
	}
	b.Write(append(line, '\n'))
	var word [8]byte
	put := func(v float64) {
		binary.LittleEndian.PutUint64(word[:], math.Float64bits(v))
		b.Write(word[:])
	}
	for _, k := range keys {
		for i := range s.Inputs[k].Moments {
			m := &s.Inputs[k].Moments[i]
			for _, v := range m.Mean {
				put(v)
			}
			for r := range m.Size {
				for _, v := range m.Covariance[r*m.Size : r*m.Size+r+1] {
					put(v)
				}
			}
		}
	}
	return b.Flush()
}

// Read reads statistics. size is how many bytes the file has: numbers that it can not hold are not believed.
func Read(r io.Reader, size int64) (*Statistics, error) {
	b := bufio.NewReaderSize(r, 1<<20)
	line, err := b.ReadBytes('\n')
	if err != nil {
		return nil, errors.New("not a statistics file: its first line does not end")
	}
	var h header
	if err := json.Unmarshal(line, &h); err != nil || h.Format != fileFormat {
		return nil, errors.New("not a statistics file")
	}
	if h.Version != fileVersion {
		return nil, fmt.Errorf("the statistics have version %d, this program reads version %d", h.Version, fileVersion)
	}
	s := &Statistics{Model: h.Model, Pictures: h.Pictures, Detections: h.Detections, Inputs: map[string]*Input{}}
	left := size - int64(len(line))
	word := make([]byte, 8)
	var get = func() (float64, error) {
		if _, err := io.ReadFull(b, word); err != nil {
			return 0, errors.New("the statistics file is cut short")
		}
		v := math.Float64frombits(binary.LittleEndian.Uint64(word))
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return 0, errors.New("the statistics file holds a number that is not finite")
		}
		return v, nil
	}
	for _, e := range h.Inputs {
		need := int64(e.Size) + int64(e.Size)*int64(e.Size+1)/2
		if e.Size < 1 || e.Size > maxSize || e.Groups < 1 || len(e.Rows) != e.Groups || e.Form > Channels || int64(e.Groups) > left/(8*need) {
			return nil, fmt.Errorf("the statistics of %q do not fit into the file", e.Key)
		}
		left -= 8 * need * int64(e.Groups)
		in := &Input{Form: e.Form}
		for g := range e.Groups {
			m := Moments{Size: e.Size, Rows: e.Rows[g], Mean: make([]float64, e.Size), Covariance: make([]float64, e.Size*e.Size)}
			for i := range m.Mean {
				if m.Mean[i], err = get(); err != nil {
					return nil, err
				}
			}
			for i := range m.Size {
				for j := range i + 1 {
					v, err := get()
					if err != nil {
						return nil, err
					}
					m.Covariance[i*m.Size+j], m.Covariance[j*m.Size+i] = v, v
				}
			}
			in.Moments = append(in.Moments, m)
		}
		s.Inputs[e.Key] = in
	}
	return s, nil
}
