package kernels

// The padded copy of a plane that depthwise convolution reads. Rows keep their
// order; with a stride of s each row is split by column modulo s into s phases.

// phaseLayout says where things are in the copy.
type phaseLayout struct {
	conv    *Conv
	in, out []int
	rows    []int // padded sizes of all axes but the last
	phase   int   // length of one phase of a row
	rowSize int   // of all phases
	size    int   // of the buffer, with room to read past the last row
	// taps are the places of the kernel's elements relative to that of an
	// output's first, in elements and in bytes; farthest is the largest.
	taps, byteTaps []int
	farthest       int
	bands          []rowBand
	// Columns lo..hi of the input are read; column 0 is shift columns in.
	lo, hi, shift int
}

// widestVector is how many floats the largest vector register holds.
const widestVector = 16

// rowBand is rows that adjoin in the input and in the copy.
type rowBand struct{ to, from, count int }

// newPhaseLayout returns nil if the copy would be out of all proportion to the
// planes, as a dilation larger than the input can make it.
func newPhaseLayout(c *Conv, in, out []int) *phaseLayout {
	last := len(in) - 1
	l := &phaseLayout{conv: c, in: in, out: out, rows: make([]int, last)}
	limit := 1<<20 + 64*(volume(in)+volume(out))
	l.size = 1
	for d := range in {
		span := max(0, (out[d]-1)*c.Strides[d]+reach(c.Kernel[d], c.Dilations[d]))
		if d == last {
			l.phase = (span + c.Strides[d] - 1) / c.Strides[d]
			span = l.phase * c.Strides[d]
			l.rowSize = span
		} else {
			l.rows[d] = span
		}
		if span > limit || l.size*span > limit {
			return nil
		}
		l.size *= span
	}
	l.size += 2 * widestVector
	l.shift = c.PadsBegin[last]
	l.lo, l.hi = max(0, -l.shift), min(in[last], l.rowSize-l.shift)
	l.placeTaps()
	l.placeRows()
	return l
}

func (l *phaseLayout) placeTaps() {
	c, last := l.conv, len(l.rows)
	stride := c.Strides[last]
	at := make([]int, len(l.in))
	for tap := range volume(c.Kernel) {
		unravel(tap, c.Kernel, at)
		row := 0
		for d, size := range l.rows {
			row = row*size + at[d]*c.Dilations[d]
		}
		column := at[last] * c.Dilations[last]
		place := row*l.rowSize + column%stride*l.phase + column/stride
		l.taps, l.byteTaps = append(l.taps, place), append(l.byteTaps, 4*place)
		l.farthest = max(l.farthest, place)
	}
}

// placeRows finds the rows of the copy that come from the input.
func (l *phaseLayout) placeRows() {
	if l.hi <= l.lo {
		return
	}
	at := make([]int, len(l.rows))
	for row := range volume(l.rows) {
		unravel(row, l.rows, at)
		from, inside := 0, true
		for d := range l.rows {
			i := at[d] - l.conv.PadsBegin[d]
			inside = inside && i >= 0 && i < l.in[d]
			from = from*l.in[d] + i
		}
		if !inside {
			continue
		}
		if n := len(l.bands); n > 0 && l.bands[n-1].to+l.bands[n-1].count == row && l.bands[n-1].from+l.bands[n-1].count == from {
			l.bands[n-1].count++
			continue
		}
		l.bands = append(l.bands, rowBand{to: row, from: from, count: 1})
	}
}

// rowStart is where the first output of a row, given by its coordinates without
// the last, finds its first tap.
func (l *phaseLayout) rowStart(at []int) int {
	row := 0
	for d, size := range l.rows {
		row = row*size + at[d]*l.conv.Strides[d]
	}
	return row * l.rowSize
}

// fill copies a plane into its place. What is padding is never written: it
// stays zero from plane to plane.
func (l *phaseLayout) fill(t *tier, padded, plane []float32) {
	width := l.in[len(l.rows)]
	stride := l.conv.Strides[len(l.rows)]
	for _, band := range l.bands {
		dst := padded[band.to*l.rowSize:]
		src := plane[band.from*width : (band.from+band.count)*width]
		if t.packs != nil && stride <= 2 {
			l.fillVectors(t.packs, dst, src, band.count, stride)
			continue
		}
		for row := range band.count {
			l.fillRow(dst[row*l.rowSize:(row+1)*l.rowSize], src[row*width+l.lo:row*width+l.hi], stride)
		}
	}
}

// fillVectors copies rows a vector of columns of a phase at a time.
func (l *phaseLayout) fillVectors(packs *vectorPacking, dst, src []float32, count, stride int) {
	width := l.in[len(l.rows)]
	for i := 0; i < min(stride, l.hi-l.lo); i++ {
		to := l.place(l.lo+l.shift+i, stride)
		length := (l.hi - l.lo - i + stride - 1) / stride
		for done := 0; done < length; done += packs.lanes {
			packs.copy(dst[to+done:], src[l.lo+i+done*stride:], count, width, l.rowSize, 0, min(packs.lanes, length-done), stride, false)
		}
	}
}

// place is where a column of the padded row is.
func (l *phaseLayout) place(column, stride int) int { return column%stride*l.phase + column/stride }

// fillRow copies columns lo..hi of one row.
func (l *phaseLayout) fillRow(dst, src []float32, stride int) {
	column := l.lo + l.shift
	if stride == 1 {
		copy(dst[column:], src)
		return
	}
	for i := 0; i < min(stride, len(src)); i++ {
		to := dst[l.place(column+i, stride):]
		for j, k := i, 0; j < len(src); j, k = j+stride, k+1 {
			to[k] = src[j]
		}
	}
}
