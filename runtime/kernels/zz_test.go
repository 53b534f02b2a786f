package kernels
import ("testing";"fmt";"time")
func TestTable(t *testing.T) {
	for _, tier := range []string{"avx2","avx512"} {
	must(t, SetTier(tier))
	for _, s := range [][5]int{{64,64,56,3,1},{128,128,76,3,1},{128,128,28,3,1},{256,256,38,3,1},{32,32,304,3,1}} {
			pad := s[3]/2
			c := Conv{Kernel: []int{s[3], s[3]}, Strides: []int{s[4],s[4]}, PadsBegin: []int{pad,pad}, PadsEnd: []int{pad,pad}, InChannels: s[0], OutChannels: s[1]}
			plan, _ := NewConv(c, randomSlice(1, s[3]*s[3]*s[0]*s[1]), randomSlice(2, s[1]))
			in := []int{s[2],s[2]}
			out, _ := c.OutSpatial(in)
			x, y := randomSlice(3, s[0]*s[2]*s[2]), make([]float32, s[1]*volume(out))
			b := time.Hour
			for range 150 {
				t0 := time.Now()
				plan.Run(nil, x, 1, in, y, Activation{Kind: Relu})
				b = min(b, time.Since(t0))
			}
		fl := 2*float64(s[3]*s[3]*s[0]*len(y))/1e3
		us := b.Seconds()*1e6
		fmt.Printf("%s %v %.0f us (%.0f GF)\n", tier, s, us, fl/us)
	}
	}
}
