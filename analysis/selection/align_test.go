package selection

import "testing"

func TestUnitsOfMixedSizeAreCombinedToAnAlignedCount(t *testing.T) {
	mk := func(sizes ...int) (out []*unit) {
		for _, n := range sizes {
			out = append(out, &unit{indices: make([]int, n)})
		}
		return
	}
	reach := sums(mk(3, 2, 2), 8)
	for total, want := range []bool{true, false, true, true, true, true, false, true, false} {
		if reach[0][total] != want {
			t.Errorf("3, 2 and 2 make %d: %v, want %v", total, reach[0][total], want)
		}
	}
}
