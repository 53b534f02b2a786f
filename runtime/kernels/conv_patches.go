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

// run is consecutive outputs of one output row, and within one vector.
type run struct {
	column int // of the panel
	length int
	at     []int // coordinates of the first output
}

func (s *patchSource) panels(scratch []float32, p0, depth, j0, cols int) []float32 {
	nr := s.tier.gemm.NR
	at := 0
	var p patchPanel
	for j := 0; j < cols; j += nr {
		p.locate(s, j0+j, min(nr, cols-j))
		s.panel(scratch[at:at+nr*depth], p0, depth, &p)
		at += nr * depth
	}
	return scratch[:at]
}

// patchPanel is where the columns of a panel lie in the output.
type patchPanel struct {
	width  int
	runs   []run
	coords []int // of all runs
}

// locate cuts columns j..j+width at the ends of output rows and of vectors.
func (p *patchPanel) locate(s *patchSource, j, width int) {
	out := s.geo.out
	last := len(out) - 1
	p.width, p.runs = width, p.runs[:0]
	if need := width * len(out); cap(p.coords) < need {
		p.coords = make([]int, need)
	}
	lanes := width
	if s.tier.packs != nil {
		lanes = s.tier.packs.lanes
	}
	for column := 0; column < width; {
		at := p.coords[len(p.runs)*len(out) : (len(p.runs)+1)*len(out)]
		unravel(j+column, out, at)
		length := min(width-column, lanes-column%lanes)
		if last >= 0 {
			length = min(length, out[last]-at[last])
		}
		p.runs = append(p.runs, run{column: column, length: length, at: at})
		column += length
	}
}

// panel packs terms p0..p0+depth of one panel.
func (s *patchSource) panel(panel []float32, p0, depth int, where *patchPanel) {
	nr := s.tier.gemm.NR
	var room [4]int
	tapAt := room[:]
	if len(s.geo.in) > len(tapAt) {
		tapAt = make([]int, len(s.geo.in))
	}
	tapAt = tapAt[:len(s.geo.in)]
	for p := 0; p < depth; {
		tap, channel := (p0+p)/s.channels, (p0+p)%s.channels
		count := min(s.channels-channel, depth-p)
		unravel(tap, s.geo.conv.Kernel, tapAt)
		rows := panel[p*nr : (p+count)*nr]
		if s.tier.packs != nil {
			s.gatherVectors(rows, channel, count, tapAt, where)
		} else {
			s.gather(rows, channel, count, tapAt, where)
		}
		p += count
	}
}

// gather writes what one tap sees, for count channels.
func (s *patchSource) gather(rows []float32, channel, count int, tapAt []int, where *patchPanel) {
	nr := s.tier.gemm.NR
	for i := range where.runs {
		r := &where.runs[i]
		from, first, length, step := s.geo.conv.span(r, tapAt, s.geo.in)
		for c := range count {
			dst := rows[c*nr+r.column:][:r.length]
			if length < r.length {
				clear(dst)
			}
			if length <= 0 {
				continue
			}
			src := s.x[(channel+c)*s.geo.inSize+from:]
			switch {
			case step == 1:
				copy(dst[first:], src[:length])
			default:
				for i := range length {
					dst[first+i] = src[i*step]
				}
			}
		}
	}
}

// gatherVectors is gather with masked vectors: of the runs that share a vector,
// the first clears it for the others.
func (s *patchSource) gatherVectors(rows []float32, channel, count int, tapAt []int, where *patchPanel) {
	packs, nr := s.tier.packs, s.tier.gemm.NR
	x := s.x[channel*s.geo.inSize:]
	for i := 0; i < len(where.runs); {
		vector, started := where.runs[i].column/packs.lanes*packs.lanes, false
		for ; i < len(where.runs) && where.runs[i].column < vector+packs.lanes; i++ {
			r := &where.runs[i]
			from, first, length, step := s.geo.conv.span(r, tapAt, s.geo.in)
			if length <= 0 {
				continue
			}
			lane := r.column - vector + first
			if step <= 2 {
				packs.copy(rows[vector:], x[from:], count, s.geo.inSize, nr, lane, length, step, !started)
			} else {
				if !started {
					packs.zero(rows[vector:], count, nr)
				}
				for c := range count {
					for i := range length {
						rows[c*nr+vector+lane+i] = x[c*s.geo.inSize+from+i*step]
					}
				}
			}
			started = true
		}
		if !started {
			packs.zero(rows[vector:], count, nr)
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
