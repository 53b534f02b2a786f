package kernels

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// lineTransforms reads B' (6 x 6) and A' (4 x 6) out of a tier's assembly, by unit
// vectors, and fails unless both dimensions are transformed alike.
func lineTransforms(t *testing.T, w *winogradTransforms) (b, a [6][6]*big.Rat) {
	exact := func(v float32) *big.Rat { return new(big.Rat).SetFloat64(float64(v)) }
	pitch := w.lanes + 1
	planeSize := 2*pitch + w.lanes
	scratch := make([]float32, 36*w.lanes)
	tile := func(row, column int) []float32 {
		x, v := make([]float32, 16*planeSize), make([]float32, 36*w.lanes)
		x[(row%4*4+column%4)*planeSize+row/4*pitch+column/4] = 1
		w.input(&v[0], 4*w.lanes, &x[0], 4*planeSize, 4*pitch, &scratch[0])
		return v
	}
	products := func(element int) []float32 {
		m, y := make([]float32, 36*w.lanes), make([]float32, 16*w.lanes)
		m[element*w.lanes] = 1
		w.output(&y[0], 4*w.lanes, &m[0], 4*w.lanes, &scratch[0], 0, float32(math.Inf(-1)), float32(math.Inf(1)))
		return y
	}
	corner := float32(math.Sqrt(float64(tile(0, 0)[0]))) // the square of B'[0][0]
	for k := range 6 {
		for i := range 6 {
			b[i][k] = new(big.Rat).Quo(exact(tile(k, 0)[6*i*w.lanes]), exact(corner))
			a[i][k] = new(big.Rat)
		}
		for i := range 4 {
			a[i][k] = exact(products(6 * k)[4*i*w.lanes]) // A'[0][0] is 1
		}
	}
	for row := range 6 {
		for column := range 6 {
			v, y := tile(row, column), products(6*row+column)
			for i := range 6 {
				for j := range 6 {
					if want := new(big.Rat).Mul(b[i][row], b[j][column]); exact(v[(6*i+j)*w.lanes]).Cmp(want) != 0 {
						t.Fatalf("input %d,%d in element %d,%d is %v, want %v", row, column, i, j, v[(6*i+j)*w.lanes], want)
					}
					if i > 3 || j > 3 {
						continue
					}
					if want := new(big.Rat).Mul(a[i][row], a[j][column]); exact(y[(4*i+j)*w.lanes]).Cmp(want) != 0 {
						t.Fatalf("element %d,%d in output %d,%d is %v, want %v", row, column, i, j, y[(4*i+j)*w.lanes], want)
					}
				}
			}
		}
	}
	return b, a
}

// The identity of F(4,3) in rational numbers: output i has weight j at input i+j and nothing else. It fixes G, given
// A' and B', which the assembly holds exactly.
func TestWinogradTransformsAreExact(t *testing.T) {
	inEveryTier(t, func(t *testing.T) {
		w := current.Load().winograd
		if w == nil {
			t.Skip("this tier has no transform")
		}
		b, a := lineTransforms(t, w)
		points := []*big.Rat{new(big.Rat), big.NewRat(5, 8), big.NewRat(-5, 8), big.NewRat(3, 2), big.NewRat(-3, 2)}
		var g [6][3]*big.Rat // rows 1, x, x^2 over the product of the distances from the other points
		for k, x := range points {
			scale := big.NewRat(1, 1)
			for other, p := range points {
				if other != k {
					scale.Mul(scale, new(big.Rat).Sub(x, p))
				}
			}
			for j, power := range []*big.Rat{big.NewRat(1, 1), x, new(big.Rat).Mul(x, x)} {
				g[k][j] = new(big.Rat).Quo(power, scale)
			}
		}
		g[5] = [3]*big.Rat{new(big.Rat), new(big.Rat), big.NewRat(1, 1)}
		for i := range 4 {
			for j := range 3 {
				for l := range 6 {
					sum := new(big.Rat)
					for k := range 6 {
						term := new(big.Rat).Mul(a[i][k], g[k][j])
						sum.Add(sum, term.Mul(term, b[k][l]))
					}
					want := new(big.Rat)
					if l == i+j {
						want.SetInt64(1)
					}
					if sum.Cmp(want) != 0 {
						t.Errorf("output %d takes weight %d times input %d %v times, want %v", i, j, l, sum, want)
					}
				}
			}
		}
		for j := range 3 {
			unit := [3]float64{}
			unit[j] = 1
			for k, v := range transformLine(unit[0], unit[1], unit[2]) {
				if want, _ := g[k][j].Float64(); math.Abs(v-want) > 1e-15*math.Abs(want) {
					t.Errorf("G[%d][%d] is %v, want %v", k, j, v, g[k][j])
				}
			}
		}
	})
}

// Errors are relative to the root mean square of the result, which is that of a convolution in float64.
func TestWinogradLosesLessThanADigit(t *testing.T) {
	for _, channels := range []int{64, 256, 512} {
		c := Conv{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}, InChannels: channels, OutChannels: 16}
		in := []int{32, 32}
		r := rand.New(rand.NewPCG(uint64(channels), 3))
		normal := func(n int) []float32 {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			return x
		}
		weights, x := normal(9*channels*16), normal(channels*32*32)
		for i := range x {
			x[i] = max(x[i], 0) // what a network's layer hands on
		}
		want := make([]float64, 16*32*32)
		for o := range 16 {
			for ch := range channels {
				for tap := range 9 {
					weight := float64(weights[(o*channels+ch)*9+tap])
					for row := range 32 {
						from := row + tap/3 - 1
						if from < 0 || from > 31 {
							continue
						}
						for column := range 32 {
							if at := column + tap%3 - 1; at >= 0 && at < 32 {
								want[(o*32+row)*32+column] += weight * float64(x[(ch*32+from)*32+at])
							}
						}
					}
				}
			}
		}
		t.Run(fmt.Sprint(channels, " channels"), func(t *testing.T) {
			inEveryTier(t, func(t *testing.T) {
				var errors [2]float64
				for i, exact := range []bool{true, false} {
					c.Exact = exact
					plan, err := NewConv(c, weights, nil)
					must(t, err)
					if _, transformed := plan.path.(*winogradPath); !exact && !transformed {
						t.Skip("this tier has no transform")
					}
					got := make([]float32, len(want))
					must(t, plan.Run(nil, x, 1, in, got, Activation{}))
					var square, size, worst float64
					for j, w := range want {
						d := float64(got[j]) - w
						square, size, worst = square+d*d, size+w*w, max(worst, math.Abs(d))
					}
					errors[i] = math.Sqrt(square / size)
					t.Logf("exact %v: L2 %.2g, largest %.2g", exact, errors[i], worst/math.Sqrt(size/float64(len(want))))
				}
				if errors[1] > 1.5e-6 || errors[1] > 6*errors[0] {
					t.Errorf("relative error %.2g, the matrix product has %.2g", errors[1], errors[0])
				}
			})
		})
	}
}
