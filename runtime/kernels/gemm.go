package kernels

// Matrix products of float32, after Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008): C is cut into tiles for the
// threads, a tile is summed block of k by block of k, and within a block a
// packed panel of B stays in the first-level cache while the panels of A stream
// past it from the second.

const (
	// tileColumns is how many columns of B are packed at a time: with blocks of
	// 256 rows, 256 KiB of a second-level cache.
	tileColumns = 256
	// tileRows is how many rows of A are used against them before the next: 256
	// KiB as well.
	tileRows = 256
)

// Gemm computes C = alpha*op(A)*op(B) + beta*C, where op transposes if the flag
// is set, op(A) is m x k, op(B) k x n and C m x n. Rows of A, B and C are lda,
// ldb and ldc apart. C is not read if beta is zero. C must not overlap A or B.
//
// Many small products are best run by the caller's own loop over them in
// Pool.Do, with a nil pool here.
func Gemm(p *Pool, transA, transB bool, m, n, k int, alpha float32, a []float32, lda int,
	b []float32, ldb int, beta float32, c []float32, ldc int) {
	t := current.Load()
	if t.reference() {
		GemmReference(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		return
	}
	if m <= 0 || n <= 0 {
		return
	}
	buffer := borrow(m * max(k, 0))
	defer giveBack(buffer)
	left := newPackedA(t, m, max(k, 0), p.depthBlock(max(k, 0)))
	left.data = *buffer
	left.fill(p, transA, alpha, a, lda)
	g := product{a: left, b: matrixSource(t, transB, b, ldb), n: n, c: c, ldc: ldc, beta: beta}
	g.run(p)
}

// GemmPackedA is Gemm with op(A), and alpha, packed before. To each row i of C
// bias[i] is added if bias is not nil; then act is applied.
func GemmPackedA(p *Pool, a *PackedA, transB bool, n int, b []float32, ldb int,
	beta float32, c []float32, ldc int, bias []float32, act Activation) {
	if a.m <= 0 || n <= 0 {
		return
	}
	g := product{a: a, b: matrixSource(a.tier, transB, b, ldb), n: n, c: c, ldc: ldc, beta: beta,
		epilogue: epilogue{rowBias: bias, act: act}}
	g.run(p)
}

// GemmPackedB is Gemm with op(B) packed before. To each column j of C bias[j]
// is added if bias is not nil; then act is applied.
func GemmPackedB(p *Pool, transA bool, m int, alpha float32, a []float32, lda int, b *PackedB,
	beta float32, c []float32, ldc int, bias []float32, act Activation) {
	if m <= 0 || b.n <= 0 {
		return
	}
	buffer := borrow(m * b.k)
	defer giveBack(buffer)
	left := newPackedA(b.tier, m, b.k, b.depth)
	left.data = *buffer
	left.fill(p, transA, alpha, a, lda)
	g := product{a: left, b: b, n: b.n, c: c, ldc: ldc, beta: beta,
		epilogue: epilogue{columnBias: bias, act: act}}
	g.run(p)
}

// GemmReference is Gemm by its definition, with sums in float64.
func GemmReference(transA, transB bool, m, n, k int, alpha float32, a []float32, lda int,
	b []float32, ldb int, beta float32, c []float32, ldc int) {
	stepA, rowA := 1, lda
	if transA {
		stepA, rowA = lda, 1
	}
	stepB, columnB := ldb, 1
	if transB {
		stepB, columnB = 1, ldb
	}
	for i := range max(m, 0) {
		for j := range max(n, 0) {
			var sum float64
			for p := range max(k, 0) {
				sum += float64(a[i*rowA+p*stepA]) * float64(b[p*stepB+j*columnB])
			}
			sum *= float64(alpha)
			if beta != 0 {
				sum += float64(beta) * float64(c[i*ldc+j])
			}
			c[i*ldc+j] = float32(sum)
		}
	}
}

// epilogue is what is done to each element of C once its sum is complete.
type epilogue struct {
	rowBias    []float32
	columnBias []float32
	residual   []float32 // added before the activation; laid out as C
	act        Activation
}

// apply finishes columns j0.. of row i.
func (e *epilogue) apply(row []float32, i, j0, at int) {
	if e.rowBias != nil {
		AddScalar(row, row, e.rowBias[i])
	}
	if e.columnBias != nil {
		Add(row, row, e.columnBias[j0:j0+len(row)])
	}
	if e.residual != nil {
		Add(row, row, e.residual[at:at+len(row)])
	}
	e.act.Apply(row)
}

// fits tells whether the micro-kernel can do it all.
func (e *epilogue) fits() bool {
	_, _, bounded := e.act.bounds()
	return bounded && e.columnBias == nil && e.residual == nil
}

// product is one matrix product in work.
type product struct {
	a    *PackedA
	b    source
	n    int
	c    []float32
	ldc  int
	beta float32
	epilogue
}

// run computes the product, its tiles spread over the pool.
func (g *product) run(p *Pool) {
	grid := newTileGrid(p.Threads(), g.a, g.n)
	p.Do(grid.tiles(), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			i0, i1, j0, j1 := grid.tile(i)
			g.tile(i0, i1, j0, j1)
		}
	})
}

