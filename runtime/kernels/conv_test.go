package kernels

import (
	"fmt"
	"sync"
	"testing"
)

// convCases hold every kind of layer the paths tell apart, at awkward sizes.
var convCases = []struct {
	name string
	conv Conv
	n    int
	in   []int
}{
	{"3x3 same", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 5, OutChannels: 7}, 2, []int{9, 11}},
	{"3x3 wide map", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 16, OutChannels: 33}, 1, []int{40, 70}},
	{"3x3 more than one depth block", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 67, OutChannels: 30}, 1, []int{19, 17}},
	{"3x3 stride 2", Conv{Kernel: []int{3, 3}, Strides: []int{2, 2}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 4, OutChannels: 6}, 2, []int{15, 38}},
	{"3x3 stride 3 and 2", Conv{Kernel: []int{3, 3}, Strides: []int{3, 2}, InChannels: 3, OutChannels: 5}, 1, []int{17, 40}},
	{"stride 3 along rows", Conv{Kernel: []int{3, 3}, Strides: []int{2, 3}, PadsEnd: []int{0, 2}, InChannels: 3, OutChannels: 5}, 1, []int{17, 40}},
	{"asymmetric pads", Conv{Kernel: []int{3, 2}, PadsBegin: []int{0, 2}, PadsEnd: []int{3, 1}, InChannels: 3, OutChannels: 4}, 1, []int{6, 35}},
	{"pads wider than the input", Conv{Kernel: []int{3, 3}, PadsBegin: []int{4, 4}, PadsEnd: []int{4, 4}, InChannels: 2, OutChannels: 3}, 1, []int{2, 1}},
	{"negative pads", Conv{Kernel: []int{2, 2}, PadsBegin: []int{-1, -2}, PadsEnd: []int{0, -1}, InChannels: 2, OutChannels: 3}, 1, []int{7, 9}},
	{"dilation 2 and 3", Conv{Kernel: []int{3, 3}, Dilations: []int{2, 3}, PadsBegin: []int{2, 3}, PadsEnd: []int{2, 3}, InChannels: 4, OutChannels: 5}, 1, []int{13, 20}},
	{"7x7 stride 2 first layer", Conv{Kernel: []int{7, 7}, Strides: []int{2, 2}, PadsBegin: []int{3, 3}, PadsEnd: []int{3, 3}, InChannels: 3, OutChannels: 16}, 1, []int{32, 45}},
	{"1x1", Conv{Kernel: []int{1, 1}, InChannels: 13, OutChannels: 19}, 3, []int{7, 9}},
	{"1x1 stride 2", Conv{Kernel: []int{1, 1}, Strides: []int{2, 2}, InChannels: 13, OutChannels: 19}, 2, []int{7, 35}},
	{"1x1 padded", Conv{Kernel: []int{1, 1}, PadsBegin: []int{1, 0}, PadsEnd: []int{0, 1}, InChannels: 3, OutChannels: 2}, 1, []int{4, 5}},
	{"groups of 3", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, Groups: 3, InChannels: 6, OutChannels: 9}, 2, []int{8, 9}},
	{"1x1 groups", Conv{Kernel: []int{1, 1}, Groups: 4, InChannels: 8, OutChannels: 12}, 2, []int{5, 6}},
	{"depthwise 3x3", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, Groups: 6, InChannels: 6, OutChannels: 6}, 2, []int{9, 37}},
	{"depthwise 3x3 stride 2", Conv{Kernel: []int{3, 3}, Strides: []int{2, 2}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, Groups: 5, InChannels: 5, OutChannels: 5}, 2, []int{20, 75}},
	{"depthwise 5x5 stride 2, uneven pads", Conv{Kernel: []int{5, 5}, Strides: []int{2, 2}, PadsBegin: []int{1, 1}, PadsEnd: []int{2, 2}, Groups: 3, InChannels: 3, OutChannels: 3}, 1, []int{14, 140}},
	{"depthwise 5x5", Conv{Kernel: []int{5, 5}, PadsBegin: []int{2, 2}, PadsEnd: []int{2, 2}, Groups: 3, InChannels: 3, OutChannels: 3}, 1, []int{14, 80}},
	{"depthwise 3x5 stride 3, dilated", Conv{Kernel: []int{3, 5}, Strides: []int{1, 3}, Dilations: []int{2, 2}, PadsBegin: []int{2, 1}, PadsEnd: []int{2, 4}, Groups: 3, InChannels: 3, OutChannels: 3}, 1, []int{14, 50}},
	{"depthwise with a multiplier", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, Groups: 3, InChannels: 3, OutChannels: 12}, 2, []int{6, 7}},
	{"depthwise, negative pads", Conv{Kernel: []int{3, 3}, PadsBegin: []int{-1, -1}, PadsEnd: []int{1, -2}, Groups: 2, InChannels: 2, OutChannels: 2}, 1, []int{8, 9}},
	{"depthwise, input larger than what is read", Conv{Kernel: []int{1, 1}, Strides: []int{4, 4}, Groups: 2, InChannels: 2, OutChannels: 2}, 1, []int{8, 40}},
	{"depthwise, dilation far beyond the input", Conv{Kernel: []int{2, 3}, Dilations: []int{1 << 28, 1}, PadsBegin: []int{1 << 28, 1}, PadsEnd: []int{0, 1}, Groups: 2, InChannels: 2, OutChannels: 2}, 1, []int{3, 5}},
	{"depthwise, empty input in padding", Conv{Kernel: []int{3, 3}, PadsBegin: []int{2, 2}, PadsEnd: []int{2, 2}, Groups: 2, InChannels: 2, OutChannels: 2}, 1, []int{0, 4}},
	{"depthwise, batch of none", Conv{Kernel: []int{3, 3}, Groups: 2, InChannels: 2, OutChannels: 2}, 0, []int{5, 4}},
	{"1-d", Conv{Kernel: []int{5}, PadsBegin: []int{2}, PadsEnd: []int{2}, InChannels: 4, OutChannels: 3}, 2, []int{50}},
	{"1-d strided depthwise", Conv{Kernel: []int{4}, Strides: []int{2}, PadsBegin: []int{1}, PadsEnd: []int{0}, Groups: 4, InChannels: 4, OutChannels: 4}, 2, []int{50}},
	{"3-d", Conv{Kernel: []int{2, 3, 3}, Strides: []int{1, 2, 1}, PadsBegin: []int{1, 1, 0}, PadsEnd: []int{0, 1, 2}, InChannels: 3, OutChannels: 5}, 2, []int{4, 7, 9}},
	{"3-d depthwise", Conv{Kernel: []int{3, 3, 3}, Strides: []int{1, 1, 2}, PadsBegin: []int{1, 1, 1}, PadsEnd: []int{1, 1, 1}, Groups: 3, InChannels: 3, OutChannels: 3}, 1, []int{4, 7, 9}},
	{"4-d", Conv{Kernel: []int{2, 1, 2, 3}, PadsBegin: []int{1, 0, 0, 1}, PadsEnd: []int{0, 0, 1, 1}, InChannels: 2, OutChannels: 3}, 1, []int{3, 2, 3, 5}},
	{"0-d is a matrix product", Conv{Kernel: []int{}, InChannels: 4, OutChannels: 3}, 3, []int{}},
	{"kernel as large as the map", Conv{Kernel: []int{7, 7}, InChannels: 9, OutChannels: 4}, 2, []int{7, 7}},
	{"3x3 as Winograd tiles, whole ones", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 32, OutChannels: 33}, 2, []int{28, 28}},
	{"3x3 as Winograd tiles, cut ones", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 35, OutChannels: 24}, 1, []int{38, 75}},
	{"3x3 as Winograd tiles, uneven pads", Conv{Kernel: []int{3, 3}, PadsBegin: []int{0, 2}, PadsEnd: []int{3, 0}, InChannels: 24, OutChannels: 24}, 1, []int{30, 130}},
	{"3x3 as Winograd tiles, negative pads", Conv{Kernel: []int{3, 3}, PadsBegin: []int{-1, -2}, PadsEnd: []int{1, 5}, InChannels: 24, OutChannels: 24}, 1, []int{31, 67}},
	{"3x3 as Winograd tiles, deep", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 300, OutChannels: 16}, 1, []int{20, 28}},
	{"3x3 as Winograd tiles, several bands", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 32, OutChannels: 32}, 1, []int{50, 200}},
	{"batch of none", Conv{Kernel: []int{3, 3}, InChannels: 2, OutChannels: 3}, 0, []int{5, 5}},
	{"no output", Conv{Kernel: []int{3, 3}, InChannels: 2, OutChannels: 3}, 1, []int{2, 5}},
	{"empty input in padding", Conv{Kernel: []int{3, 3}, PadsBegin: []int{2, 2}, PadsEnd: []int{2, 2}, InChannels: 2, OutChannels: 3}, 1, []int{0, 4}},
	{"no input channels", Conv{Kernel: []int{3, 3}, InChannels: 0, OutChannels: 3}, 1, []int{5, 5}},
	{"no output channels", Conv{Kernel: []int{3, 3}, InChannels: 3, OutChannels: 0}, 1, []int{5, 5}},
}

