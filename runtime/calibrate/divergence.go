package calibrate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/value"
)

// Head is a value by which a model is compared with another, and the axis of its channels.
type Head struct {
	Name string
	Axis int
}

// A model's divergence from another is the mean over all channels of all heads of
//
//	E_w[(y' - y)^2] / Var_w[y]
//
// over the places of the heads' maps. Places count as they do in the draw of rows: w = s + 0.1 by the score s of the detection there. Each
// channel stands over its own variance: logits of classes, whose variance is large, would hide what happens to the boxes.

// sums are those of one channel of one head.
type sums struct{ weight, y, yy float64 }

// reference is what the model itself gives at its heads, over all pictures.
type reference struct {
	heads []Head
	sums  [][]sums // by head and channel
}

func newReference(heads []Head) *reference { return &reference{heads, make([][]sums, len(heads))} }

// eachPlace calls f for the elements of every channel of a head, with their weights.
func (c *Compare) eachPlace(h Head, t *value.Tensor, found []detection.Detection, f func(channel, element int, weight float64)) error {
	if h.Axis < 0 || h.Axis >= len(t.Shape) {
		return fmt.Errorf("head %q has the shape %v, its channels should be on axis %d", h.Name, t.Shape, h.Axis)
	}
	outer, inner := value.Count(t.Shape[:h.Axis]), value.Count(t.Shape[h.Axis+1:])
	n := t.Shape[h.Axis]
	var weights []float64
	if found != nil && len(t.Shape) == 4 && h.Axis == 1 {
		weights = emphasis(found, t.Shape[2], t.Shape[3])
	}
	for o := range outer {
		for ch := range n {
			for i := range inner {
				w := 1.0
				if weights != nil {
					w = weights[i]
				}
				f(ch, (o*n+ch)*inner+i, w)
			}
		}
	}
	return nil
}

