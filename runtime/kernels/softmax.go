package kernels

// Softmax with the bits that ONNX Runtime's has on the same vectors: a model that
// quantizes its attention rounds by them. The exponentials of a row are added up in
// float32, lane by lane, and then the lanes in pairs.

// Softmax sets each of the rows of y, cols long, to exp(x-max) / sum. y may be x.
func Softmax(p *Pool, x []float32, rows, cols int, y []float32) {
	if rows <= 0 || cols <= 0 {
		return
	}
	p.Do(rows, grainFor(cols), func(lo, hi int) {
		for r := lo; r < hi; r++ {
			softmaxRow(y[r*cols:(r+1)*cols], x[r*cols:(r+1)*cols])
		}
	})
}

func softmaxRow(y, x []float32) {
	AddScalar(y, x, -finite(MaxOf(x)))
	ExpSlice(y, y)
	MulScalar(y, y, 1/laneSum(y))
}

// laneSum adds x[i] to lane i modulo SumLanes, and folds the lanes.
func laneSum(x []float32) float32 {
	lanes := tails.Get().(*[16]float32)
	defer tails.Put(lanes)
	clear(lanes[:])
	if m := vectors(); m != nil && len(x) >= m.lanes {
		whole := len(x) / m.lanes
		m.total(&lanes[0], &x[0], whole)
		x = x[whole*m.lanes:]
	}
	for width := SumLanes(); len(x) > 0; x = x[min(width, len(x)):] {
		for i, v := range x[:min(width, len(x))] {
			lanes[i] += v
		}
	}
	for i := range 8 {
		lanes[i] += lanes[i+8]
	}
	low, high := (lanes[0]+lanes[1])+(lanes[2]+lanes[3]), (lanes[4]+lanes[5])+(lanes[6]+lanes[7])
	return low + high
}

// SumLanes is how many partial sums a softmax has.
func SumLanes() int {
	if m := vectors(); m != nil {
		return m.lanes
	}
	return 8
}

// FoldLanes adds up to 16 rows of partial sums into the first, in the order in
// which a softmax adds its lanes.
func FoldLanes(rows [][]float32) {
	add := func(to, from int) {
		if from < len(rows) {
			Add(rows[to], rows[to], rows[from])
		}
	}
	for i := range 8 {
		add(i, i+8)
	}
	for _, pair := range [][2]int{{0, 1}, {2, 3}, {0, 2}, {4, 5}, {6, 7}, {4, 6}, {0, 4}} {
		add(pair[0], pair[1])
	}
}
