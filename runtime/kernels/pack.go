package kernels

// Packing puts the factors of a matrix product into the order in which the
// micro-kernel reads them. k is cut into equal blocks; A becomes panels of up to
// MR rows, B panels of NR columns, each contiguous within a block of k.
//
// The rows of A are spread evenly over the panels (64 rows at MR 14 are four
// panels of 13 and one of 12), so that no panel is nearly empty.

// maxDepth is the longest block of k. A panel of B of that depth, 32 columns
// wide, takes two thirds of a 48 KiB first-level cache.
const maxDepth = 256

// depthBlock is the block length for a sum of k terms. It depends on k alone (and on ShortSums), so
// the order of a sum does too.
func (p *Pool) depthBlock(k int) int {
	most := maxDepth
	if p != nil && p.depth > 0 {
		most = min(p.depth, max(1, k/4))
	}
	blocks := max(1, (k+most-1)/most)
	return (k + blocks - 1) / blocks
}

// PackedA is the left factor of a product, m x k, ready for use many times.
// It may be shared between goroutines.
type PackedA struct {
	tier  *tier
	m, k  int
	mr    int // rows of all panels but the last
	depth int // length of all blocks of k but the last
	data  []float32
}

// PackA packs alpha times A, or alpha times the transpose of A where trans is
// set. A has m rows of k elements (with trans: k rows of m), lda apart.
func PackA(trans bool, m, k int, alpha float32, a []float32, lda int) *PackedA {
	p := newPackedA(current.Load(), m, k, (*Pool)(nil).depthBlock(k))
	p.data = make([]float32, m*k)
	p.fill(nil, trans, alpha, a, lda)
	return p
}

func newPackedA(t *tier, m, k, depth int) *PackedA {
	p := &PackedA{tier: t, m: m, k: k, depth: depth}
	limit := t.gemm.MR
	panels := max(1, (m+limit-1)/limit)
	p.mr = max(1, (m+panels-1)/panels)
	return p
}

func (p *PackedA) panels() int { return (p.m + p.mr - 1) / p.mr }

// panel is the packed rows from i0 on, in the block of k that starts at p0.
// Panels have no padding, so their place follows from what is before them.
func (p *PackedA) panel(i0, rows, p0, depth int) []float32 {
	at := p.m*p0 + i0*depth
	return p.data[at : at+rows*depth]
}

func (p *PackedA) fill(pool *Pool, trans bool, alpha float32, a []float32, lda int) {
	pool.Do(p.panels(), grainFor(p.mr*p.k), func(lo, hi int) {
		for panel := lo; panel < hi; panel++ {
			i0 := panel * p.mr
			rows := min(p.mr, p.m-i0)
			for p0 := 0; p0 < p.k; p0 += p.depth {
				depth := min(p.depth, p.k-p0)
				dst := p.panel(i0, rows, p0, depth)
				if trans {
					packColumns(dst, rows, depth, a[p0*lda+i0:], lda)
				} else {
					p.tier.packRows(dst, rows, rows, depth, a[i0*lda+p0:], lda)
				}
				if alpha != 1 {
					MulScalar(dst, dst, alpha)
				}
			}
		}
	})
}

// fillPanel packs the rows of one panel, k elements each, one after the other.
func (p *PackedA) fillPanel(i0, rows int, a []float32) {
	for p0 := 0; p0 < p.k; p0 += p.depth {
		depth := min(p.depth, p.k-p0)
		p.tier.packRows(p.panel(i0, rows, p0, depth), rows, rows, depth, a[p0:], p.k)
	}
}

// place is where element k of a row lies in data. The row's panel has rows rows,
// from i0 on.
func (p *PackedA) place(i0, rows, row, k int) int {
	p0 := k / p.depth * p.depth
	return p.m*p0 + i0*min(p.depth, p.k-p0) + (k-p0)*rows + row - i0
}

// packColumns copies depth rows of width contiguous elements, ld apart.
func packColumns(dst []float32, width, depth int, src []float32, ld int) {
	for p := range depth {
		copy(dst[p*width:(p+1)*width], src[p*ld:p*ld+width])
	}
}

// packRows transposes: dst[p*width+i] = src[i*ld+p] for i < rows, p < depth.
// Four rows are read at a time, so that each write fills a quarter of a line.
func (t *tier) packRows(dst []float32, width, rows, depth int, src []float32, ld int) {
	i := 0
	for ; i+4 <= rows; i += 4 {
		first := 0
		if t.transposeFours != nil {
			first = t.transposeFours(dst[i:], width, src[i*ld:], ld, depth)
		}
		r0 := src[i*ld : i*ld+depth]
		r1 := src[(i+1)*ld : (i+1)*ld+depth]
		r2 := src[(i+2)*ld : (i+2)*ld+depth]
		r3 := src[(i+3)*ld : (i+3)*ld+depth]
		at := i + first*width
		for p := first; p < depth; p++ {
			d := dst[at : at+4 : at+4]
			d[0], d[1], d[2], d[3] = r0[p], r1[p], r2[p], r3[p]
			at += width
		}
	}
	for ; i < rows; i++ {
		at := i
		for _, v := range src[i*ld : i*ld+depth] {
			dst[at] = v
			at += width
		}
	}
}

