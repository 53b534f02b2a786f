package shape

import "onnxprune/onnxio"

// learning is what is known of ai.onnx.ml: feature operators that keep or pick along axes. The outputs of
// classifiers and regressors depend on tables in attributes, and stay as declared.
var learning = &family{"ai.onnx.ml", []entry{
	{"Binarizer", 1, same}, {"Scaler", 1, sameAs(onnxio.Float)}, {"Normalizer", 1, sameAs(onnxio.Float)}, {"Imputer", 1, same},
	{"LabelEncoder", 1, labelEncoder}, {"ArrayFeatureExtractor", 1, arrayFeatures},
}}

// labelEncoder keeps the shape; the type is that of the table of values.
func labelEncoder(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	elem := onnxio.Undefined
	for _, a := range c.node.Attrs {
		switch a.Name {
		case "values_strings":
			elem = onnxio.String
		case "values_int64s":
			elem = onnxio.Int64
		case "values_floats":
			elem = onnxio.Float
		case "values_tensor":
			if a.Tensor != nil {
				elem = a.Tensor.DataType
			}
		case "classes_strings": // version 1 maps to and fro
			if elem = onnxio.String; c.in(0).Elem == onnxio.String {
				elem = onnxio.Int64
			}
		}
	}
	c.outShape(0, elem, c.in(0))
	return nil
}

// arrayFeatures picks along the last axis; a vector comes out as one row.
func arrayFeatures(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	x, index := c.in(0), c.in(1)
	count, ok := index.Len()
	if !x.Known || len(x.Dims) == 0 || !ok {
		c.outUnknown(0, x.Elem)
		return nil
	}
	out := cloneDims(x.Dims)
	if out[len(out)-1] = count; len(out) == 1 {
		out = []Dim{Const(1), count}
	}
	c.out(0, x.Elem, out)
	return nil
}