// add takes a picture's values into the reference.
func (c *Compare) add(r *reference, values map[string]value.Value, found []detection.Detection) error {
	for k, h := range r.heads {
		t, data, err := head(values, h)
		if err != nil {
			return err
		}
		if r.sums[k] == nil {
			r.sums[k] = make([]sums, t.Shape[min(h.Axis, len(t.Shape)-1)])
		}
		err = c.eachPlace(h, t, found, func(ch, i int, w float64) {
			s, y := &r.sums[k][ch], float64(data[i])
			s.weight += w
			s.y += w * y
			s.yy += w * y * y
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func head(values map[string]value.Value, h Head) (*value.Tensor, []float32, error) {
	t, ok := values[h.Name].(*value.Tensor)
	if !ok {
		return nil, nil, fmt.Errorf("head %q is no tensor", h.Name)
	}
	data, ok := float32s(t)
	if !ok {
		return nil, nil, fmt.Errorf("head %q holds %v, not floats", h.Name, t.Type)
	}
	return t, data, nil
}

// difference is what a variant's heads are off by: by head and channel, the weighted sum of squares.
type difference [][]float64

// add takes a picture into the difference. Heads that are missing are equal to the reference's.
func (d *difference) add(c *Compare, heads []Head, want, got map[string]value.Value, found []detection.Detection) error {
	if *d == nil {
		*d = make(difference, len(heads))
	}
	for k, h := range heads {
		if _, ok := got[h.Name]; !ok {
			continue
		}
		t, y, err := head(want, h)
		if err != nil {
			return err
		}
		u, z, err := head(got, h)
		if err != nil {
			return err
		}
		if len(y) != len(z) {
			return fmt.Errorf("head %q has the shape %v, in the original it has %v", h.Name, u.Shape, t.Shape)
		}
		if (*d)[k] == nil {
			(*d)[k] = make([]float64, t.Shape[min(h.Axis, len(t.Shape)-1)])
		}
		err = c.eachPlace(h, t, found, func(ch, i int, w float64) {
			e := float64(z[i]) - float64(y[i])
			(*d)[k][ch] += w * e * e
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// over returns the divergence.
func (d difference) over(r *reference) float64 {
	total, n := 0.0, 0
	for k := range r.heads {
		sum, channels := 0.0, 0
		for ch, s := range r.sums[k] {
			mean := s.y / s.weight
			variance := s.yy/s.weight - mean*mean
			if variance <= 1e-10 {
				continue
			}
			channels++
			if d != nil && d[k] != nil {
				sum += d[k][ch] / s.weight / variance
			}
		}
		if channels > 0 {
			total += sum / float64(channels)
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return total / float64(n)
}

// Compare says how models are compared at their heads.
type Compare struct {
	Heads    []Head
	Threads  int
	Found    [][]detection.Detection // by picture, see Detections; nil: all places count alike
	Progress func(done, total int)
}

var (
	errNoHeads    = errors.New("the model has no head by which a cut could be judged")
	errNoPictures = errors.New("there are no pictures to calibrate on")
)

// Variants returns the divergence of variants of a model: models with the same nodes, and other elements in some of their constants. next is called
// for each in order, and returns nil behind the last.
func (c *Compare) Variants(ctx context.Context, m *onnxio.Model, next func(i int) (*onnxio.Model, error), pictures Pictures) ([]float64, error) {
	if len(c.Heads) == 0 {
		return nil, errNoHeads
	}
	if pictures.Len() == 0 {
		return nil, errNoPictures
	}
	r, err := runtime.NewReplay(m, runtime.Options{Threads: 1, To: c.names()})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var variants []*runtime.Variant
	for i := 0; ; i++ {
		v, err := next(i)
		if err != nil {
			return nil, err
		}
		if v == nil {
			break
		}
		w, err := r.Variant(v)
		if err != nil {
			return nil, fmt.Errorf("variant %d: %w", i, err)
		}
		variants = append(variants, w)
	}
	n := pictures.Len()
	refs, offs := make([]*reference, n), make([][]difference, n)
	var done atomic.Int64
	var telling sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers(c.Threads))
	for i := range n {
		g.Go(func() (err error) {
			refs[i], offs[i], err = c.variantsOn(ctx, r, variants, pictures, i, func() {
				if c.Progress != nil {
					telling.Lock()
					c.Progress(int(done.Add(1)), n*len(variants))
					telling.Unlock()
				}
			})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := make([]float64, len(variants))
	ref, off := refs[0], offs[0]
	for i := 1; i < n; i++ { // in the order of the pictures
		ref.join(refs[i])
		for k := range off {
			off[k].join(offs[i][k])
		}
	}
	for k := range out {
		out[k] = off[k].over(ref)
	}
	return out, nil
}

// variantsOn runs all variants on one picture.
func (c *Compare) variantsOn(ctx context.Context, r *runtime.Replay, variants []*runtime.Variant, pictures Pictures, i int, step func()) (*reference, []difference, error) {
	feed, err := pictures.Feed(i)
	if err != nil {
		return nil, nil, err
	}
	trace, err := r.Run(ctx, feed)
	if err != nil {
		return nil, nil, err
	}
	defer trace.Close()
	want, err := trace.Values()
	if err != nil {
		return nil, nil, err
	}
	ref, off := newReference(c.Heads), make([]difference, len(variants))
	if err := c.add(ref, want, c.found(i)); err != nil {
		return nil, nil, err
	}
	for k, v := range variants {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		got, err := trace.Variant(v)
		if err != nil {
			return nil, nil, err
		}
		if err := off[k].add(c, c.Heads, want, got, c.found(i)); err != nil {
			return nil, nil, err
		}
		step()
	}
	return ref, off, nil
}

// join adds what another picture gave.
func (r *reference) join(o *reference) {
	for k := range r.sums {
		for ch := range r.sums[k] {
			s, t := &r.sums[k][ch], &o.sums[k][ch]
			s.weight, s.y, s.yy = s.weight+t.weight, s.y+t.y, s.yy+t.yy
		}
	}
}

func (d *difference) join(o difference) {
	if *d == nil {
		*d = o
		return
	}
	for k := range o {
		if (*d)[k] == nil {
			(*d)[k] = o[k]
			continue
		}
		for ch := range o[k] {
			(*d)[k][ch] += o[k][ch]
		}
	}
}

// Models returns the divergence of models from another, whatever their nodes; their heads must have its heads' names and shapes.
func (c *Compare) Models(ctx context.Context, m *onnxio.Model, others []*onnxio.Model, pictures Pictures) ([]float64, error) {
	if len(c.Heads) == 0 {
		return nil, errNoHeads
	}
	var sessions []*runtime.Session
	defer func() {
		for _, s := range sessions {
			s.Close()
		}
	}()
	for _, o := range append([]*onnxio.Model{m}, others...) {
		s, err := runtime.Compile(o, runtime.Options{Engine: runtime.Walk, Threads: c.Threads, To: c.names()})
		if err != nil {
			return nil, err
		}
		sessions = append(sessions, s)
	}
	ref, off := newReference(c.Heads), make([]difference, len(others))
	for i := range pictures.Len() {
		feed, err := pictures.Feed(i)
		if err != nil {
			return nil, err
		}
		var want map[string]value.Value
		for k, s := range sessions {
			got, err := s.Run(ctx, feed, c.names()...)
			if err != nil {
				return nil, err
			}
			if k == 0 {
				want = got
				err = c.add(ref, want, c.found(i))
			} else {
				err = off[k-1].add(c, c.Heads, want, got, c.found(i))
			}
			if err != nil {
				return nil, err
			}
		}
	}
	out := make([]float64, len(others))
	for k := range out {
		out[k] = off[k].over(ref)
	}
	return out, nil
}

func (c *Compare) names() []string {
	var out []string
	for _, h := range c.Heads {
		out = append(out, h.Name)
	}
	return out
}

func (c *Compare) found(i int) []detection.Detection {
	if c.Found == nil {
		return nil
	}
	return c.Found[i]
}
