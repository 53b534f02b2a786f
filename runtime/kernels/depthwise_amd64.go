package kernels

// The assembly of depthwise layers and pooling: see depthwiseSums.plane for the
// strips.

// tapsAssembly is the signature of the generated functions: steps and taps in
// bytes. The mask is left aside by AVX2.
type tapsAssembly func(y, x *float32, count, yStep, xStep int, taps *int, weights *float32, tapCount int, bias, lo, hi float32, mask uint32)

func stripAVX512(s *depthwiseSums)       { strips512(s, depthwiseAVX512) }
func stripAVX2(s *depthwiseSums)         { strips256(s, depthwiseAVX2) }
func stripMaximaAVX512(s *depthwiseSums) { strips512(s, maximaAVX512) }
func stripMaximaAVX2(s *depthwiseSums)   { strips256(s, maximaAVX2) }

func strips512(s *depthwiseSums, f tapsAssembly) {
	if s.check() {
		return
	}
	if whole := s.width / 16; s.rows == 1 && whole > 0 {
		s.strip(f, 0, whole, 64, 64, 1<<16-1)
	} else {
		for i := range whole {
			s.strip(f, 16*i, s.rows, 4*s.width, 4*s.pitch, 1<<16-1)
		}
	}
	if rest := s.width % 16; rest > 0 {
		s.strip(f, s.width-rest, s.rows, 4*s.width, 4*s.pitch, 1<<rest-1)
	}
}

// strips256 has no masks: the last strip overlaps the one before, and rows
// shorter than a vector go through a buffer.
func strips256(s *depthwiseSums, f tapsAssembly) {
	if s.check() {
		return
	}
	if s.width < 8 {
		buffer := borrow(8 * s.rows)
		defer giveBack(buffer)
		f(&(*buffer)[0], &s.x[0], s.rows, 32, 4*s.pitch, &s.byteTaps[0], &s.weights[0], len(s.taps), s.bias, s.lo, s.hi, 0)
		for row := range s.rows {
			copy(s.y[row*s.width:(row+1)*s.width], (*buffer)[8*row:])
		}
		return
	}
	if whole := s.width / 8; s.rows == 1 {
		s.strip(f, 0, whole, 32, 32, 0)
	} else {
		for i := range whole {
			s.strip(f, 8*i, s.rows, 4*s.width, 4*s.pitch, 0)
		}
	}
	if s.width%8 != 0 {
		s.strip(f, s.width-8, s.rows, 4*s.width, 4*s.pitch, 0)
	}
}

// strip computes count vectors from a column on.
func (s *depthwiseSums) strip(f tapsAssembly, column, count, yStep, xStep int, mask uint32) {
	f(&s.y[column], &s.x[column], count, yStep, xStep, &s.byteTaps[0], &s.weights[0], len(s.taps), s.bias, s.lo, s.hi, mask)
}

// check tells whether there is nothing to do, and panics where assembly would
// read or write out of bounds.
func (s *depthwiseSums) check() (empty bool) {
	if s.rows == 0 || s.width == 0 {
		return true
	}
	_, _ = s.y[s.rows*s.width-1], s.weights[len(s.taps)-1]
	_ = s.x[s.farthest+(s.rows-1)*s.pitch+(s.width+15)/16*16-1]
	return false
}