func TestConvAgreesWithItsDefinition(t *testing.T) {
	for _, c := range convCases {
		t.Run(c.name, func(t *testing.T) { checkConv(t, c.conv, c.n, c.in) })
	}
}

func checkConv(t *testing.T, c Conv, n int, in []int) {
	groups := max(c.Groups, 1)
	weights := randomSlice(1, c.OutChannels*c.InChannels/groups*volume(c.Kernel))
	bias := randomSlice(2, c.OutChannels)
	x := randomSlice(3, n*c.InChannels*volume(in))
	out, err := c.OutSpatial(in)
	must(t, err)
	want := make([]float32, n*c.OutChannels*volume(out))
	must(t, ConvReference(c, weights, bias, x, n, in, want, Activation{}))
	residual, rectified := randomSlice(4, len(want)), make([]float32, len(want))
	for i := range want {
		rectified[i] = max(want[i]+residual[i], 0)
	}
	// The definition, too, rounds each of its sums: by about the root of their
	// number times the size of the result.
	terms := c.InChannels / groups * volume(c.Kernel)
	tolerance := 2e-5 * max(1, float64(terms)/1000)

	inEveryTier(t, func(t *testing.T) {
		plan, err := NewConv(c, weights, bias)
		must(t, err)
		tolerance := tolerance
		if _, transformed := plan.path.(*winogradPath); transformed {
			tolerance *= 4
		}
		got := make([]float32, len(want))
		for i := range got {
			got[i] = 1e30 // whatever was in the buffer must not matter
		}
		must(t, plan.Run(nil, x, n, in, got, Activation{}))
		closeTo(t, got, want, tolerance)
		threads(t, func(p *Pool) {
			again := make([]float32, len(got))
			must(t, plan.Run(p, x, n, in, again, Activation{}))
			sameBits(t, again, got)
		})
		inPlace := append([]float32(nil), residual...)
		must(t, plan.RunAdd(nil, x, n, in, inPlace, inPlace, Activation{Kind: Relu}))
		closeTo(t, inPlace, rectified, tolerance)
	})
}