// source gives the right factor of a product in panels of NR columns.
type source interface {
	// panels returns rows p0..p0+depth of columns j0..j0+cols, packed: panel
	// after panel, all of them NR wide. j0 is a multiple of NR. It may write
	// them to scratch, which has room.
	panels(scratch []float32, p0, depth, j0, cols int) []float32
}

// PackedB is the right factor of a product, k x n, ready for use many times.
// It may be shared between goroutines.
type PackedB struct {
	tier   *tier
	k, n   int
	padded int // n rounded up to whole panels
	depth  int // length of all blocks of k but the last
	data   []float32
}

// PackB packs B or, where trans is set, the transpose of B. B has k rows of n
// elements (with trans: n rows of k), ldb apart.
func PackB(trans bool, k, n int, b []float32, ldb int) *PackedB {
	return PackBOn(nil, trans, k, n, b, ldb)
}

// PackBOn is PackB with the work spread over a pool.
func PackBOn(pool *Pool, trans bool, k, n int, b []float32, ldb int) *PackedB {
	t := current.Load()
	nr := t.gemm.NR
	p := &PackedB{tier: t, k: k, n: n, padded: (n + nr - 1) / nr * nr, depth: pool.depthBlock(k)}
	p.data = make([]float32, p.padded*k)
	if n == 0 {
		return p
	}
	src := matrixSource(t, trans, b, ldb)
	depth := p.depth
	panels := p.padded / nr
	for p0 := 0; p0 < k; p0 += depth {
		d := min(depth, k-p0)
		pool.Do(panels, grainFor(nr*d), func(lo, hi int) {
			at := p.padded*p0 + lo*nr*d
			src.panels(p.data[at:at+(hi-lo)*nr*d], p0, d, lo*nr, min(n, hi*nr)-lo*nr)
		})
	}
	return p
}

func (p *PackedB) panels(_ []float32, p0, depth, j0, cols int) []float32 {
	nr := p.tier.gemm.NR
	at := p.padded*p0 + j0*depth
	return p.data[at : at+(cols+nr-1)/nr*nr*depth]
}

func matrixSource(t *tier, trans bool, b []float32, ldb int) source {
	if trans {
		return &transposedSource{tier: t, b: b, ld: ldb}
	}
	return &rowSource{tier: t, b: b, ld: ldb}
}

// rowSource packs a row-major matrix whose rows are ld apart.
type rowSource struct {
	tier *tier
	b    []float32
	ld   int
}

func (s *rowSource) panels(scratch []float32, p0, depth, j0, cols int) []float32 {
	nr := s.tier.gemm.NR
	at := 0
	for j := 0; j < cols; j += nr {
		width := min(nr, cols-j)
		from := s.b[p0*s.ld+j0+j:]
		panel := scratch[at : at+nr*depth]
		if packs := s.tier.packs; packs != nil {
			for lane := 0; lane < width; lane += packs.lanes {
				packs.copy(panel[lane:], from[lane:], depth, s.ld, nr, 0, min(packs.lanes, width-lane), 1, true)
			}
		} else {
			for p := range depth {
				copy(panel[p*nr:p*nr+width], from[p*s.ld:p*s.ld+width])
			}
		}
		at += nr * depth
	}
	return scratch[:at]
}

// vectorPacking copies vectors of floats under masks, the elements read being
// one apart, or two.
type vectorPacking struct {
	lanes      int
	unit, even packAssembly
}

// packAssembly is the signature of the generated functions: lead and steps in
// bytes.
type packAssembly func(dst, src *float32, lead, count, srcStep, dstStep int, load, store uint32)

// copy fills lanes lane..lane+length of count vectors of dst, dstStep apart, from
// src, whose rows are srcStep and whose elements step (1 or 2) apart. With clear,
// the other lanes become zero; else they stay, but may be read and written back.
func (v *vectorPacking) copy(dst, src []float32, count, srcStep, dstStep, lane, length, step int, clear bool) {
	_, _ = dst[(count-1)*dstStep+v.lanes-1], src[(count-1)*srcStep+(length-1)*step]
	load := (uint32(1)<<length - 1) << lane
	store := load
	if clear {
		store = 1<<v.lanes - 1
	}
	pack := v.unit
	if step == 2 {
		pack = v.even
	}
	pack(&dst[0], &src[0], 4*lane*step, count, 4*srcStep, 4*dstStep, load, store)
}

// zero clears count vectors of dst.
func (v *vectorPacking) zero(dst []float32, count, dstStep int) {
	_ = dst[(count-1)*dstStep+v.lanes-1]
	v.unit(&dst[0], &dst[0], 0, count, 0, 4*dstStep, 0, 1<<v.lanes-1)
}

// transposedSource packs the transpose of a row-major matrix.
type transposedSource struct {
	tier *tier
	b    []float32
	ld   int
}

func (s *transposedSource) panels(scratch []float32, p0, depth, j0, cols int) []float32 {
	nr, at := s.tier.gemm.NR, 0
	for j := 0; j < cols; j += nr {
		width := min(nr, cols-j)
		panel := scratch[at : at+nr*depth]
		s.tier.packRows(panel, nr, width, depth, s.b[(j0+j)*s.ld+p0:], s.ld)
		at += nr * depth
	}
	return scratch[:at]
}
