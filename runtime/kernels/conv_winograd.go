package kernels

// 3x3 convolution with stride 1 as Winograd's F(4x4, 3x3): Lavin and Gray, "Fast
// Algorithms for Convolutional Neural Networks" (2015). Tiles of 4x4 outputs come
// from 6x6 inputs; in a transformed space each of the 36 elements of a tile is a
// matrix product over channels of its own, with a quarter of the multiplications.
// Its errors are about five times those of the plain product, so Conv.Exact rules it out.
//
// A map is computed in bands of tile rows, three steps each: transform the input
// channel by channel, multiply, transform back output channel by output channel.

import "sync"

// winogradTransforms is the assembly of a tier.
type winogradTransforms struct {
	lanes  int  // tiles per call
	masked bool // join can store a part
	input  func(v *float32, step int, x *float32, planeStep, pitch int, scratch *float32)
	output func(y *float32, yStep int, m *float32, mStep int, scratch *float32, bias, lo, hi float32)
	// split separates 4*lanes elements by position modulo 4, join is its inverse.
	split func(dst, src *float32, lead, planeStep int, load uint64, store uint32)
	join  func(dst, src *float32, planeStep int, store uint64)
}

// winogradPath uses the transform for maps on which it pays, and the plain
// matrix product for others.
type winogradPath struct {
	direct  *gemmPath
	tier    *tier
	prepare sync.Once
	weights [36]*PackedA // per element of a tile: output x input channels
}

const (
	// winogradBand is about how many floats the transformed input and output
	// of a band take: 2 MiB, a share of a third-level cache.
	winogradBand = 1 << 19
	// winogradWeights is the most transformed weights that are worth having:
	// each is used once per band, so they must come from cache.
	winogradWeights = 3 << 20
	// winogradTransform is the cost of transforming a channel of a tile there
	// or back, in multiplications of the matrix product.
	winogradTransform = 250
	// winogradStream is the cost of reading a transformed weight from cache,
	// likewise.
	winogradStream = 14
)

// newWinogradPath returns nil if the transform is not for this convolution.
func newWinogradPath(plan *ConvPlan, direct *gemmPath) *winogradPath {
	c := &plan.conv
	fits := plan.tier.winograd != nil && !c.Exact && c.Groups == 1 && len(c.Kernel) == 2 &&
		36*c.InChannels*c.OutChannels <= winogradWeights && c.InChannels >= 8 && c.OutChannels >= 8
	for d := range c.Kernel {
		fits = fits && c.Kernel[d] == 3 && c.Strides[d] == 1 && c.Dilations[d] == 1
	}
	if !fits {
		return nil
	}
	return &winogradPath{direct: direct, tier: plan.tier}
}

func (w *winogradPath) run(p *Pool, g convGeometry) {
	b := newWinogradBand(w, g)
	if !b.pays() {
		w.direct.run(p, g)
		return
	}
	w.prepare.Do(func() { w.transformWeights(p, g.conv) })
	v, m := borrow(36*g.conv.InChannels*b.padded), borrow(36*g.conv.OutChannels*b.padded)
	defer giveBack(v)
	defer giveBack(m)
	b.v, b.m = *v, *m
	for image := range g.n {
		for first := 0; first < b.down; first += b.limit {
			b.image, b.first, b.rows = image, first, min(b.limit, b.down-first)
			p.Do(g.conv.InChannels, 1, b.transformInput)
			p.Do(36, 1, b.multiply)
			p.Do(g.conv.OutChannels, 1, b.transformOutput)
		}
	}
}

// transformWeights computes G w G' for each pair of channels, panel by panel of
// the packed weights of the plain product: their rows are spread over panels as
// those of the transformed ones are.
func (w *winogradPath) transformWeights(p *Pool, c *Conv) {
	pairs := c.InChannels * c.OutChannels
	data := make([]float32, 36*pairs)
	for i := range w.weights {
		w.weights[i] = newPackedA(w.tier, c.OutChannels, c.InChannels, (*Pool)(nil).depthBlock(c.InChannels))
		w.weights[i].data = data[i*pairs : (i+1)*pairs]
	}
	plain, to := w.direct.weights[0], w.weights[0]
	p.Do(to.panels(), 1, func(lo, hi int) {
		done := make([]float32, 36*to.mr)
		for panel := lo; panel < hi; panel++ {
			i0 := panel * to.mr
			rows := min(to.mr, to.m-i0)
			for channel := range c.InChannels {
				for row := range rows {
					var kernel [9]float32
					for tap := range kernel {
						kernel[tap] = plain.data[plain.place(i0, rows, i0+row, tap*c.InChannels+channel)]
					}
					for i, v := range transformKernel(kernel[:]) {
						done[i*rows+row] = v
					}
				}
				at := to.place(i0, rows, i0, channel)
				for i, packed := range w.weights {
					copy(packed.data[at:at+rows], done[i*rows:(i+1)*rows])
				}
			}
		}
	})
}