func TestExactRulesOutTransforms(t *testing.T) {
	c := Conv{Kernel: []int{3, 3}, InChannels: 16, OutChannels: 16, Exact: true}
	inEveryTier(t, func(t *testing.T) {
		plan, err := NewConv(c, make([]float32, 9*16*16), nil)
		must(t, err)
		if _, transformed := plan.path.(*winogradPath); transformed {
			t.Error("an exact convolution is transformed")
		}
	})
}

func TestConvReferenceByHand(t *testing.T) {
	// 1x1x3x3 input 1..9, 2x2 kernel of ones, pads 1 at the begin: computed by hand.
	x := []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}
	y := make([]float32, 9)
	c := Conv{Kernel: []int{2, 2}, PadsBegin: []int{1, 1}, InChannels: 1, OutChannels: 1}
	must(t, ConvReference(c, []float32{1, 1, 1, 1}, []float32{10}, x, 1, []int{3, 3}, y, Activation{}))
	closeTo(t, y, []float32{11, 13, 15, 15, 22, 26, 21, 34, 38}, 0)
}

func TestConvRefusesWhatDoesNotFit(t *testing.T) {
	bad := []Conv{
		{Kernel: []int{3, 3}, Strides: []int{1}, InChannels: 1, OutChannels: 1},
		{Kernel: []int{3, 3}, Strides: []int{0, 1}, InChannels: 1, OutChannels: 1},
		{Kernel: []int{3, 3}, Groups: 2, InChannels: 3, OutChannels: 2},
	}
	for _, c := range bad {
		if _, err := NewConv(c, make([]float32, 9), nil); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
	if _, err := NewConv(Conv{Kernel: []int{3}, InChannels: 1, OutChannels: 1}, make([]float32, 4), nil); err == nil {
		t.Error("too many weights are accepted")
	}
}

func TestConvTransposeAgreesWithItsDefinition(t *testing.T) {
	cases := []struct {
		name string
		conv ConvTranspose
		n    int
		in   []int
	}{
		{"2x2 stride 2", ConvTranspose{Kernel: []int{2, 2}, Strides: []int{2, 2}, InChannels: 5, OutChannels: 7}, 2, []int{9, 11}},
		{"3x3 stride 2, output padding", ConvTranspose{Kernel: []int{3, 3}, Strides: []int{2, 2}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, OutputPadding: []int{1, 1}, InChannels: 6, OutChannels: 4}, 1, []int{9, 40}},
		{"many positions", ConvTranspose{Kernel: []int{4, 4}, Strides: []int{2, 2}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 6, OutChannels: 40}, 1, []int{40, 41}},
		{"groups, dilations", ConvTranspose{Kernel: []int{3, 2}, Dilations: []int{2, 3}, Groups: 2, InChannels: 6, OutChannels: 4}, 2, []int{5, 6}},
		{"depthwise", ConvTranspose{Kernel: []int{4, 4}, Strides: []int{2, 2}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, Groups: 6, InChannels: 6, OutChannels: 6}, 1, []int{5, 6}},
		{"asymmetric pads that cut rows off", ConvTranspose{Kernel: []int{2, 2}, Strides: []int{3, 3}, PadsBegin: []int{2, 4}, PadsEnd: []int{5, 0}, InChannels: 2, OutChannels: 3}, 1, []int{5, 6}},
		{"1-d", ConvTranspose{Kernel: []int{5}, Strides: []int{3}, PadsBegin: []int{1}, PadsEnd: []int{2}, InChannels: 3, OutChannels: 4}, 2, []int{20}},
		{"3-d", ConvTranspose{Kernel: []int{2, 3, 2}, Strides: []int{2, 1, 2}, PadsBegin: []int{0, 1, 0}, PadsEnd: []int{1, 1, 0}, InChannels: 3, OutChannels: 4}, 1, []int{3, 4, 5}},
		{"no images", ConvTranspose{Kernel: []int{2, 2}, InChannels: 3, OutChannels: 4}, 0, []int{3, 4}},
		{"no input channels", ConvTranspose{Kernel: []int{2, 2}, InChannels: 0, OutChannels: 4}, 1, []int{3, 4}},
		{"no input", ConvTranspose{Kernel: []int{2, 2}, InChannels: 2, OutChannels: 4}, 1, []int{3, 0}},
	}
	inEveryTier(t, func(t *testing.T) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) { checkConvTranspose(t, c.conv, c.n, c.in) })
		}
	})
}

