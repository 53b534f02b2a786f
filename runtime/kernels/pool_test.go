package kernels

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestPoolCoversEveryIndexOnce(t *testing.T) {
	for _, threads := range []int{1, 2, 7} {
		p := NewPool(threads)
		for _, n := range []int{0, 1, 2, 7, 8, 100, 1001} {
			for _, grain := range []int{0, 1, 3, 2000} {
				counts := make([]atomic.Int32, n)
				p.Do(n, grain, func(lo, hi int) {
					for i := lo; i < hi; i++ {
						counts[i].Add(1)
					}
				})
				for i := range counts {
					if c := counts[i].Load(); c != 1 {
						t.Fatalf("%d threads, n %d, grain %d: index %d ran %d times", threads, n, grain, i, c)
					}
				}
			}
		}
		p.Close()
	}
}

func TestPoolNestedAndConcurrentCallsEnd(t *testing.T) {
	p := NewPool(3)
	defer p.Close()
	var total atomic.Int64
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for range 50 {
				p.Do(10, 1, func(lo, hi int) {
					p.Do(10*(hi-lo), 1, func(lo, hi int) { total.Add(int64(hi - lo)) })
				})
			}
		})
	}
	callers.Wait()
	if total.Load() != 8*50*100 {
		t.Errorf("%d indices ran, want %d", total.Load(), 8*50*100)
	}
}

func TestPoolRaisesPanicsInTheCaller(t *testing.T) {
	for _, p := range []*Pool{nil, NewPool(1), NewPool(4)} {
		func() {
			defer func() {
				if e := recover(); e != "index 7" {
					t.Errorf("recovered %v", e)
				}
			}()
			p.Do(20, 1, func(lo, hi int) {
				if lo <= 7 && 7 < hi {
					panic("index 7")
				}
			})
		}()
		ran := false
		p.Do(1, 1, func(lo, hi int) { ran = true })
		if !ran {
			t.Error("the pool does not work any more")
		}
		p.Close()
		p.Close()
	}
}

func TestClosedPoolStillWorks(t *testing.T) {
	p := NewPool(4)
	p.Close()
	for range 100 {
		var n atomic.Int32
		p.Do(50, 1, func(lo, hi int) { n.Add(int32(hi - lo)) })
		if n.Load() != 50 {
			t.Fatalf("%d of 50 indices ran", n.Load())
		}
	}
}

func BenchmarkPoolDo(b *testing.B) {
	p := NewPool(2)
	defer p.Close()
	for b.Loop() {
		p.Do(8, 1, func(lo, hi int) {})
	}
}
