package engine

// ONNX Runtime in a process of its own: finding the program, starting it, talking to it.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"onnxprune/onnxio"
	"onnxprune/runtime/engine/pipe"
	"onnxprune/runtime/value"
)

// ProgramVariable is the environment variable that names the program ortrun.
const ProgramVariable = "ONNXPRUNE_ORTRUN"

// program finds ortrun: where the variable says, beside this program, in the path.
func program() (string, error) {
	if named := os.Getenv(ProgramVariable); named != "" {
		if _, err := exec.LookPath(named); err != nil {
			return "", &NotFoundError{fmt.Sprintf("%s=%s: there is no such program", ProgramVariable, named)}
		}
		return named, nil
	}
	if own, err := os.Executable(); err == nil {
		if beside, err := exec.LookPath(filepath.Join(filepath.Dir(own), "ortrun")); err == nil {
			return beside, nil
		}
	}
	if found, err := exec.LookPath("ortrun"); err == nil {
		return filepath.Abs(found)
	}
	return "", &NotFoundError{"ONNX Runtime is reached through the program ortrun, which is neither beside this one nor in the path: " +
		"build it with go install ./runtime/onnxruntime/cmd/ortrun, or name it in " + ProgramVariable}
}

// Available says whether an engine is installed: nil, or a *NotFoundError.
func Available(k Kind) error {
	if k != ONNXRuntime {
		return nil
	}
	p, err := start()
	if err != nil {
		return err
	}
	return p.close()
}

// process is a running ortrun.
type process struct {
	name   string // of the engine
	cmd    *exec.Cmd
	in     io.Closer
	client *pipe.Client
	stderr *tail
}

func start() (*process, error) {
	path, err := program()
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(path, "--serve"), stderr: &tail{}}
	p.cmd.Stderr = p.stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	ownGroup(p.cmd)
	if err := p.cmd.Start(); err != nil {
		return nil, &NotFoundError{fmt.Sprintf("%s can not be started: %v", path, err)}
	}
	p.in = in
	if p.client, p.name, err = pipe.Dial(out, in); err != nil {
		var why *pipe.Refusal
		if !errors.As(err, &why) {
			err = p.ended(err)
		}
		p.kill()
		return nil, &NotFoundError{fmt.Sprintf("ONNX Runtime can not be used: %s: %v", path, err)}
	}
	return p, nil
}

// close lets the program end by itself.
func (p *process) close() error {
	p.in.Close()
	return p.cmd.Wait()
}

func (p *process) kill() {
	p.in.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// ended says how the program ended, with the last it said.
func (p *process) ended(err error) error {
	if last := p.stderr.last(); last != "" {
		return fmt.Errorf("the engine's process ended: %s", last)
	}
	return fmt.Errorf("the engine's process ended: %w", err)
}

// remote is a session in another process.
type remote struct {
	model *onnxio.Model
	load  time.Duration

	mu   sync.Mutex // one request at a time
	p    *process   // nil: it is over
	peak int64
}

func openRemote(m *onnxio.Model, path string, opt Options) (Session, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	p, err := start()
	if err != nil {
		return nil, err
	}
	r := &remote{model: m, p: p}
	a, err := r.ask(context.Background(), pipe.Request{Op: pipe.Open, Path: path, Threads: opt.Threads})
	if err != nil {
		r.Close()
		return nil, &ModelError{m.Path, p.name, err}
	}
	r.load = seconds(a)
	return r, nil
}

// ask sends one request and waits. A cancelled context ends the process: ONNX Runtime's runs can not be left half way otherwise.
func (r *remote) ask(ctx context.Context, q pipe.Request) (*pipe.Answer, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r.p == nil {
		return nil, errors.New("the session is over")
	}
	stop := context.AfterFunc(ctx, func() { _ = r.p.cmd.Process.Kill() })
	a, err := r.p.client.Ask(q)
	stop()
	if a != nil {
		r.peak = max(r.peak, a.PeakMemory)
	}
	var refusal *pipe.Refusal
	if err == nil || errors.As(err, &refusal) {
		return a, err
	}
	err = r.p.ended(err)
	r.p.kill()
	r.p = nil
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, err
}

func (r *remote) Engine() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.p == nil {
		return "ONNX Runtime"
	}
	return r.p.name
}

