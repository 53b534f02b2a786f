package ops

// Where a sliding window stands: what strides, dilations, pads and auto_pad of convolutions and poolings mean for
// an input of given size.

import (
	"fmt"
	"slices"
)

// sliding is how a window moves over the spatial axes, as the node's attributes tell. Slices are nil where the
// attribute is absent.
type sliding struct {
	autoPad            string
	strides, dilations []int
	pads               []int // begins of all axes, then ends
	ceil               bool  // round the output size up
}

// readSliding reads auto_pad, strides and pads, and dilations where the operator has them.
func readSliding(n *Node, dilated bool) sliding {
	s := sliding{
		autoPad: n.OneOf("auto_pad", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", ""),
		strides: n.Ints("strides"),
		pads:    n.Ints("pads"),
	}
	if dilated {
		s.dilations = n.Ints("dilations")
	}
	return s
}

// placement is a window laid over an input of known size: one entry per spatial axis.
type placement struct {
	kernel, strides, dilations []int
	begin, end                 []int // pads
	in, out                    []int // sizes
}

// span is how many positions of the axis the window covers.
func (p *placement) span(d int) int { return (p.kernel[d]-1)*p.dilations[d] + 1 }

// start fills in defaults and checks lengths.
func (s *sliding) start(kernel, in []int) (*placement, error) {
	rank := len(in)
	p := &placement{kernel: kernel, in: in, strides: onesIfNil(s.strides, rank), dilations: onesIfNil(s.dilations, rank),
		begin: make([]int, rank), end: make([]int, rank), out: make([]int, rank)}
	for name, v := range map[string][]int{"kernel_shape": kernel, "strides": p.strides, "dilations": p.dilations} {
		if len(v) != rank {
			return nil, fmt.Errorf("%s %v does not fit %d spatial axes", name, v, rank)
		}
	}
	for d := range rank {
		if kernel[d] < 0 || p.strides[d] <= 0 || p.dilations[d] <= 0 {
			return nil, fmt.Errorf("kernel %v, strides %v and dilations %v must be positive", kernel, p.strides, p.dilations)
		}
	}
	if s.explicit() && s.pads != nil {
		if len(s.pads) != 2*rank {
			return nil, fmt.Errorf("pads %v do not fit %d spatial axes", s.pads, rank)
		}
		copy(p.begin, s.pads[:rank])
		copy(p.end, s.pads[rank:])
	}
	return p, nil
}

// explicit tells that the pads attribute counts, not auto_pad.
func (s *sliding) explicit() bool { return s.autoPad == "NOTSET" || s.autoPad == "" }

func (s *sliding) same() bool { return s.autoPad == "SAME_UPPER" || s.autoPad == "SAME_LOWER" }

// place lays the window over an input.
func (s *sliding) place(kernel, in []int) (*placement, error) {
	p, err := s.start(kernel, in)
	if err != nil {
		return nil, err
	}
	for d := range in {
		if s.same() {
			p.out[d] = (in[d] + p.strides[d] - 1) / p.strides[d]
			p.begin[d], p.end[d] = s.share(max(0, (p.out[d]-1)*p.strides[d]+p.span(d)-in[d]))
			continue
		}
		room := in[d] + p.begin[d] + p.end[d] - p.span(d)
		if room < 0 {
			if in[d] > 0 && !s.ceil {
				return nil, fmt.Errorf("input of spatial shape %v with pads %v %v is smaller than the kernel %v with dilations %v",
					in, p.begin, p.end, kernel, p.dilations)
			}
			if room+p.strides[d] <= 0 {
				continue
			}
		}
		if s.ceil {
			room += p.strides[d] - 1
		}
		p.out[d] = room/p.strides[d] + 1
		// a last window that starts behind the input and its first pad sees nothing: it does not count
		if s.ceil && (p.out[d]-1)*p.strides[d] >= in[d]+p.begin[d] {
			p.out[d]--
		}
	}
	return p, nil
}

// share splits padding in two; the odd one goes to the end for SAME_UPPER, to the beginning for SAME_LOWER.
func (s *sliding) share(total int) (begin, end int) {
	if s.autoPad == "SAME_LOWER" {
		return total - total/2, total / 2
	}
	return total / 2, total - total/2
}

func onesIfNil(s []int, n int) []int {
	if s != nil {
		return s
	}
	return slices.Repeat([]int{1}, n)
}

// splitSpatial cuts the shape of a feature map into batch, channels and spatial sizes.
func splitSpatial(shape []int) (batch, channels int, spatial []int, err error) {
	if len(shape) < 3 {
		return 0, 0, nil, fmt.Errorf("input of shape %v, want batch, channels and at least one spatial axis", shape)
	}
	return shape[0], shape[1], shape[2:], nil
}

// fillPatches writes the patches of output positions lo to hi, as a matrix of channels*taps rows and hi-lo columns.
// What lies outside of the input is filled with pad. x holds the channels' planes.
func fillPatches[T any](dst, x []T, channels int, p *placement, lo, hi int, pad T) {
	rank := len(p.in)
	last := rank - 1
	at, tapAt := make([]int, rank), make([]int, rank)
	width, taps, plane := hi-lo, product(p.kernel), product(p.in)
	for tap := range taps {
		unravelIndex(tap, p.kernel, tapAt)
		for q := lo; q < hi; {
			unravelIndex(q, p.out, at)
			run := min(hi-q, p.out[last]-at[last])
			from, inside := 0, true
			for d := range last {
				i := at[d]*p.strides[d] - p.begin[d] + tapAt[d]*p.dilations[d]
				inside = inside && i >= 0 && i < p.in[d]
				from = from*p.in[d] + i
			}
			column := at[last]*p.strides[last] - p.begin[last] + tapAt[last]*p.dilations[last]
			for ch := range channels {
				row := dst[(ch*taps+tap)*width+q-lo:][:run]
				if !inside {
					for j := range row {
						row[j] = pad
					}
					continue
				}
				line := x[ch*plane+from*p.in[last]:][:p.in[last]]
				for j, i := 0, column; j < run; j, i = j+1, i+p.strides[last] {
					if uint(i) < uint(len(line)) {
						row[j] = line[i]
					} else {
						row[j] = pad
					}
				}
			}
			q += run
		}
	}
}

func product(sizes []int) int {
	n := 1
	for _, s := range sizes {
		n *= s
	}
	return n
}

// unravelIndex turns a row-major position into coordinates.
func unravelIndex(flat int, shape, at []int) {
	for d := len(shape) - 1; d >= 0; d-- {
		at[d] = flat % shape[d]
		flat /= shape[d]
	}
}
