// Package evaluation measures models on data sets: it runs them on every picture, reads their outputs, and feeds what they say to
// the metrics. It knows neither files nor flags: what is run comes in as a function, what is judged as a data set and a head.
package evaluation

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"onnxprune/runtime/dataset"
	"onnxprune/runtime/value"
)

// Model is a model that is measured.
type Model struct {
	// Run computes the outputs for one picture. It is called from as many goroutines as Options.Workers says.
	Run func(ctx context.Context, inputs map[string]value.Value) (map[string]value.Value, error)
	Reader
}

// Items yields a data set's samples as inputs, in order: (*dataset.Loader).All.
type Items func(context.Context) iter.Seq2[*dataset.Item, error]

// Options of Run.
type Options struct {
	Workers  int        // pictures at a time; 0: one for each processor
	Each     func(Said) // called with what each picture gave, from many goroutines, in no order; may be nil
	Progress func()     // called after each picture, from many goroutines; may be nil
}

// Said is what a model says about one picture.
type Said struct {
	Item  *dataset.Item
	Model int // place in the list of models
	*Reading
}

// Run measures models on the same pictures. Those behind the first are also compared with it, their original. Results do not depend on
// the number of workers.
func Run(ctx context.Context, items Items, models []Model, tallies []*Tally, opt Options) error {
	if opt.Workers < 1 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(opt.Workers)
	var failed error
	for item, err := range items(inner) {
		if err != nil {
			failed = err
			break
		}
		group.Go(func() error {
			if err := picture(inner, item, models, tallies, opt); err != nil {
				return err
			}
			if opt.Progress != nil {
				opt.Progress()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return failed
}

// picture runs all models on one picture.
func picture(ctx context.Context, item *dataset.Item, models []Model, tallies []*Tally, opt Options) error {
	var original *Reading
	for i := range models {
		m := &models[i]
		start := time.Now()
		outputs, err := m.Run(ctx, item.Inputs)
		if err != nil {
			return fmt.Errorf("%s: %w", item.Sample.Name, err)
		}
		took := time.Since(start)
		r, err := m.Read(outputs, item.Placement)
		if err != nil {
			return fmt.Errorf("%s: %w", item.Sample.Name, err)
		}
		r.Inference, r.Preprocess = took, item.Took
		if opt.Each != nil {
			opt.Each(Said{item, i, r})
		}
		if err := tallies[i].Add(item.Index, item.Sample, r, original); err != nil {
			return fmt.Errorf("%s: %w", item.Sample.Name, err)
		}
		if i == 0 {
			original = r
		}
	}
	return nil
}

// clock adds times of many goroutines.
type clock struct {
	mu  sync.Mutex
	sum [3]time.Duration
	n   int
}

func (c *clock) add(t ...time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, d := range t {
		c.sum[i] += d
	}
	c.n++
}

// Speed is the mean time of a picture in milliseconds, each on one worker.
type Speed struct {
	Preprocess  float64 `json:"preprocess_ms"` // reading and decoding included
	Inference   float64 `json:"inference_ms"`
	Postprocess float64 `json:"postprocess_ms"`
}

func (c *clock) speed() Speed {
	ms := func(i int) float64 { return c.sum[i].Seconds() * 1000 / float64(max(c.n, 1)) }
	return Speed{ms(0), ms(1), ms(2)}
}