// transformKernel is G w G', computed in float64.
func transformKernel(w []float32) (u [36]float32) {
	var columns [6][3]float64
	for j := range 3 {
		for i, v := range transformLine(float64(w[j]), float64(w[3+j]), float64(w[6+j])) {
			columns[i][j] = v
		}
	}
	for i, row := range columns {
		for j, v := range transformLine(row[0], row[1], row[2]) {
			u[6*i+j] = float32(v)
		}
	}
	return u
}

// transformLine is G times three numbers: a + b*x + c*x^2 at the points of
// gen/winograd.go, each over the product of its distances from the others.
func transformLine(a, b, c float64) [6]float64 {
	const near, far = 5.0 / 8, 3.0 / 2
	const p, q = near * near, far * far
	at := func(x, scale float64) float64 { return (a + b*x + c*x*x) / scale }
	return [6]float64{a / (p * q), at(near, 2*p*(p-q)), at(-near, 2*p*(p-q)), at(far, 2*q*(q-p)), at(-far, 2*q*(q-p)), c}
}

// winogradBandRun is one run, and the band of it in work. Tiles are numbered row
// by row with one more per row than there are: the input of a tile reaches into
// the next, and so all tiles are evenly spaced.
type winogradBandRun struct {
	convGeometry
	path         *winogradPath
	across, down int // tiles of the map
	pitch        int // across + 1
	limit        int // tile rows of a band
	padded       int // tiles of a band, in whole panels

	image, first, rows int // the band
	// v is the transformed input, packed for the products; m their results:
	// 36 x output channels x padded.
	v, m []float32
}

func newWinogradBand(w *winogradPath, g convGeometry) *winogradBandRun {
	b := &winogradBandRun{convGeometry: g, path: w, down: (g.out[0] + 3) / 4, across: (g.out[1] + 3) / 4}
	b.pitch = b.across + 1
	b.limit = max(1, winogradBand/(36*(g.conv.InChannels+g.conv.OutChannels)*b.pitch))
	b.limit = min(b.limit, b.down)
	nr := w.tier.gemm.NR
	b.padded = (b.limit*b.pitch + nr - 1) / nr * nr
	return b
}

// pays compares multiplications per pair of channels, transforms included, with
// those of the plain product.
func (b *winogradBandRun) pays() bool {
	nr := b.path.tier.gemm.NR
	in, out := float64(b.conv.InChannels), float64(b.conv.OutChannels)
	bands := float64(b.down) / float64(b.limit)
	transformed := bands * (float64(b.padded+winogradStream)*36*in*out + float64(b.padded)*winogradTransform*(in+out))
	plain := float64((b.outSize+nr-1)/nr*nr) * 9 * in * out
	return transformed < 0.85*plain
}

// transformInput does so for channels lo..hi.
func (b *winogradBandRun) transformInput(lo, hi int) {
	t := b.path.tier.winograd
	channels, nr := b.conv.InChannels, b.path.tier.gemm.NR
	planeSize := (b.rows + 1) * b.pitch
	buffer := borrow(16*planeSize + b.pitch + 2*nr + 36*t.lanes)
	defer giveBack(buffer)
	planes, work := (*buffer)[:16*planeSize+b.pitch+2*nr], (*buffer)[16*planeSize+b.pitch+2*nr:]
	depth := (*Pool)(nil).depthBlock(channels)
	for c := lo; c < hi; c++ {
		b.splitPlane(planes, planeSize, b.x[(b.image*channels+c)*b.inSize:][:b.inSize])
		p0 := c / depth * depth
		panel := min(depth, channels-p0) * nr
		for tile := 0; tile < b.rows*b.pitch; tile += t.lanes {
			to := b.padded*p0 + tile/nr*panel + (c-p0)*nr + tile%nr
			_, _ = b.v[35*channels*b.padded+to+t.lanes-1], planes[15*planeSize+b.pitch+1+tile+t.lanes-1]
			t.input(&b.v[to], 4*channels*b.padded, &planes[tile], 4*planeSize, 4*b.pitch, &work[0])
		}
	}
}

