package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"onnxprune/runtime"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/value"
)

// Two models run side by side, and meet at every value that both compute. There the first one waits until the second has compared its
// own, so that no more is in memory than what both need at that moment. What the second one goes on with is the first one's value,
// less the channels that were removed: so each node is tried on the very inputs that its counterpart had, whatever rounding did before it, and
// a difference is seen at the node that makes it.

// meeting is one such pair of runs.
type meeting struct {
	common map[string]bool
	// judge compares a value and returns what the second run goes on with; nil: its own.
	judge func(name string, want, got value.Value) value.Value

	offers chan offer             // of the first run; closed when it is over
	taken  chan struct{}          // answers each
	over   chan struct{}          // closed when the second run is over
	early  map[string]value.Value // copies of values that the first run computes earlier than the second asks for them
	shapes map[string][]int       // of the first run's values
}

type offer struct {
	name  string
	value value.Value
}

// first is the first run's side of the meeting.
func (m *meeting) first(name string, v value.Value) value.Value {
	if m.judge == nil || !m.common[name] {
		return nil
	}
	if t, ok := v.(*value.Tensor); ok {
		m.shapes[name] = slices.Clone(t.Shape)
	}
	select {
	case m.offers <- offer{name, v}:
	case <-m.over:
		return nil
	}
	select {
	case <-m.taken:
	case <-m.over:
	}
	return nil
}

// second is the second run's side.
func (m *meeting) second(name string, got value.Value) value.Value {
	if m.judge == nil || !m.common[name] {
		return nil
	}
	if want, ok := m.early[name]; ok {
		delete(m.early, name)
		return m.judge(name, want, got)
	}
	for o := range m.offers {
		if o.name == name {
			out := m.judge(name, o.value, got)
			m.taken <- struct{}{}
			return out
		}
		m.early[o.name] = value.Clone(o.value)
		m.taken <- struct{}{}
	}
	return nil // the first run failed before it
}

// run runs both sessions on a set of inputs.
func (m *meeting) run(ctx context.Context, a, b *runtime.Session, in values, judge func(string, value.Value, value.Value) value.Value) (want, got values, errA, errB error) {
	m.judge, m.early, m.shapes = judge, map[string]value.Value{}, map[string][]int{}
	m.offers, m.taken, m.over = make(chan offer), make(chan struct{}), make(chan struct{})
	defer func() { m.judge = nil }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(m.offers)
		want, errA = a.Run(ctx, in)
	}()
	got, errB = b.Run(ctx, in)
	close(m.over)
	<-done
	return want, got, errA, errB
}

// compile compiles one side of a meeting; hook is nil for a model that runs alone.
func (c *comparison) compile(ctx context.Context, s side, opt runtime.Options) (*runtime.Session, error) {
	c.step("compiling " + s.name)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	opt.Threads = c.opt.Threads
	session, err := runtime.Compile(s.model, opt)
	if err != nil {
		return nil, compileError(s.name, err)
	}
	return session, nil
}

// alone runs a compiled model on one set of inputs.
func (c *comparison) alone(ctx context.Context, s side, session *runtime.Session, set int) (values, error) {
	c.step(fmt.Sprintf("running %s (%d of %d)", s.name, set+1, len(c.sets)))
	out, err := session.Run(ctx, feed.Values(c.sets[set]))
	return out, c.runError(ctx, s, err)
}

func (c *comparison) runError(ctx context.Context, s side, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.Canceled):
		return err
	}
	return runError(s.name, err)
}
