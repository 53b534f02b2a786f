package sensitivity

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Task is a parameter and the ratios at which it is to be measured.
type Task struct {
	Param    string
	Place    int // among the model's parameters
	Channels int
	Ratios   []float64
}

// Shard is one of several equal parts of an analysis, I of N from 1 on. The zero value is the whole.
type Shard struct{ I, N int }

// ParseShard reads "i/n".
func ParseShard(s string) (Shard, error) {
	a, b, ok := strings.Cut(s, "/")
	i, err1 := strconv.Atoi(strings.TrimSpace(a))
	n, err2 := strconv.Atoi(strings.TrimSpace(b))
	if !ok || err1 != nil || err2 != nil || i < 1 || i > n {
		return Shard{}, fmt.Errorf("shard %q is not i/n with 1 <= i <= n: 2/4 is the second of four parts", s)
	}
	return Shard{i, n}, nil
}

func (s Shard) String() string {
	if s.N <= 1 {
		return "1/1"
	}
	return fmt.Sprintf("%d/%d", s.I, s.N)
}

// Of returns the shard's part: every N-th parameter, since the ratios of one share work; every N-th point where there are more shards
// than parameters. The parts of all shards are disjoint and make the whole.
func (s Shard) Of(tasks []Task) []Task {
	if s.N <= 1 {
		return tasks
	}
	var out []Task
	point := 0
	for k, t := range tasks {
		if len(tasks) >= s.N {
			if k%s.N == s.I-1 {
				out = append(out, t)
			}
			continue
		}
		var own []float64
		for _, r := range t.Ratios {
			if point%s.N == s.I-1 {
				own = append(own, r)
			}
			point++
		}
		if t.Ratios = own; len(own) > 0 {
			out = append(out, t)
		}
	}
	return out
}

// Left returns what of the tasks is not in the curves yet.
func (c *Curves) Left(tasks []Task) []Task {
	var out []Task
	for _, t := range tasks {
		k := c.Of(t.Param)
		t.Ratios = slices.DeleteFunc(slices.Clone(t.Ratios), func(r float64) bool { return k.At(r) != nil })
		if len(t.Ratios) > 0 {
			out = append(out, t)
		}
	}
	return out
}

// Measure fills in what the curves lack of the tasks. run measures one task and hands over every point as soon as it is finished, with
// ratio, removed channels and metric; Measure works out the loss, and calls save with each.
func (c *Curves) Measure(ctx context.Context, tasks []Task, run func(context.Context, Task, func(Point) error) error, save func() error) error {
	for _, t := range c.Left(tasks) {
		err := run(ctx, t, func(p Point) (err error) {
			if p.Loss, err = Loss(c.Baseline, p.Metric); err != nil {
				return err
			}
			c.Put(Curve{Param: t.Param, Place: t.Place, Channels: t.Channels}, p)
			return save()
		})
		if err != nil {
			return err
		}
	}
	return nil
}
