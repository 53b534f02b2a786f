package verify

import (
	"bytes"
	"slices"
	"unsafe"

	"onnxprune/runtime/value"
)

// Values sums up the comparison of the values inside of the models.
type Values struct {
	Compared  int    `json:"compared"`  // how many values both models compute and were compared
	Identical int    `json:"identical"` // of these: the same bit by bit
	Beside    int    `json:"beside"`    // computed by both, but numbers about shapes, or of shapes that can not be related
	Worst     *Inner `json:"worst,omitempty"`
	// Noisy are those that differ by more than the tolerance, and no more than rounding does, as it was measured.
	Noisy []Inner `json:"noisy,omitempty"`
	// Differ are those that differ by more, in the order in which the model computes them: the first is where to look.
	Differ []Inner `json:"differ,omitempty"`
}

// Inner is the comparison of a value inside of the models: the parts of an Output that mean something there.
type Inner struct {
	Node     string  `json:"node"` // that computes it
	Name     string  `json:"name"`
	Shape    []int   `json:"shape"`
	MaxAbs   float64 `json:"max_abs"`
	Axis     int     `json:"axis"`
	Slice    int     `json:"slice"`
	Range    float64 `json:"range"`
	NeedRTol float64 `json:"need_rtol"`
	Noise    float64 `json:"noise,omitempty"`
	Problem  string  `json:"problem,omitempty"`
}

func innerOf(o Output) Inner {
	return Inner{o.node, o.Name, o.Shape, o.MaxAbs, o.Axis, o.Slice, o.Range, o.NeedRTol, o.Noise, o.Problem}
}

// walk compares the values of all runs.
type walk struct {
	limits    tolerance
	reference *network
	kept      map[string]map[int][]int // see Options.Kept
	sized     map[string]bool          // numbers about shapes
	unequal   map[string]bool          // values that hang on a difference of the models

	order    []string // of the values as they were first compared
	inner    map[string]*inner
	replaced bool // in this run: a value that was not the same bit by bit
	telling  bool // a value that hangs on a difference, and is not empty or zero
}

// inner is what is known of one value.
type inner struct {
	compared, identical int    // runs
	worst               Output // of the runs in which it passes
	failed              map[int]*Output
}

// judge compares a value, and returns what the candidate goes on with, nil for its own.
func (w *walk) judge(run int, name string, want, got value.Value) value.Value {
	v := w.inner[name]
	if v == nil {
		v = &inner{failed: map[int]*Output{}}
		w.inner[name] = v
		w.order = append(w.order, name)
	}
	ref := counterpart(want, w.kept[name])
	if !sameShape(ref, got) {
		return nil
	}
	w.telling = w.telling || w.unequal[name] && !hollow(ref)
	if identical(ref, got) {
		v.compared++
		v.identical++
		return nil
	}
	o := w.limits.judge(name, ref, got)
	if w.sized[name] && !o.Pass {
		return nil
	}
	v.compared++
	w.replaced = true
	if n := w.reference.makers[name]; n != nil {
		o.node = title(n)
	}
	if o.Pass {
		o.ranges, o.most = nil, nil
		if v.compared == 1 || worse(o, v.worst) {
			v.worst = o
		}
	} else {
		v.failed[run] = &o
	}
	if ref == want {
		ref = value.Clone(ref)
	}
	return ref
}

// open lists the values that differ by more than they may, for reasons that rounding could explain.
func (w *walk) open() map[string]bool {
	out := map[string]bool{}
	for name, v := range w.inner {
		for _, o := range v.failed {
			if !o.Pass && !o.hard {
				out[name] = true
			}
		}
	}
	return out
}

// values sums up.
func (w *walk) values() Values {
	const most = 20 // values to list
	var out Values
	var far *Output
	for _, name := range w.order {
		v := w.inner[name]
		if v.compared == 0 {
			out.Beside++
			continue
		}
		out.Compared++
		if v.compared == v.identical {
			out.Identical++
			continue
		}
		worst := v.worst
		for _, run := range sortedKeys(v.failed) {
			if o := *v.failed[run]; worst.Name == "" || worse(o, worst) {
				worst = o
			}
		}
		if worst.Name == "" { // numbers about shapes that differ in one run
			continue
		}
		if far == nil || worse(worst, *far) {
			far = &worst
		}
		switch {
		case !worst.Pass && len(out.Differ) < most:
			out.Differ = append(out.Differ, innerOf(worst))
		case worst.Pass && worst.Noise > 0 && len(out.Noisy) < most:
			out.Noisy = append(out.Noisy, innerOf(worst))
		}
	}
	if far != nil {
		i := innerOf(*far)
		out.Worst = &i
	}
	return out
}