// Inputs leaves out those that have an initializer, as ONNX Runtime does.
func (r *remote) Inputs() []*onnxio.ValueInfo {
	held := map[string]bool{}
	for _, t := range r.model.Graph.Initializers {
		held[t.Name] = true
	}
	for _, t := range r.model.Graph.Sparse {
		held[t.Name()] = true
	}
	var out []*onnxio.ValueInfo
	for _, in := range r.model.Graph.Inputs {
		if !held[in.Name] {
			out = append(out, in)
		}
	}
	return out
}

func (r *remote) Outputs() []*onnxio.ValueInfo { return r.model.Graph.Outputs }

func (r *remote) Run(ctx context.Context, inputs map[string]value.Value) (map[string]value.Value, error) {
	q, err := request(pipe.Run, inputs)
	if err != nil {
		return nil, err
	}
	a, err := r.ask(ctx, q)
	if err != nil {
		return nil, err
	}
	out := map[string]value.Value{}
	for name, t := range a.Values {
		if out[name], err = decode(t); err != nil {
			return nil, fmt.Errorf("output %q: %w", name, err)
		}
	}
	return out, nil
}

func (r *remote) Prepare(ctx context.Context, inputs map[string]value.Value) error {
	q, err := request(pipe.Prepare, inputs)
	if err == nil {
		_, err = r.ask(ctx, q)
	}
	return err
}

func (r *remote) Time(ctx context.Context) (time.Duration, error) {
	a, err := r.ask(ctx, pipe.Request{Op: pipe.Time})
	if err != nil {
		return 0, err
	}
	return seconds(a), nil
}

func seconds(a *pipe.Answer) time.Duration { return time.Duration(a.Seconds * float64(time.Second)) }

func (r *remote) Load() time.Duration { return r.load }

func (r *remote) Memory() Memory {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Memory{r.peak, "the process"}
}

func (r *remote) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.p == nil {
		return nil
	}
	p := r.p
	r.p = nil
	return p.close()
}

// request puts inputs into the pipe's form.
func request(op pipe.Op, inputs map[string]value.Value) (pipe.Request, error) {
	q := pipe.Request{Op: op, Values: map[string]*pipe.Tensor{}}
	for name, v := range inputs {
		t, err := encode(v)
		if err != nil {
			return q, fmt.Errorf("input %q: %w", name, err)
		}
		if t != nil {
			q.Values[name] = t
		}
	}
	return q, nil
}

// encode returns nil for an empty optional, which is left out.
func encode(v value.Value) (*pipe.Tensor, error) {
	switch v := v.(type) {
	case *value.Tensor:
		t := &pipe.Tensor{Type: int32(v.Type)}
		for _, d := range v.Shape {
			t.Shape = append(t.Shape, int64(d))
		}
		if s, ok := v.Data.([]string); ok {
			t.Strings = s
		} else {
			t.Data = v.Raw()
		}
		return t, nil
	case *value.Sequence:
		t := &pipe.Tensor{Sequence: true}
		for i, item := range v.Items {
			x, err := encode(item)
			if err != nil || x == nil {
				return nil, fmt.Errorf("item %d of a sequence can not be handed over: %w", i, err)
			}
			t.Items = append(t.Items, x)
		}
		return t, nil
	case *value.Optional:
		if v.Value == nil {
			return nil, nil
		}
		return encode(v.Value)
	}
	return nil, fmt.Errorf("a value of type %T can not be handed over", v)
}

func decode(t *pipe.Tensor) (value.Value, error) {
	if t.Sequence {
		out := &value.Sequence{}
		for i, item := range t.Items {
			v, err := decode(item)
			if err != nil {
				return nil, fmt.Errorf("item %d: %w", i, err)
			}
			out.Items = append(out.Items, v)
		}
		return out, nil
	}
	if onnxio.DataType(t.Type) == onnxio.String {
		shape := make([]int, len(t.Shape))
		for i, d := range t.Shape {
			shape[i] = int(d)
		}
		return value.From(t.Strings, shape...), nil
	}
	return value.FromProto(onnxio.NewTensor("", onnxio.DataType(t.Type), t.Shape, t.Data))
}

// staged writes a model to a folder of its own.
func staged(m *onnxio.Model) (path string, done func(), err error) {
	dir, err := os.MkdirTemp("", "onnxprune-model-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "model.onnx")
	if err := m.Save(path); err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	return path, func() { os.RemoveAll(dir) }, nil
}

// tail keeps the last that a program said.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	const most = 4096
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if n := len(t.buf); n > most {
		t.buf = bytes.Clone(t.buf[n-most:])
	}
	return len(p), nil
}

// last returns the last line.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(t.buf)), "\n")
	return lines[len(lines)-1]
}
