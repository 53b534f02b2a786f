// Loading, describing, refusing, closing, on models of a node or two.

package onnxruntime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// doubled is y = x + x with a symbolic first dimension.
func doubled(elemType int32) []byte {
	return modelOf(
		[]message{nodeOf("Add", []string{"x", "x"}, []string{"y"})},
		[]message{valueOf("x", typeOf(elemType, "N", 3, ""))},
		[]message{valueOf("y", typeOf(elemType, "N", 3, ""))},
	)
}

func load(t *testing.T, model []byte) *Session {
	t.Helper()
	session, err := openLibrary(t).NewSessionFromBytes(model, Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

func TestASessionDescribesItsValues(t *testing.T) {
	session := load(t, doubled(Float16))
	want := []ValueInfo{{Name: "x", Kind: KindTensor, ElemType: Float16, Shape: []int64{-1, 3, -1}, Symbols: []string{"N", "", ""}}}
	if got := session.Inputs(); !reflect.DeepEqual(got, want) {
		t.Errorf("inputs are %#v, want %#v", got, want)
	}
	if got, want := session.Outputs()[0].String(), "y: float16[N,3,?]"; got != want {
		t.Errorf("output is %q, want %q", got, want)
	}
}

func TestALibraryKnowsItsVersion(t *testing.T) {
	if version := openLibrary(t).Version(); !strings.HasPrefix(version, "1.") {
		t.Errorf("version is %q", version)
	}
}

func TestALibraryIsLoadedOnce(t *testing.T) {
	first, second := openLibrary(t), openLibrary(t)
	if first != second {
		t.Error("two libraries for one path")
	}
}

func TestEveryOptimizationLevelGivesTheSum(t *testing.T) {
	lib := openLibrary(t)
	for _, level := range []OptimizationLevel{OptimizeAll, OptimizeExtended, OptimizeBasic, OptimizeNone} {
		session, err := lib.NewSessionFromBytes(doubled(Float), Options{Threads: 1, OptimizationLevel: level, Deterministic: true})
		if err != nil {
			t.Fatal(err)
		}
		got, err := session.Run(map[string]*Tensor{"x": FromFloat32([]int64{1, 3, 1}, []float32{1, 2, -3})}, []string{"y"})
		if err != nil {
			t.Fatal(err)
		}
		if y, err := got["y"].Float32s(); err != nil || !reflect.DeepEqual(y, []float32{2, 4, -6}) {
			t.Errorf("level %d gives %v, %v", level, y, err)
		}
		session.Close()
	}
}

func TestWhatCannotBeLoadedIsAnErrorInTheLibrarysWords(t *testing.T) {
	lib := openLibrary(t)
	unknown := modelOf(
		[]message{nodeOf("NoSuchOperator", []string{"x"}, []string{"y"})},
		[]message{valueOf("x", typeOf(Float, 1))}, []message{valueOf("y", typeOf(Float, 1))})
	whole := doubled(Float)
	for _, c := range []struct {
		name, says string
		model      []byte
	}{
		{"noise", "", []byte("this is not a model")},
		{"a model cut in half", "", whole[:len(whole)/2]},
		{"an unknown operator", "NoSuchOperator", unknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := lib.NewSessionFromBytes(c.model, Options{})
			var refusal *Error
			if !errors.As(err, &refusal) || refusal.Message == "" || !strings.Contains(refusal.Message, c.says) {
				t.Errorf("error is %v", err)
			}
		})
	}
	if _, err := lib.NewSessionFromBytes(nil, Options{}); err == nil {
		t.Error("no bytes are a model")
	}
	if _, err := lib.NewSession(filepath.Join(t.TempDir(), "absent.onnx"), Options{}); err == nil || !strings.Contains(err.Error(), "absent.onnx") {
		t.Errorf("a file that is not there gives %v", err)
	}
}

func TestAModelIsLoadedFromItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "doubled.onnx")
	if err := os.WriteFile(path, doubled(Float), 0o600); err != nil {
		t.Fatal(err)
	}
	session, err := openLibrary(t).NewSession(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestInputsThatDoNotFitAreErrors(t *testing.T) {
	session := load(t, doubled(Float))
	for _, c := range []struct {
		name, says string
		inputs     map[string]*Tensor
	}{
		{"an input is missing", "x", nil},
		{"an input is nil", "no tensor", map[string]*Tensor{"x": nil}},
		{"an unknown name", "z", map[string]*Tensor{"z": FromFloat32([]int64{1, 3, 1}, make([]float32, 3))}},
		{"a name with a zero byte", "zero byte", map[string]*Tensor{"x\x00": FromFloat32([]int64{1, 3, 1}, make([]float32, 3))}},
		{"another element type", "double", map[string]*Tensor{"x": FromFloat64([]int64{1, 3, 1}, make([]float64, 3))}},
		{"another size of a fixed dimension", "Expected: 3", map[string]*Tensor{"x": FromFloat32([]int64{1, 4, 1}, make([]float32, 4))}},
		{"too few elements", "want 12", map[string]*Tensor{"x": FromFloat32([]int64{1, 3, 1}, make([]float32, 2))}},
		{"a negative dimension", "negative", map[string]*Tensor{"x": FromFloat32([]int64{-1, 3, 1}, nil)}},
		{"a shape beyond all memory", "too large", map[string]*Tensor{"x": {Type: Float, Shape: []int64{1 << 40, 1 << 40, 1 << 40}}}},
		{"an unknown element type", "type 99", map[string]*Tensor{"x": {Type: 99}}},
		{"an empty sequence", "empty sequence", map[string]*Tensor{"x": {Sequence: []*Tensor{}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := session.Run(c.inputs, nil); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v, want one that says %q", err, c.says)
			}
		})
	}
	if _, err := session.Run(map[string]*Tensor{"x": FromFloat32([]int64{1, 3, 1}, make([]float32, 3))}, []string{"nowhere"}); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("an unknown output gives %v", err)
	}
}

