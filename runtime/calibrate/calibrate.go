// Package calibrate runs a model on calibration pictures and collects what the repair of a pruned model needs: of the input of every
// layer that sums over channels, mean and covariance of rows that are drawn from it.
//
// Rows are drawn at places of a layer's map, most of them where the model itself detects something: places count in proportion to
// s + 0.1, where s is the score of the best detection whose box covers the place. The draw depends on the layer's name and the picture's
// number alone. Products are summed by the float32 kernels over a few hundred rows at a time, centred near the mean, and these
// sums in float64, in the order of the pictures: the result does not depend on the number of threads.
package calibrate

import (
	"context"
	"fmt"
	goruntime "runtime"
	"slices"

	"onnxprune/analysis/layers"
	"onnxprune/analysis/statistics"
	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

// Pictures are what a model is run on. Feed returns all inputs of the model for the i-th.
type Pictures interface {
	Len() int
	Feed(i int) (map[string]value.Value, error)
}

// Options of Collect.
type Options struct {
	Threads int // of the runtime; 0: one per processor
	// RowsPerPicture is how many places of each layer's map are drawn; 0: 48 of 128 pictures or more, up to 200 of fewer.
	RowsPerPicture int
	Found          [][]detection.Detection // where the objects are, see Detections; nil: all places count alike
	// MemoryLimit is how many bytes the covariances may take; 0: 1 GiB. Layers whose covariance over patches would not fit are seen
	// channel by channel.
	MemoryLimit int64
	Progress    func(done, total int)
}

const (
	defaultMemory = 1 << 30
	largestPatch  = 4608 // columns: wider rows are seen channel by channel
	background    = 0.1  // weight of a place where nothing is detected
)

// rowsPerPicture draws more from few pictures than from many.
func (o *Options) rowsPerPicture(pictures int) int {
	if o.RowsPerPicture > 0 {
		return o.RowsPerPicture
	}
	return min(200, max(48, 6144/max(pictures, 1)))
}

// workers is how many pictures are run at a time.
func workers(threads int) int {
	if threads > 0 {
		return threads
	}
	return goruntime.GOMAXPROCS(0)
}

// MemoryError says that the covariances do not fit into the limit.
type MemoryError struct{ Need, Limit int64 }

func (e *MemoryError) Error() string {
	return fmt.Sprintf("the statistics take %d MiB at least, the limit is %d MiB", (e.Need+1<<20-1)>>20, e.Limit>>20)
}

// Collect runs the model on all pictures. A cancelled context ends it between two pictures, with what was collected so far lost.
func Collect(ctx context.Context, m *onnxio.Model, ls []*layers.Layer, pictures Pictures, opt Options) (*statistics.Statistics, error) {
	n := pictures.Len()
	if n == 0 {
		return nil, errNoPictures
	}
	c := &collector{opt: opt, rows: opt.rowsPerPicture(n), byValue: map[string][]*accumulator{}}
	if err := c.prepare(ls); err != nil {
		return nil, err
	}
	ro := runtime.Options{Engine: runtime.Walk, Threads: opt.Threads, Tap: c.see}
	for name := range c.byValue {
		ro.Tapped = append(ro.Tapped, name)
	}
	slices.Sort(ro.Tapped)
	session, err := runtime.Compile(m, ro)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	c.pool = kernels.NewPool(opt.Threads)
	defer c.pool.Close()
	for i := range n {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if opt.Progress != nil {
			opt.Progress(i, n)
		}
		feed, err := pictures.Feed(i)
		if err != nil {
			return nil, err
		}
		c.picture, c.found = i, nil
		if opt.Found != nil {
			c.found = opt.Found[i]
		}
		for name, v := range feed {
			c.see(name, v)
		}
		if _, err := session.Run(ctx, feed); err != nil {
			return nil, err
		}
		if c.err != nil {
			return nil, c.err
		}
	}
	if opt.Progress != nil {
		opt.Progress(n, n)
	}
	out := &statistics.Statistics{Model: m.SHA256(), Pictures: n, Detections: opt.Found != nil, Inputs: map[string]*statistics.Input{}}
	for _, a := range c.all {
		out.Inputs[a.key] = a.finish(c.pool, &c.scratch)
	}
	return out, nil
}

// collector is a pass over the pictures.
type collector struct {
	opt     Options
	rows    int
	all     []*accumulator
	byValue map[string][]*accumulator
	pool    *kernels.Pool
	scratch []float32 // of one product

	picture int
	found   []detection.Detection
	err     error
}

// prepare makes an accumulator for every distinct input of the layers, and settles which rows are patches.
func (c *collector) prepare(ls []*layers.Layer) error {
	seen := map[string]bool{}
	for _, l := range ls {
		key := l.Key()
		if seen[key] {
			continue
		}
		seen[key] = true
		a := newAccumulator(key, l)
		c.all = append(c.all, a)
		c.byValue[l.Input.FullName()] = append(c.byValue[l.Input.FullName()], a)
	}
	limit := c.opt.MemoryLimit
	if limit <= 0 {
		limit = defaultMemory
	}
	for {
		need := int64(0)
		var largest *accumulator
		for _, a := range c.all {
			need += a.bytes()
			if a.form == statistics.Patch && a.size > a.channels && (largest == nil || a.bytes() > largest.bytes()) {
				largest = a
			}
		}
		if need <= limit {
			return nil
		}
		if largest == nil {
			return &MemoryError{need, limit}
		}
		largest.seeChannels()
	}
}

// see is called with a value as soon as it is computed.
func (c *collector) see(name string, v value.Value) {
	if c.err != nil {
		return
	}
	for _, a := range c.byValue[name] {
		x, ok := v.(*value.Tensor)
		if !ok {
			c.err = fmt.Errorf("%q is a %v, not a tensor", name, v)
			return
		}
		if err := c.draw(a, x); err != nil {
			c.err = fmt.Errorf("%q: %w", name, err)
			return
		}
	}
}
