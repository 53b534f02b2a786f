package calibrate

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/value"
)

// Detect finds the objects in the outputs of a run on the i-th picture. Boxes are in shares of the model's input: the whole of it is from 0
// to 1 on both axes.
type Detect func(i int, outputs map[string]value.Value) ([]detection.Detection, error)

// Detections runs the model on all pictures, several at a time, and returns what it finds in each.
func Detections(ctx context.Context, m *onnxio.Model, pictures Pictures, detect Detect, threads int, progress func(done, total int)) ([][]detection.Detection, error) {
	s, err := runtime.Compile(m, runtime.Options{Engine: runtime.Walk, Threads: 1})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	out := make([][]detection.Detection, pictures.Len())
	var done atomic.Int64
	var telling sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers(threads))
	for i := range out {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			feed, err := pictures.Feed(i)
			if err != nil {
				return err
			}
			got, err := s.Run(ctx, feed)
			if err != nil {
				return err
			}
			if out[i], err = detect(i, got); err != nil {
				return err
			}
			if out[i] == nil {
				out[i] = []detection.Detection{}
			}
			if progress != nil {
				telling.Lock()
				progress(int(done.Add(1)), len(out))
				telling.Unlock()
			}
			return nil
		})
	}
	return out, g.Wait()
}
