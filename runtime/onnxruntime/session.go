// A session: one model, loaded and optimised, that can be run from many goroutines.

package onnxruntime

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unsafe"
)

// An OptimizationLevel says how far ONNX Runtime may rewrite the graph. The zero value is its own default.
type OptimizationLevel int

const (
	OptimizeAll      OptimizationLevel = iota // extended, and changes of the data layout
	OptimizeExtended                          // basic, and fusions into operators that are not ONNX's
	OptimizeBasic                             // constant folding, removal of redundant nodes, simple fusions
	OptimizeNone                              // the graph as it is written
)

// runtimeLevels are the numbers of GraphOptimizationLevel.
var runtimeLevels = map[OptimizationLevel]int32{OptimizeAll: 99, OptimizeExtended: 2, OptimizeBasic: 1, OptimizeNone: 0}

// Options of a session. The zero value is ONNX Runtime's default.
type Options struct {
	Threads           int // threads inside one operator; 0: as many as there are cores
	OptimizationLevel OptimizationLevel
	Deterministic     bool // kernels that give the same bits in every run, where ONNX Runtime has a choice
	StopSpinning      bool // threads wait without using a processor as soon as a run ends: session.force_spinning_stop
}

// A Session is a loaded model. Its methods may be called from many goroutines at the same time.
type Session struct {
	api       *api
	allocator handle
	inputs    []ValueInfo
	outputs   []ValueInfo

	alive   sync.RWMutex // held for reading by every run, so that Close waits for them
	session handle       // 0 when closed
}

// NewSession loads the model in a file; external data is looked for beside it.
func (l *Library) NewSession(modelPath string, opts Options) (*Session, error) {
	if strings.IndexByte(modelPath, 0) >= 0 {
		return nil, fmt.Errorf("onnxruntime: path %q holds a zero byte", modelPath)
	}
	return l.newSession("loading "+modelPath, opts, func(options handle, out *handle) handle {
		return l.api.createSession(l.env, modelPath, options, out)
	})
}

// NewSessionFromBytes loads a model from memory, which ONNX Runtime does not keep. External data is looked for in
// the working directory.
func (l *Library) NewSessionFromBytes(model []byte, opts Options) (*Session, error) {
	if len(model) == 0 {
		return nil, errors.New("onnxruntime: loading a model from memory: no bytes")
	}
	return l.newSession("loading a model from memory", opts, func(options handle, out *handle) handle {
		return l.api.createSessionFromArray(l.env, unsafe.SliceData(model), uintptr(len(model)), options, out)
	})
}

func (l *Library) newSession(doing string, opts Options, create func(options handle, out *handle) handle) (*Session, error) {
	options, err := l.sessionOptions(opts)
	if err != nil {
		return nil, err
	}
	defer l.api.releaseSessionOptions(options)
	s := &Session{api: l.api, allocator: l.allocator}
	if err := l.api.check(doing, create(options, &s.session)); err != nil {
		return nil, err
	}
	if err := s.readSignature(); err != nil {
		s.Close()
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	return s, nil
}

// sessionOptions makes an OrtSessionOptions that the caller must release.
func (l *Library) sessionOptions(opts Options) (handle, error) {
	level, ok := runtimeLevels[opts.OptimizationLevel]
	if !ok {
		return 0, fmt.Errorf("onnxruntime: unknown optimization level %d", opts.OptimizationLevel)
	}
	if opts.Threads < 0 || opts.Threads > 1<<16 {
		return 0, fmt.Errorf("onnxruntime: %d threads", opts.Threads)
	}
	var options handle
	if err := l.api.check("creating session options", l.api.createSessionOptions(&options)); err != nil {
		return 0, err
	}
	stop := "0" // the default
	if opts.StopSpinning {
		stop = "1"
	}
	err := errors.Join(
		l.api.check("telling threads when to spin", l.api.addSessionConfigEntry(options, "session.force_spinning_stop", stop)),
		l.api.check("setting the optimization level", l.api.setSessionGraphOptimizationLevel(options, level)),
		l.api.check("setting the number of threads", l.api.setIntraOpNumThreads(options, int32(opts.Threads))),
		l.api.check("asking for deterministic computation", l.api.setDeterministicCompute(options, opts.Deterministic)),
	)
	if err != nil {
		l.api.releaseSessionOptions(options)
		return 0, err
	}
	return options, nil
}

// Inputs are the inputs that a run must be given, in the model's order. Graph inputs that have an initializer are
// not among them, but a run accepts them.
func (s *Session) Inputs() []ValueInfo { return s.inputs }

// Outputs are the model's outputs, in its order.
func (s *Session) Outputs() []ValueInfo { return s.outputs }

// Close waits for the runs under way and frees the session. A second Close does nothing.
func (s *Session) Close() error {
	s.alive.Lock()
	defer s.alive.Unlock()
	if s.session != 0 {
		s.api.releaseSession(s.session)
		s.session = 0
	}
	return nil
}