// tileGrid cuts C into tiles: by columns, as each tile packs its own columns of
// B, and by rows only where there are too few columns for all threads.
type tileGrid struct {
	m, n          int
	rows, columns int // of one tile
	across        int // tiles side by side
}

func newTileGrid(threads int, a *PackedA, n int) tileGrid {
	nr := a.tier.gemm.NR
	g := tileGrid{m: a.m, n: n, rows: a.m, columns: tileColumns}
	wanted := 1
	if threads > 1 {
		wanted = 2 * threads
	}
	if n < wanted*tileColumns {
		g.columns = max(2*nr, (n+wanted-1)/wanted)
	}
	g.columns = min((g.columns+nr-1)/nr*nr, max(tileColumns, nr))
	g.across = (n + g.columns - 1) / g.columns
	if g.across < wanted {
		down := (wanted + g.across - 1) / g.across
		panels := (a.panels() + down - 1) / down
		g.rows = panels * a.mr
	}
	return g
}

func (g tileGrid) tiles() int { return g.across * ((g.m + g.rows - 1) / g.rows) }

func (g tileGrid) tile(i int) (i0, i1, j0, j1 int) {
	i0, j0 = i/g.across*g.rows, i%g.across*g.columns
	return i0, min(i0+g.rows, g.m), j0, min(j0+g.columns, g.n)
}

// tile computes rows i0..i1 and columns j0..j1 of C; i0 starts a panel.
func (g *product) tile(i0, i1, j0, j1 int) {
	accumulate := g.beta != 0
	if accumulate && g.beta != 1 {
		for i := i0; i < i1; i++ {
			row := g.c[i*g.ldc+j0 : i*g.ldc+j1]
			MulScalar(row, row, g.beta)
		}
	}
	if g.a.k == 0 {
		g.emptySum(i0, i1, j0, j1, accumulate)
		return
	}
	nr := g.a.tier.gemm.NR
	buffer := borrow(g.a.depth * ((j1 - j0 + nr - 1) / nr * nr))
	defer giveBack(buffer)
	rows := max(1, tileRows/g.a.mr) * g.a.mr
	for p0 := 0; p0 < g.a.k; p0 += g.a.depth {
		depth := min(g.a.depth, g.a.k-p0)
		b := g.b.panels(*buffer, p0, depth, j0, j1-j0)
		for i := i0; i < i1; i += rows {
			end := min(i+rows, i1)
			g.block(i, end, j0, j1, p0, depth, b, accumulate)
			if p0+depth == g.a.k && !g.fits() {
				g.finish(i, end, j0, j1)
			}
		}
		accumulate = true
	}
}

// block adds one block of k to rows i0..i1 and columns j0..j1 of C.
func (g *product) block(i0, i1, j0, j1, p0, depth int, b []float32, accumulate bool) {
	kernel := &g.a.tier.gemm
	end, bias := bare(accumulate), []float32(nil)
	if p0+depth == g.a.k && g.fits() {
		end.Lo, end.Hi, _ = g.act.bounds()
		bias = g.rowBias
	}
	for j := j0; j < j1; j += kernel.NR {
		panel := b[(j-j0)*depth : (j-j0+kernel.NR)*depth]
		cols := min(kernel.NR, j1-j)
		for i := i0; i < i1; i += g.a.mr {
			rows := min(g.a.mr, g.a.m-i)
			if bias != nil {
				end.Bias = bias[i : i+rows]
			}
			kernel.Run(rows, cols, depth, g.a.panel(i, rows, p0, depth), panel, g.c[i*g.ldc+j:], g.ldc, end)
		}
	}
}

func (g *product) emptySum(i0, i1, j0, j1 int, keep bool) {
	for i := i0; i < i1 && !keep; i++ {
		clear(g.c[i*g.ldc+j0 : i*g.ldc+j1])
	}
	g.finish(i0, i1, j0, j1)
}

func (g *product) finish(i0, i1, j0, j1 int) {
	for i := i0; i < i1; i++ {
		at := i*g.ldc + j0
		g.apply(g.c[at:at+j1-j0], i, j0, at)
	}
}