// splitPlane copies the rows that the band reads, with the padding around them,
// into sixteen planes by row and column modulo 4.
func (b *winogradBandRun) splitPlane(planes []float32, planeSize int, x []float32) {
	width := b.in[1]
	for row := range 4*b.rows + 2 {
		to := planes[row%4*4*planeSize+row/4*b.pitch:]
		from := 4*b.first + row - b.conv.PadsBegin[0]
		if from < 0 || from >= b.in[0] {
			for j := range 4 {
				clear(to[j*planeSize : j*planeSize+b.pitch])
			}
			continue
		}
		lanes := b.path.tier.winograd.lanes
		for tile := 0; tile < b.pitch; tile += lanes {
			b.splitRow(to[tile:], planeSize, min(lanes, b.pitch-tile), x[from*width:(from+1)*width], 4*tile-b.conv.PadsBegin[1])
		}
	}
}

// splitRow fills tiles elements of four planes from a row, from a column on that
// may be negative.
func (b *winogradBandRun) splitRow(to []float32, planeSize, tiles int, row []float32, column int) {
	t := b.path.tier.winograd
	_ = to[3*planeSize+t.lanes-1]
	lo := min(max(0, -column), 4*tiles)
	hi := min(4*tiles, len(row)-column)
	if hi <= lo {
		t.split(&to[0], &to[0], 0, 4*planeSize, 0, 1<<tiles-1)
		return
	}
	load := (uint64(1)<<(hi-lo) - 1) << lo
	t.split(&to[0], &row[column+lo], 4*lo, 4*planeSize, load, 1<<tiles-1)
}

// multiply computes products lo..hi of the 36.
func (b *winogradBandRun) multiply(lo, hi int) {
	in, out, nr := b.conv.InChannels, b.conv.OutChannels, b.path.tier.gemm.NR
	tiles := (b.rows*b.pitch + nr - 1) / nr * nr // what is beyond the last is never looked at
	for i := lo; i < hi; i++ {
		right := &PackedB{tier: b.path.tier, k: in, n: tiles, padded: b.padded, data: b.v[i*in*b.padded : (i+1)*in*b.padded]}
		q := product{a: b.path.weights[i], b: right, n: tiles, c: b.m[i*out*b.padded : (i+1)*out*b.padded], ldc: b.padded}
		for j := 0; j < tiles; j += tileColumns {
			q.tile(0, out, j, min(j+tileColumns, tiles))
		}
	}
}

// transformOutput does so for channels lo..hi.
func (b *winogradBandRun) transformOutput(lo, hi int) {
	t := b.path.tier.winograd
	out := b.conv.OutChannels
	end := bare(false)
	fits := b.fits()
	if fits {
		end.Lo, end.Hi, _ = b.act.bounds()
	}
	buffer := borrow(16*b.padded + 16 + 36*t.lanes)
	defer giveBack(buffer)
	planes, work := (*buffer)[:16*b.padded+16], (*buffer)[16*b.padded+16:]
	for c := lo; c < hi; c++ {
		var bias float32
		if b.rowBias != nil {
			bias = b.rowBias[c]
		}
		for tile := 0; tile < b.rows*b.pitch; tile += t.lanes {
			_ = b.m[(35*out+c)*b.padded+tile+t.lanes-1]
			t.output(&planes[tile], 4*b.padded, &b.m[c*b.padded+tile], 4*out*b.padded, &work[0], bias, end.Lo, end.Hi)
		}
		b.joinPlane(planes, work, (b.image*out+c)*b.outSize, fits)
	}
}

// joinPlane puts the rows of a band in their place in y, whose plane starts at
// base, and does what is left to do to them.
func (b *winogradBandRun) joinPlane(planes, work []float32, base int, done bool) {
	width := b.out[1]
	for row := range min(4*b.rows, b.out[0]-4*b.first) {
		at := base + (4*b.first+row)*width
		y := b.y[at : at+width]
		from := planes[row%4*4*b.padded+row/4*b.pitch:]
		lanes := b.path.tier.winograd.lanes
		for tile := 0; tile < b.across; tile += lanes {
			b.joinRow(y[4*tile:], from[tile:], work)
		}
		if done {
			continue
		}
		if b.residual != nil {
			Add(y, y, b.residual[at:at+width])
		}
		b.act.Apply(y)
	}
}

// joinRow fills up to 4*lanes elements from four planes.
func (b *winogradBandRun) joinRow(y, from, work []float32) {
	t := b.path.tier.winograd
	n := min(4*t.lanes, len(y))
	_ = from[3*b.padded+t.lanes-1]
	if n == 4*t.lanes || t.masked {
		t.join(&y[0], &from[0], 4*b.padded, 1<<n-1)
		return
	}
	t.join(&work[0], &from[0], 4*b.padded, 0)
	copy(y, work[:n])
}