func TestEmptyTensorsPass(t *testing.T) {
	session := load(t, doubled(Float))
	got, err := session.Run(map[string]*Tensor{"x": FromFloat32([]int64{0, 3, 2}, nil)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if y := got["y"]; !reflect.DeepEqual(y.Shape, []int64{0, 3, 2}) || len(y.Data) != 0 {
		t.Errorf("output is %v", y)
	}
}

func TestStringsPassWithEveryByte(t *testing.T) {
	session := load(t, modelOf(
		[]message{nodeOf("Identity", []string{"x"}, []string{"y"})},
		[]message{valueOf("x", typeOf(String, 4))}, []message{valueOf("y", typeOf(String, 4))}))
	want := []string{"", "a\x00b", "größer", strings.Repeat("long ", 1000)}
	got, err := session.Run(map[string]*Tensor{"x": FromStrings([]int64{4}, want)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got["y"].Strings, want) {
		t.Errorf("strings are %q", got["y"].Strings)
	}
}

func TestAnOptionalGivesItsValueOrAnErrorThatNamesTheOutput(t *testing.T) {
	typ := typeOf(Float, 2)
	optional := valueOf("maybe", message(nil).bytes(9, message(nil).bytes(1, typ)))
	x := valueOf("x", typ)

	full := load(t, modelOf([]message{nodeOf("Optional", []string{"x"}, []string{"maybe"})}, []message{x}, []message{optional}))
	if info := full.Outputs()[0]; info.Kind != KindOptional || info.ElemType != Float {
		t.Errorf("output is %v", info)
	}
	got, err := full.Run(map[string]*Tensor{"x": FromFloat32([]int64{2}, []float32{1, 2})}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if y, err := got["maybe"].Float32s(); err != nil || !reflect.DeepEqual(y, []float32{1, 2}) {
		t.Errorf("value is %v, %v", y, err)
	}

	// AttributeProto: name 1, tp 14, type 20 = TYPE_PROTO (13).
	attribute := message(nil).text(1, "type").bytes(14, typ).number(20, 13)
	empty := load(t, modelOf([]message{nodeOf("Optional", nil, []string{"maybe"}, attribute)}, nil, []message{optional}))
	if _, err := empty.Run(nil, nil); err == nil || !strings.Contains(err.Error(), `output "maybe": an optional without a value`) {
		t.Errorf("error is %v", err)
	}
}

func TestASessionRunsInManyGoroutinesWhileMemoryIsCollected(t *testing.T) {
	session := load(t, doubled(Int64))
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for round := range 50 {
				rows := int64(1 + (worker+round)%7)
				values := make([]int64, rows*3)
				for i := range values {
					values[i] = int64(worker*1000 + round + i)
				}
				if err := checkDoubled(session, rows, values); err != nil {
					t.Error(err)
					return
				}
				if round%10 == 0 {
					runtime.GC()
				}
			}
		})
	}
	group.Wait()
}

func checkDoubled(session *Session, rows int64, values []int64) error {
	got, err := session.Run(map[string]*Tensor{"x": FromInt64([]int64{rows, 3, 1}, values)}, nil)
	if err != nil {
		return err
	}
	y, err := got["y"].Int64s()
	if err != nil {
		return err
	}
	for i := range values {
		if y[i] != 2*values[i] {
			return fmt.Errorf("element %d of %d rows is %d, want %d", i, rows, y[i], 2*values[i])
		}
	}
	return nil
}

func TestAClosedSessionRefusesToRun(t *testing.T) {
	session := load(t, doubled(Float))
	for range 2 {
		if err := session.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := session.Run(map[string]*Tensor{"x": FromFloat32([]int64{1, 3, 1}, make([]float32, 3))}, nil); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("error is %v", err)
	}
}
