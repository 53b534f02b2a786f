// Package pipe is how a program talks to the one that holds an engine for it: requests one way, answers the other, as
// encoding/gob writes them. The ordinary program stays linked statically that way, though ONNX Runtime is a shared library.
//
// The engine's side begins: it says who it is. Then every request has one answer. A side that closes its end ends the talk.
package pipe

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"time"
)

// Version grows when one side would misunderstand the other.
const Version = 1

// Hello is what the engine's side says first.
type Hello struct {
	Version int
	Engine  string // "ONNX Runtime 1.30.0"
	Err     string // why there is no engine; "" for none
}

// Op says what is asked for.
type Op int

// The requests.
const (
	Open    Op = iota // load the model in Path with Threads
	Run               // run it on Values once, and return the outputs
	Prepare           // keep Values for the requests that follow
	Time              // run it on what was prepared, return the time and no outputs
)

// Request is one request.
type Request struct {
	Op      Op
	Path    string
	Threads int // 0: as many as there are processors
	Values  map[string]*Tensor
}

// Answer is what comes back.
type Answer struct {
	Err        string
	Values     map[string]*Tensor
	Seconds    float64 // that loading or running took, without the way through the pipe
	PeakMemory int64   // most memory that the engine's process ever had, bytes; 0: not known
}

// Tensor is a value on its way: a tensor, or a sequence.
type Tensor struct {
	Type     int32 // TensorProto.DataType
	Shape    []int64
	Data     []byte // little-endian, row-major, types below 8 bits packed
	Strings  []string
	Sequence bool
	Items    []*Tensor // of a sequence
}

// Engine is what serves the requests.
type Engine interface {
	Open(path string, threads int) error
	Run(values map[string]*Tensor) (map[string]*Tensor, error)
	Prepare(values map[string]*Tensor) error
	Time() (seconds float64, err error)
	PeakMemory() int64
}

// Serve says hello and answers requests until the other side closes its end. missing says why there is no engine; nil where there
// is one.
func Serve(r io.Reader, w io.Writer, name string, e Engine, missing error) error {
	in, out := gob.NewDecoder(r), gob.NewEncoder(w)
	hello := Hello{Version: Version, Engine: name}
	if missing != nil {
		hello.Err = missing.Error()
	}
	if err := out.Encode(hello); err != nil || missing != nil {
		return err
	}
	for {
		var q Request
		if err := in.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a, err := answer(e, &q)
		if err != nil {
			a.Err = err.Error()
		}
		a.PeakMemory = e.PeakMemory()
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

func answer(e Engine, q *Request) (a Answer, err error) {
	switch q.Op {
	case Open:
		start := time.Now()
		err = e.Open(q.Path, q.Threads)
		a.Seconds = time.Since(start).Seconds()
	case Run:
		a.Values, err = e.Run(q.Values)
	case Prepare:
		err = e.Prepare(q.Values)
	case Time:
		a.Seconds, err = e.Time()
	default:
		err = fmt.Errorf("request %d is not known", q.Op)
	}
	return a, err
}

// Client is the asking side.
type Client struct {
	in  *gob.Decoder
	out *gob.Encoder
}

// Dial waits for the engine's hello.
func Dial(r io.Reader, w io.Writer) (*Client, string, error) {
	c := &Client{gob.NewDecoder(r), gob.NewEncoder(w)}
	var h Hello
	if err := c.in.Decode(&h); err != nil {
		return nil, "", err
	}
	switch {
	case h.Err != "":
		return nil, "", &Refusal{h.Err}
	case h.Version != Version:
		return nil, "", &Refusal{fmt.Sprintf("it speaks version %d, this program version %d: build both from the same source", h.Version, Version)}
	}
	return c, h.Engine, nil
}

// Refusal is what the engine said instead of doing what was asked. The talk may go on.
type Refusal struct{ Msg string }

func (e *Refusal) Error() string { return e.Msg }

// Ask sends a request and waits for its answer. An error that is no *Refusal ends the talk.
func (c *Client) Ask(q Request) (*Answer, error) {
	if err := c.out.Encode(q); err != nil {
		return nil, err
	}
	var a Answer
	if err := c.in.Decode(&a); err != nil {
		return nil, err
	}
	if a.Err != "" {
		return &a, &Refusal{a.Err}
	}
	return &a, nil
}
