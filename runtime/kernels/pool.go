package kernels

// A pool of goroutines that live as long as it does. Starting goroutines for
// every operator costs more than a small operator takes, so the workers stay,
// spin for a few microseconds after each job (the next operator usually follows
// at once), and only then park. The caller always works on its own job too, and
// can finish it alone: that is why nested calls and a closed pool cannot block.

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// spinRounds is how often an idle goroutine looks for work before it parks:
// about 10-20 microseconds.
const spinRounds = 200

// chunksPerThread is how finely a job is cut, so that a thread that was held up
// by the operating system does not hold up all others.
const chunksPerThread = 4

// Pool runs loops on several threads. A nil *Pool is valid and runs them on the
// caller's goroutine alone. All methods may be called from many goroutines.
type Pool struct {
	threads int
	jobs    chan *job
	stop    chan struct{}
	close   sync.Once
	depth   int   // see ShortSums; 0: maxDepth
	single  *Pool // see Single
}

// NewPool starts a pool that works on up to the given number of threads, the
// caller's included. Less than one means one per CPU that Go may use.
func NewPool(threads int) *Pool {
	if threads < 1 {
		threads = runtime.GOMAXPROCS(0)
	}
	p := &Pool{threads: threads, stop: make(chan struct{})}
	p.jobs = make(chan *job, 4*threads)
	for range threads - 1 {
		go p.work()
	}
	return p
}

// ShortSums makes matrix products and convolutions add up their terms in blocks of at most depth, and of at most a quarter of all, whose sums are added in turn: another
// order of the same sums, for telling what their rounding does. It is called before the pool is used.
func (p *Pool) ShortSums(depth int) {
	p.depth = depth
	p.single = &Pool{threads: 1, depth: depth}
}

// Single is the pool for a product that is computed on the caller's thread alone.
func (p *Pool) Single() *Pool {
	if p == nil {
		return nil
	}
	return p.single
}

// Threads is the number of threads a loop may run on, 1 for a nil pool.
func (p *Pool) Threads() int {
	if p == nil {
		return 1
	}
	return p.threads
}

// Close ends the workers. Loops that run, or that come later, are finished by
// their callers.
func (p *Pool) Close() {
	if p != nil {
		p.close.Do(func() { close(p.stop) })
	}
}

// Do calls f on ranges [lo, hi) that together cover [0, n) exactly once, each at
// least grain long except for the last. Ranges run concurrently and in any
// order; f must compute each index by itself, so that the cut does not show in
// the result. Do returns when all are done. If f panics, the first panic is
// raised again in the caller once the other ranges have ended.
func (p *Pool) Do(n, grain int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	threads := p.Threads()
	chunk := max(grain, 1, (n+threads*chunksPerThread-1)/(threads*chunksPerThread))
	if threads == 1 || chunk >= n {
		f(0, n)
		return
	}
	chunks := (n + chunk - 1) / chunk
	j := &job{f: f, n: n, chunk: chunk, chunks: int64(chunks), finished: make(chan struct{})}
	for range min(threads, chunks) - 1 {
		select {
		case p.jobs <- j:
		default: // every worker has plenty to do
		}
	}
	j.run()
	j.wait()
	if e := j.panicked.Load(); e != nil {
		panic(e.value)
	}
}

func (p *Pool) work() {
	for {
		j := p.next()
		if j == nil {
			return
		}
		j.run()
	}
}

// next waits for a job, first spinning, then parked. Nil means the pool closed.
func (p *Pool) next() *job {
	for range spinRounds {
		select {
		case j := <-p.jobs:
			return j
		default:
			runtime.Gosched()
		}
	}
	select {
	case j := <-p.jobs:
		return j
	case <-p.stop:
		return nil
	}
}

// job is one loop. Its chunks are handed out by a counter to whoever asks.
type job struct {
	f        func(lo, hi int)
	n, chunk int
	chunks   int64
	taken    atomic.Int64
	done     atomic.Int64
	panicked atomic.Pointer[panicValue]
	finished chan struct{}
}

type panicValue struct{ value any }

// run takes chunks until none is left.
func (j *job) run() {
	for {
		i := j.taken.Add(1) - 1
		if i >= j.chunks {
			return
		}
		j.runChunk(int(i))
		if j.done.Add(1) == j.chunks {
			close(j.finished)
		}
	}
}

func (j *job) runChunk(i int) {
	defer func() {
		if e := recover(); e != nil {
			j.panicked.CompareAndSwap(nil, &panicValue{e})
		}
	}()
	lo := i * j.chunk
	j.f(lo, min(lo+j.chunk, j.n))
}

// wait returns when every chunk is done, wherever it ran.
func (j *job) wait() {
	for range spinRounds {
		if j.done.Load() == j.chunks {
			return
		}
		runtime.Gosched()
	}
	<-j.finished
}