// sized lists the values that are computed from shapes alone, like the target of a Reshape: they may differ, because
// shapes do. What they are used for is compared.
func (w *network) sized() map[string]bool {
	out := map[string]bool{}
	for grew := true; grew; {
		grew = false
		for _, n := range w.nodes {
			about := n.OpType == "Shape" || n.OpType == "Size"
			if !about {
				for _, r := range w.reads[n] {
					if about = about || out[r]; !out[r] && !w.constant[r] {
						about = false
						break
					}
				}
			}
			for _, o := range n.Outputs {
				if about && o != "" && !out[o] {
					out[o], grew = true, true
				}
			}
		}
	}
	return out
}

// counterpart is a value of the reference without the channels that were removed. Where they can not be taken out it is nil.
func counterpart(v value.Value, keep map[int][]int) value.Value {
	t, ok := v.(*value.Tensor)
	if len(keep) == 0 || !ok {
		return v
	}
	for axis, k := range keep {
		if axis >= len(t.Shape) || len(k) == 0 || k[len(k)-1] >= t.Shape[axis] {
			return nil
		}
	}
	for _, axis := range sortedKeys(keep) {
		t = take(t, axis, keep[axis])
	}
	return t
}

// take returns the slices of an axis that are listed.
func take(t *value.Tensor, axis int, keep []int) *value.Tensor {
	shape := slices.Clone(t.Shape)
	shape[axis] = len(keep)
	out := &value.Tensor{Type: t.Type, Shape: shape}
	n, inner := t.Shape[axis], value.Count(t.Shape[axis+1:])
	switch d := t.Data.(type) {
	case []float32:
		out.Data = taken(d, n, inner, keep)
	case []float64:
		out.Data = taken(d, n, inner, keep)
	case []int8:
		out.Data = taken(d, n, inner, keep)
	case []int16:
		out.Data = taken(d, n, inner, keep)
	case []int32:
		out.Data = taken(d, n, inner, keep)
	case []int64:
		out.Data = taken(d, n, inner, keep)
	case []uint8:
		out.Data = taken(d, n, inner, keep)
	case []uint16:
		out.Data = taken(d, n, inner, keep)
	case []uint32:
		out.Data = taken(d, n, inner, keep)
	case []uint64:
		out.Data = taken(d, n, inner, keep)
	case []bool:
		out.Data = taken(d, n, inner, keep)
	case []string:
		out.Data = taken(d, n, inner, keep)
	case []complex64:
		out.Data = taken(d, n, inner, keep)
	case []complex128:
		out.Data = taken(d, n, inner, keep)
	}
	return out
}

func taken[T value.Elem](d []T, n, inner int, keep []int) []T {
	out := make([]T, 0, len(d)/max(1, n)*len(keep))
	for at := 0; at < len(d); at += n * inner {
		for _, k := range keep {
			out = append(out, d[at+k*inner:at+(k+1)*inner]...)
		}
	}
	return out
}

// sameShape reports whether two values are of the same kind, with tensors of the same shapes.
func sameShape(a, b value.Value) bool {
	switch a := a.(type) {
	case *value.Tensor:
		b, ok := b.(*value.Tensor)
		return ok && b != nil && slices.Equal(a.Shape, b.Shape)
	case *value.Sequence:
		b, ok := b.(*value.Sequence)
		return ok && slices.EqualFunc(a.Items, b.Items, sameShape)
	case *value.Optional:
		b, ok := b.(*value.Optional)
		return ok && (a.Value == nil) == (b.Value == nil) && (a.Value == nil || sameShape(a.Value, b.Value))
	}
	return false
}

// identical reports whether two values of the same shape have the same bits.
func identical(a, b value.Value) bool {
	x, ok1 := a.(*value.Tensor)
	y, ok2 := b.(*value.Tensor)
	if !ok1 || !ok2 || x.Type != y.Type {
		return false
	}
	switch d := x.Data.(type) {
	case []float32:
		return sameBits(d, y.Data.([]float32))
	case []float64:
		return sameBits(d, y.Data.([]float64))
	case []int8:
		return slices.Equal(d, y.Data.([]int8))
	case []int32:
		return slices.Equal(d, y.Data.([]int32))
	case []int64:
		return slices.Equal(d, y.Data.([]int64))
	case []uint8:
		return slices.Equal(d, y.Data.([]uint8))
	case []uint16:
		return slices.Equal(d, y.Data.([]uint16))
	case []bool:
		return slices.Equal(d, y.Data.([]bool))
	case []string:
		return slices.Equal(d, y.Data.([]string))
	}
	return false
}

func sameBits[T float32 | float64](a, b []T) bool {
	size := int(unsafe.Sizeof(T(0)))
	raw := func(d []T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(d))), len(d)*size) }
	return bytes.Equal(raw(a), raw(b))
}

// hollow reports whether a value is empty, or zero everywhere.
func hollow(v value.Value) bool {
	t, ok := v.(*value.Tensor)
	if !ok {
		return false
	}
	if d, ok := t.Data.([]float32); ok {
		return !slices.ContainsFunc(d, func(v float32) bool { return v != 0 })
	}
	d, ok := float64s(t)
	return ok && !slices.ContainsFunc(d, func(v float64) bool { return v != 0 })
}
