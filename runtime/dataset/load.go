package dataset

// Loading: pictures are read, decoded and preprocessed by workers, ahead of the model that consumes them. What is ahead is bounded in
// bytes, the order is the data set's, and a picture that can not be read is counted and named, and the run goes on.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"onnxprune/runtime/detection"
	"onnxprune/runtime/picture"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
)

// LoadOptions bound the work that is done ahead. The zero value takes the defaults.
type LoadOptions struct {
	Workers int   // 0: half of the processors, at least one
	Memory  int64 // most bytes of pictures and inputs that are ahead; 0: 256 MiB. A picture that needs more is read alone
}

const defaultMemory = 256 << 20

// Item is a sample as a model's inputs.
type Item struct {
	Index     int // of the sample in the set
	Sample    *Sample
	Inputs    map[string]value.Value
	Placement detection.Placement // of the picture on the input; zero for tensors
	From      string              // what was done, in words
	Took      time.Duration       // to read and preprocess
}

// Broken is a sample that could not be read.
type Broken struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Loader makes samples a model's inputs.
type Loader struct {
	set     *Set
	prepare *preprocess.Preprocessor
	opt     LoadOptions
	mu      sync.Mutex
	broken  []Broken
}

// Load returns a loader of the set's samples. prepare may be nil for tensors.
func (s *Set) Load(prepare *preprocess.Preprocessor, opt LoadOptions) *Loader {
	if opt.Workers < 1 {
		opt.Workers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if opt.Memory < 1 {
		opt.Memory = defaultMemory
	}
	return &Loader{set: s, prepare: prepare, opt: opt}
}

// Broken returns the samples that could not be read so far, in the set's order.
func (l *Loader) Broken() []Broken {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Broken{}, l.broken...)
}

// outcome is what became of a sample.
type outcome struct {
	item *Item
	err  error
	held int64 // bytes that the consumer gives back
}

// All yields the samples in the set's order. It ends with an error when ctx is cancelled, and when not one sample could be read (*Error); leaving the
// loop stops the workers. An item's inputs may be kept, but count as given back when the next item is asked for.
func (l *Loader) All(ctx context.Context) iter.Seq2[*Item, error] {
	return func(yield func(*Item, error) bool) {
		l.mu.Lock()
		l.broken = nil
		l.mu.Unlock()
		parent := ctx
		ctx, stop := context.WithCancel(ctx)
		memory := semaphore.NewWeighted(l.opt.Memory)
		queue := l.start(ctx, memory)
		defer func() {
			stop()
			for range queue { // until the workers have ended
			}
		}()
		for next := range queue {
			out := <-next
			switch {
			case parent.Err() != nil:
				yield(nil, parent.Err())
				return
			case out.err != nil:
				l.mu.Lock()
				l.broken = append(l.broken, Broken{l.set.Samples[out.item.Index].Name, out.err.Error()})
				l.mu.Unlock()
			case !yield(out.item, nil):
				return
			}
			memory.Release(out.held)
		}
		if err := parent.Err(); err != nil {
			yield(nil, err)
			return
		}
		if n := len(l.set.Samples); len(l.broken) == n {
			yield(nil, fail(l.set.Path, "not one of its %d samples can be read; the first, %s: %s", n, l.broken[0].Name, l.broken[0].Reason))
		}
	}
}

// start starts the workers. The queue has the outcomes in order; it is closed when all workers have ended.
func (l *Loader) start(ctx context.Context, memory *semaphore.Weighted) <-chan chan outcome {
	type job struct {
		index        int
		pixels, held int64
		out          chan outcome
	}
	jobs := make(chan job)
	queue := make(chan chan outcome, 4*l.opt.Workers)
	var workers sync.WaitGroup
	for range l.opt.Workers {
		workers.Go(func() {
			for j := range jobs {
				item, err := l.item(j.index)
				memory.Release(j.pixels)
				j.out <- outcome{item, err, j.held}
			}
		})
	}
	go func() {
		defer close(queue)
		defer workers.Wait()
		defer close(jobs)
		for i := range l.set.Samples {
			j := job{index: i, out: make(chan outcome, 1)}
			j.pixels, j.held = l.weigh(i)
			if memory.Acquire(ctx, j.pixels+j.held) != nil {
				return
			}
			select {
			case jobs <- j:
			case <-ctx.Done():
				return
			}
			select {
			case queue <- j.out:
			case <-ctx.Done():
				return
			}
		}
	}()
	return queue
}

// weigh returns the bytes that a sample takes while it is decoded, and those that its inputs take after.
func (l *Loader) weigh(i int) (pixels, held int64) {
	s := &l.set.Samples[i]
	if s.Path == "" || l.prepare == nil {
		return 0, min(l.set.rowBytes(), l.opt.Memory)
	}
	h, err := picture.ReadHeader(s.Path)
	if err != nil {
		return 0, 0 // nothing will be decoded
	}
	const perPixel = 3 + 3 + 3 // planes, pixels, pixels turned or resized
	pixels, held = perPixel*int64(h.Width)*int64(h.Height), l.prepare.Bytes(h.Upright())
	if pixels+held > l.opt.Memory {
		held = min(held, l.opt.Memory)
		pixels = l.opt.Memory - held
	}
	return pixels, held
}

// item reads one sample.
func (l *Loader) item(i int) (*Item, error) {
	start := time.Now()
	s := &l.set.Samples[i]
	item := &Item{Index: i, Sample: s}
	if s.Path == "" {
		var err error
		item.Inputs, err = l.set.rowOf(s.row)
		item.Took = time.Since(start)
		return item, err
	}
	p, err := s.Read()
	if err != nil {
		return item, err
	}
	made, err := l.prepare.Make(p)
	if err != nil {
		return item, err
	}
	item.Inputs, item.Placement, item.From, item.Took = made.Inputs, made.Placement, made.From, time.Since(start)
	return item, nil
}

// Read reads a sample's picture, upright. Where the data set says a size that only the picture as it is stored has, its boxes were drawn without regard to
// the EXIF orientation, and so is the picture.
func (s *Sample) Read() (*picture.Picture, error) {
	b, err := os.ReadFile(s.Path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("there is no such file")
		}
		return nil, err
	}
	h, err := picture.ParseHeader(b)
	if err != nil {
		return nil, err
	}
	if s.Width > 0 && s.Height > 0 {
		w, hh := h.Upright()
		switch {
		case w == s.Width && hh == s.Height:
		case h.Width == s.Width && h.Height == s.Height:
			h.Orientation = 1
		default:
			return nil, fmt.Errorf("the picture has %dx%d pixels, the annotations say %dx%d", w, hh, s.Width, s.Height)
		}
	}
	p, err := picture.Decode(b)
	if err != nil {
		return nil, err
	}
	return p.Oriented(h.Orientation), nil
}
