package ops

// MT19937, the Mersenne Twister of Matsumoto and Nishimura (1998), seeded and read as NumPy's RandomState does.

const (
	twisterSize = 624
	twisterStep = 397
)

type twister struct {
	state [twisterSize]uint32
	next  int
}

func newTwister(seed uint32) *twister {
	t := &twister{next: twisterSize}
	for i := range t.state {
		t.state[i] = seed
		seed = 1812433253*(seed^seed>>30) + uint32(i) + 1
	}
	return t
}

func (t *twister) uint32() uint32 {
	if t.next == twisterSize {
		t.turn()
	}
	y := t.state[t.next]
	t.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

func (t *twister) turn() {
	for i := range t.state {
		y := t.state[i]&0x80000000 | t.state[(i+1)%twisterSize]&0x7fffffff
		v := t.state[(i+twisterStep)%twisterSize] ^ y>>1
		if y&1 == 1 {
			v ^= 0x9908b0df
		}
		t.state[i] = v
	}
	t.next = 0
}

// float64 is a number in [0, 1) with 53 random bits.
func (t *twister) float64() float64 {
	a, b := t.uint32()>>5, t.uint32()>>6
	return (float64(a)*(1<<26) + float64(b)) / (1 << 53)
}