func checkConvTranspose(t *testing.T, c ConvTranspose, n int, in []int) {
	groups := max(c.Groups, 1)
	weights := randomSlice(1, c.InChannels*c.OutChannels/groups*volume(c.Kernel))
	bias := randomSlice(2, c.OutChannels)
	x := randomSlice(3, n*c.InChannels*volume(in))
	out, err := c.OutSpatial(in)
	must(t, err)
	size := n * c.OutChannels * volume(out)
	want, got := make([]float32, size), make([]float32, size)
	must(t, ConvTransposeReference(c, weights, bias, x, n, in, want, Activation{Kind: LeakyRelu, Alpha: 0.1}))
	plan, err := NewConvTranspose(nil, c, weights, bias)
	must(t, err)
	must(t, plan.Run(nil, x, n, in, got, Activation{Kind: LeakyRelu, Alpha: 0.1}))
	closeTo(t, got, want, 2e-5)
	threads(t, func(p *Pool) {
		again := make([]float32, size)
		must(t, plan.Run(p, x, n, in, again, Activation{Kind: LeakyRelu, Alpha: 0.1}))
		sameBits(t, again, got)
	})
}

func TestConvTransposeByHand(t *testing.T) {
	// Two inputs 1 and 2, kernel 1 10 100, stride 2: 1 10 100+2 20 200.
	y := make([]float32, 5)
	c := ConvTranspose{Kernel: []int{3}, Strides: []int{2}, InChannels: 1, OutChannels: 1}
	must(t, ConvTransposeReference(c, []float32{1, 10, 100}, nil, []float32{1, 2}, 1, []int{2}, y, Activation{}))
	closeTo(t, y, []float32{1, 10, 102, 20, 200}, 0)
}

