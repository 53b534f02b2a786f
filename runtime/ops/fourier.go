package ops

// DFT and STFT. A signal's transform runs in complex128: radix 2 for powers of two, and for other lengths Bluestein's
// algorithm, which makes a convolution of it whose length is a power of two.

import (
	"fmt"
	"math"
	mathbits "math/bits"
	"math/cmplx"
	"slices"

	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "DFT", buildDFT, 17, 20)
	Register("", "STFT", buildSTFT, 17)
}

// transform is a plan for signals of one length. It is not changed by use.
type transform struct {
	n       int
	sign    float64      // of the exponent: -1 forward, 1 inverse
	roots   []complex128 // exp(sign*2 pi i k/n), for powers of two
	chirp   []complex128 // exp(sign*pi i k^2/n), for other lengths
	filter  []complex128 // transform of the chirp's inverse, padded
	forward *transform   // of the padded length
	back    *transform
}

func newTransform(n int, inverse bool) *transform {
	t := &transform{n: n, sign: -1}
	if inverse {
		t.sign = 1
	}
	if n == 0 {
		return t
	}
	if n&(n-1) == 0 {
		t.roots = make([]complex128, n/2)
		for k := range t.roots {
			t.roots[k] = cmplx.Rect(1, t.sign*2*math.Pi*float64(k)/float64(n))
		}
		return t
	}
	t.chirp = make([]complex128, n)
	for k := range t.chirp {
		t.chirp[k] = cmplx.Rect(1, t.sign*math.Pi*float64(k*k%(2*n))/float64(n))
	}
	padded := 1 << mathbits.Len(uint(2*n-2))
	t.forward, t.back = newTransform(padded, false), newTransform(padded, true)
	t.filter = make([]complex128, padded)
	for k, c := range t.chirp {
		t.filter[k] = cmplx.Conj(c)
		t.filter[(padded-k)%padded] = cmplx.Conj(c)
	}
	t.forward.run(t.filter)
	return t
}

// run replaces x by its transform, without scaling.
func (t *transform) run(x []complex128) {
	if t.chirp == nil {
		t.radix2(x)
		return
	}
	padded := make([]complex128, len(t.filter))
	for k, c := range t.chirp {
		padded[k] = x[k] * c
	}
	t.forward.run(padded)
	for k, f := range t.filter {
		padded[k] *= f
	}
	t.back.run(padded)
	scale := complex(1/float64(len(padded)), 0)
	for k, c := range t.chirp {
		x[k] = padded[k] * c * scale
	}
}

func (t *transform) radix2(x []complex128) {
	shift := 64 - mathbits.Len(uint(t.n-1))
	for i := range x {
		if j := int(mathbits.Reverse64(uint64(i)) >> shift); t.n > 1 && i < j {
			x[i], x[j] = x[j], x[i]
		}
	}
	for half := 1; half < t.n; half *= 2 {
		step := t.n / (2 * half)
		for base := 0; base < t.n; base += 2 * half {
			for k := range half {
				a, b := x[base+k], x[base+k+half]*t.roots[k*step]
				x[base+k], x[base+k+half] = a+b, a-b
			}
		}
	}
}

// dft is a DFT node.
type dft struct {
	axis              int // where no input gives it
	inverse, onesided bool
}

func buildDFT(n *Node) (Kernel, error) {
	d := &dft{inverse: n.Bool("inverse", false), onesided: n.Bool("onesided", false), axis: -2}
	most := 3
	if n.Since < 20 {
		d.axis, most = int(n.Int("axis", 1)), 2
	}
	return byFloat(fourier[float32](d), fourier[float64](d)), n.CheckInputs(1, most)
}

// lines tells how signals lie in a tensor: along an axis of shape, whose last axis holds real and imaginary parts.
type lines struct {
	outer, length, inner, parts int
}

func (d *dft) lines(in []*value.Tensor) (axis int, l lines, err error) {
	shape := in[0].Shape
	axis = d.axis
	if len(in) > 2 && in[2] != nil {
		v, ok := in[2].Ints()
		if !ok || len(v) != 1 {
			return 0, l, fmt.Errorf("axis is %v", in[2])
		}
		axis = int(v[0])
	}
	if axis < 0 {
		axis += len(shape)
	}
	if axis < 0 || axis >= len(shape)-1 {
		return 0, l, fmt.Errorf("axis %d for an input of shape %v, whose last axis holds the parts of numbers", axis, shape)
	}
	l = lines{outer: product(shape[:axis]), length: shape[axis], inner: product(shape[axis+1 : len(shape)-1]), parts: shape[len(shape)-1]}
	if l.parts != 1 && l.parts != 2 {
		return 0, l, fmt.Errorf("the last axis of an input of shape %v is not 1 or 2", shape)
	}
	return axis, l, nil
}

// length is that of the transform.
func (d *dft) length(in []*value.Tensor, l lines) (int, error) {
	if len(in) > 1 && in[1] != nil {
		v, ok := in[1].Ints()
		if !ok || len(v) != 1 || v[0] < 1 || v[0] > 1<<30 {
			return 0, fmt.Errorf("dft_length is %v", in[1])
		}
		return int(v[0]), nil
	}
	if d.inverse && d.onesided {
		return max(1, 2*(l.length-1)), nil
	}
	return l.length, nil
}

