package testmodels

import (
	"fmt"
	"maps"
	"slices"

	"onnxprune/onnxio"
)

// Attrs are a node's attributes by name. A value is an int, int64, bool, float32, float64, string, a list
// of one of these, a *onnxio.Tensor, a *onnxio.Graph or the Builder of a body, a *onnxio.Type, or a Ref.
type Attrs map[string]any

// Ref stands, inside a function, for an attribute of the function's call.
type Ref struct {
	Name string
	Type onnxio.AttrType
}

// attributes turns the maps into attributes, sorted by name: a map has no order, a file has.
func attributes(op string, list []Attrs) []*onnxio.Attribute {
	all := Attrs{}
	for _, as := range list {
		maps.Copy(all, as)
	}
	var out []*onnxio.Attribute
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a := attribute(name, all[name])
		if a == nil {
			panic(fmt.Sprintf("testmodels: attribute %q of node %s has a value of type %T", name, op, all[name]))
		}
		out = append(out, a)
	}
	return out
}

func attribute(name string, v any) *onnxio.Attribute {
	switch v := v.(type) {
	case int:
		return onnxio.NewInt(name, int64(v))
	case int64:
		return onnxio.NewInt(name, v)
	case onnxio.DataType:
		return onnxio.NewInt(name, int64(v))
	case bool:
		if v {
			return onnxio.NewInt(name, 1)
		}
		return onnxio.NewInt(name, 0)
	case float32:
		return onnxio.NewFloat(name, v)
	case float64:
		return onnxio.NewFloat(name, float32(v))
	case string:
		return onnxio.NewString(name, v)
	case []int:
		return onnxio.NewInts(name, int64s(v)...)
	case []int64:
		return onnxio.NewInts(name, v...)
	case []float32:
		return onnxio.NewFloats(name, v...)
	case []float64:
		fs := make([]float32, len(v))
		for i := range v {
			fs[i] = float32(v[i])
		}
		return onnxio.NewFloats(name, fs...)
	case []string:
		return onnxio.NewStrings(name, v...)
	case *onnxio.Tensor:
		return onnxio.NewTensorAttr(name, v)
	case *onnxio.Graph:
		return onnxio.NewGraphAttr(name, v)
	case *Builder:
		return onnxio.NewGraphAttr(name, v.graph)
	case *onnxio.Type:
		return onnxio.NewTypeAttr(name, v)
	case Ref:
		return onnxio.NewRef(name, v.Type, v.Name)
	}
	return nil
}

func int64s(v []int) []int64 {
	out := make([]int64, len(v))
	for i := range v {
		out[i] = int64(v[i])
	}
	return out
}