func BenchmarkConv(b *testing.B) {
	cases := []struct {
		name string
		conv Conv
		in   []int
	}{
		{"3x3 64ch 56x56", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 64, OutChannels: 64}, []int{56, 56}},
		{"3x3 64ch 56x56 exact", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 64, OutChannels: 64, Exact: true}, []int{56, 56}},
		{"3x3 stride 2 64ch 56x56", Conv{Kernel: []int{3, 3}, Strides: []int{2, 2}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 64, OutChannels: 128}, []int{56, 56}},
		{"3x3 256ch 14x14 exact", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 256, OutChannels: 256, Exact: true}, []int{14, 14}},
		{"3x3 512ch 7x7 exact", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 512, OutChannels: 512, Exact: true}, []int{7, 7}},
		{"7x7 stride 2 3ch 224x224", Conv{Kernel: []int{7, 7}, Strides: []int{2, 2}, PadsBegin: []int{3, 3}, PadsEnd: []int{3, 3}, InChannels: 3, OutChannels: 64}, []int{224, 224}},
		{"1x1 256ch 28x28", Conv{Kernel: []int{1, 1}, InChannels: 256, OutChannels: 256}, []int{28, 28}},
		{"1x1 24to144 56x56", Conv{Kernel: []int{1, 1}, InChannels: 24, OutChannels: 144}, []int{56, 56}},
		{"depthwise 3x3 144ch 56x56", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, Groups: 144, InChannels: 144, OutChannels: 144}, []int{56, 56}},
		{"depthwise 3x3 stride 2 144ch 56x56", Conv{Kernel: []int{3, 3}, Strides: []int{2, 2}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, Groups: 144, InChannels: 144, OutChannels: 144}, []int{56, 56}},
		{"depthwise 5x5 240ch 28x28", Conv{Kernel: []int{5, 5}, PadsBegin: []int{2, 2}, PadsEnd: []int{2, 2}, Groups: 240, InChannels: 240, OutChannels: 240}, []int{28, 28}},
		{"depthwise 3x3 512ch 14x14", Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, Groups: 512, InChannels: 512, OutChannels: 512}, []int{14, 14}},
	}
	benchmarkTiers(b, func(b *testing.B) {
		for _, c := range cases {
			b.Run(c.name, func(b *testing.B) { benchmarkConv(b, c.conv, c.in) })
		}
	})
}

func benchmarkConv(b *testing.B, c Conv, in []int) {
	taps := c.InChannels / max(c.Groups, 1) * volume(c.Kernel)
	out, _ := c.OutSpatial(in)
	plan, err := NewConv(c, randomSlice(1, c.OutChannels*taps), randomSlice(2, c.OutChannels))
	if err != nil {
		b.Fatal(err)
	}
	x, y := randomSlice(3, c.InChannels*volume(in)), make([]float32, c.OutChannels*volume(out))
	for b.Loop() {
		if err := plan.Run(nil, x, 1, in, y, Activation{Kind: Relu}); err != nil {
			b.Fatal(err)
		}
	}
	reportFlops(b, 2*len(y)*taps)
}

// benchmarkTiers runs a benchmark under every tier but the reference.
func benchmarkTiers(b *testing.B, f func(b *testing.B)) {
	before := Tier()
	defer func() { _ = SetTier(before) }()
	for _, name := range Tiers()[1:] {
		_ = SetTier(name)
		b.Run(name, f)
	}
}

func reportFlops(b *testing.B, perRun int) {
	b.ReportMetric(float64(perRun)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

func BenchmarkGemm(b *testing.B) {
	benchmarkTiers(b, func(b *testing.B) {
		for _, n := range []int{128, 1024} {
			b.Run(fmt.Sprint(n), func(b *testing.B) {
				x, y, z := randomSlice(1, n*n), randomSlice(2, n*n), make([]float32, n*n)
				for b.Loop() {
					Gemm(nil, false, false, n, n, n, 1, x, n, y, n, 0, z, n)
				}
				reportFlops(b, 2*n*n*n)
			})
		}
	})
}

func TestPlansRunFromManyGoroutines(t *testing.T) {
	c := Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: 24, OutChannels: 24}
	plan, err := NewConv(c, randomSlice(1, 9*24*24), nil)
	must(t, err)
	in := []int{28, 28}
	p := NewPool(3)
	defer p.Close()
	outputs := make([][]float32, 6)
	var runs sync.WaitGroup
	for i := range outputs {
		runs.Go(func() {
			outputs[i] = make([]float32, 24*28*28)
			if err := plan.Run(p, randomSlice(2, 24*28*28), 1, in, outputs[i], Activation{Kind: SiLU}); err != nil {
				t.Error(err)
			}
		})
	}
	runs.Wait()
	for _, y := range outputs[1:] {
		sameBits(t, y, outputs[0])
	}
}