func fourier[T kernels.Float](d *dft) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		axis, l, err := d.lines(in)
		if err != nil {
			return nil, err
		}
		n, err := d.length(in, l)
		if err != nil {
			return nil, err
		}
		if d.onesided && !d.inverse && l.parts == 2 {
			return nil, fmt.Errorf("a onesided transform of complex numbers (input of shape %v) is not defined", in[0].Shape)
		}
		xs, err := floatElements[T](in[0])
		if err != nil {
			return nil, err
		}
		shape := slices.Clone(in[0].Shape)
		shape[axis], shape[len(shape)-1] = n, 2
		switch {
		case d.onesided && d.inverse: // the result is real
			shape[len(shape)-1] = 1
		case d.onesided:
			shape[axis] = n/2 + 1
		}
		y, err := newFloatOutput[T](c, in[0].Type, shape...)
		if err != nil {
			return nil, err
		}
		plan, kept, parts := newTransform(n, d.inverse), shape[axis], shape[len(shape)-1]
		c.Pool.Do(l.outer*l.inner, max(1, 2048/max(1, n)), func(lo, hi int) {
			line := make([]complex128, n)
			for i := lo; i < hi; i++ {
				outer, inner := i/l.inner, i%l.inner
				clear(line)
				for k := range min(n, l.length) {
					line[k] = lineElement(l, xs, outer, k, inner)
				}
				if d.onesided && d.inverse {
					mirror(line)
				}
				plan.run(line)
				for k, v := range line[:kept] {
					if d.inverse {
						v /= complex(float64(n), 0)
					}
					at := ((outer*kept+k)*l.inner + inner) * parts
					y.data[at] = T(real(v))
					if parts == 2 {
						y.data[at+1] = T(imag(v))
					}
				}
			}
		})
		return []*value.Tensor{y.done()}, nil
	}
}

// lineElement is element k of a line.
func lineElement[T kernels.Float](l lines, x []T, outer, k, inner int) complex128 {
	at := ((outer*l.length+k)*l.inner + inner) * l.parts
	if l.parts == 1 {
		return complex(float64(x[at]), 0)
	}
	return complex(float64(x[at]), float64(x[at+1]))
}

// mirror fills the upper half of a spectrum so that its signal is real; what it had there is lost.
func mirror(line []complex128) {
	n := len(line)
	for k := n/2 + 1; k < n; k++ {
		line[k] = cmplx.Conj(line[n-k])
	}
	line[0] = complex(real(line[0]), 0)
	if n%2 == 0 {
		line[n/2] = complex(real(line[n/2]), 0)
	}
}

func buildSTFT(n *Node) (Kernel, error) {
	onesided := n.Bool("onesided", true)
	return byFloat(shortTime[float32](onesided), shortTime[float64](onesided)), n.CheckInputs(2, 4)
}

// shortTime reads signal (batch x length x 1 or 2), frame_step, window and frame_length.
func shortTime[T kernels.Float](onesided bool) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		shape := x.Shape
		if len(shape) == 2 {
			shape = append(slices.Clone(shape), 1)
		}
		if len(shape) != 3 || shape[2] != 1 && shape[2] != 2 {
			return nil, fmt.Errorf("signal of shape %v, want batch, length, and 1 or 2", x.Shape)
		}
		if onesided && shape[2] == 2 {
			return nil, fmt.Errorf("a onesided transform of complex numbers (signal of shape %v) is not defined", x.Shape)
		}
		window, err := optionalFloats[T](in, 2)
		if err != nil {
			return nil, err
		}
		step, frame, err := frameSizes(in, shape[1], window == nil)
		if err != nil {
			return nil, err
		}
		xs, err := floatElements[T](x)
		if err != nil {
			return nil, err
		}
		frames, kept := 0, frame
		if shape[1] >= frame {
			frames = 1 + (shape[1]-frame)/step
		}
		if onesided {
			kept = frame/2 + 1
		}
		y, err := newFloatOutput[T](c, x.Type, shape[0], frames, kept, 2)
		if err != nil {
			return nil, err
		}
		plan := newTransform(frame, false)
		l := lines{length: shape[1], inner: 1, parts: shape[2]}
		c.Pool.Do(shape[0]*frames, max(1, 2048/frame), func(lo, hi int) {
			line := make([]complex128, frame)
			for i := lo; i < hi; i++ {
				for k := range line {
					line[k] = lineElement(l, xs, i/frames, i%frames*step+k, 0)
					if window != nil {
						line[k] *= complex(float64(window[k]), 0)
					}
				}
				plan.run(line)
				for k, v := range line[:kept] {
					y.data[2*(i*kept+k)], y.data[2*(i*kept+k)+1] = T(real(v)), T(imag(v))
				}
			}
		})
		return []*value.Tensor{y.done()}, nil
	}
}

// frameSizes reads frame_step and the length of a frame, which is that of the window where there is one.
func frameSizes(in []*value.Tensor, length int, noWindow bool) (step, frame int, err error) {
	read := func(i int) (int, error) {
		v, ok := in[i].Ints()
		if !ok || len(v) != 1 || v[0] < 1 || v[0] > 1<<30 {
			return 0, fmt.Errorf("input %d is %v, want one positive number", i, in[i])
		}
		return int(v[0]), nil
	}
	if step, err = read(1); err != nil {
		return 0, 0, err
	}
	frame = length
	if len(in) > 3 && in[3] != nil {
		if frame, err = read(3); err != nil {
			return 0, 0, err
		}
	} else if !noWindow {
		frame = in[2].Len()
	}
	if !noWindow && in[2].Len() != frame {
		return 0, 0, fmt.Errorf("window of shape %v for frames of %d", in[2].Shape, frame)
	}
	if frame < 1 {
		return 0, 0, fmt.Errorf("frames of %d", frame)
	}
	return step, frame, nil
}
