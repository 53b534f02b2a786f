package kernels

// Patches of an image as panels of a matrix: the packing of implicit GEMM. A
// panel's columns are consecutive output positions. They fall into runs that lie
// on one output row; for a given tap, a run reads evenly spaced inputs of one
// input row, except where it sticks out into the padding.

// patchSource packs patches of the channels of one group of one image.
type patchSource struct {
	tier     *tier
	geo      *convGeometry
	x        []float32
	channels int
}

// run is consecutive outputs of one output row.
type run struct {
	column int // of the panel
	length int
	at     []int // coordinates of the first output
}

func (s *patchSource) panels(scratch []float32, p0, depth, j0, cols int) []float32 {
	nr := s.tier.gemm.NR
	at := 0
	var runs []run
	for j := 0; j < cols; j += nr {
		runs = s.runs(runs[:0], j0+j, min(nr, cols-j))
		s.panel(scratch[at:at+nr*depth], p0, depth, runs)
		at += nr * depth
	}
	return scratch[:at]
}

// runs cuts columns j..j+width at the ends of output rows.
func (s *patchSource) runs(runs []run, j, width int) []run {
	out := s.geo.out
	last := len(out) - 1
	for column := 0; column < width; {
		at := make([]int, len(out))
		unravel(j+column, out, at)
		length := width - column
		if last >= 0 {
			length = min(length, out[last]-at[last])
		}
		runs = append(runs, run{column: column, length: length, at: at})
		column += length
	}
	return runs
}

// panel packs terms p0..p0+depth of one panel.
func (s *patchSource) panel(panel []float32, p0, depth int, runs []run) {
	nr := s.tier.gemm.NR
	tapAt := make([]int, len(s.geo.in))
	for p := 0; p < depth; {
		tap, channel := (p0+p)/s.channels, (p0+p)%s.channels
		count := min(s.channels-channel, depth-p)
		unravel(tap, s.geo.conv.Kernel, tapAt)
		rows := panel[p*nr : (p+count)*nr]
		clear(rows)
		for i := range runs {
			s.gather(rows, channel, count, tapAt, &runs[i])
		}
		p += count
	}
}

// gather writes what one tap sees from one run, for count channels.
func (s *patchSource) gather(rows []float32, channel, count int, tapAt []int, r *run) {
	from, first, length, step := s.geo.conv.span(r, tapAt, s.geo.in)
	if length <= 0 {
		return
	}
	nr := s.tier.gemm.NR
	for c := range count {
		dst := rows[c*nr+r.column+first:]
		dst = dst[:length]
		src := s.x[(channel+c)*s.geo.inSize+from:]
		if step == 1 {
			copy(dst, src[:length])
			continue
		}
		for i := range dst {
			dst[i] = src[i*step]
		}
	}
}

// span tells which part of a run a tap sees inside the input: length elements
// from the run's element first on, read from flat position from of a plane,
// step apart.
func (c *Conv) span(r *run, tapAt, in []int) (from, first, length, step int) {
	last := len(in) - 1
	if last < 0 {
		return 0, 0, r.length, 1
	}
	for d := range last {
		i := r.at[d]*c.Strides[d] - c.PadsBegin[d] + tapAt[d]*c.Dilations[d]
		if i < 0 || i >= in[d] {
			return 0, 0, 0, 1
		}
		from = from*in[d] + i
	}
	step = c.Strides[last]
	start := r.at[last]*step - c.PadsBegin[last] + tapAt[last]*c.Dilations[last]
	if start < 0 {
		first = (-start + step - 1) / step
	}
	end := r.length
	if start+(end-1)*step >= in[last] {
		if start >= in[last] {
			return 0, 0, 0, step
		}
		end = (in[last]-1-start)/step + 1
	}
	return from*in[last] + start + first*step, first, end - first, step
}
