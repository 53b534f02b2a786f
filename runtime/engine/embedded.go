package engine

import (
	"context"
	"time"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
)

// embedded is a session of package runtime.
type embedded struct {
	*runtime.Session
	load    time.Duration
	weights int64 // bytes of constants, which the session holds
	inputs  map[string]value.Value
}

func openEmbedded(m *onnxio.Model, opt Options) (Session, error) {
	start := time.Now()
	s, err := runtime.Compile(m, runtime.Options{Threads: opt.Threads})
	if err != nil {
		return nil, &ModelError{m.Path, embeddedName, err}
	}
	e := &embedded{Session: s, load: time.Since(start)}
	for _, t := range m.Tensors() {
		e.weights += t.Size()
	}
	return e, nil
}

const embeddedName = "the embedded runtime"

func (e *embedded) Engine() string { return embeddedName }

func (e *embedded) Run(ctx context.Context, inputs map[string]value.Value) (map[string]value.Value, error) {
	return e.Session.Run(ctx, inputs)
}

func (e *embedded) Prepare(_ context.Context, inputs map[string]value.Value) error {
	e.inputs = inputs
	return nil
}

func (e *embedded) Time(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	_, err := e.Session.Run(ctx, e.inputs)
	return time.Since(start), err
}

func (e *embedded) Load() time.Duration { return e.load }

func (e *embedded) Memory() Memory {
	return Memory{e.weights + e.Session.Memory().Peak, "weights and intermediate values"}
}
