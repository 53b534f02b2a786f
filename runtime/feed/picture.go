package feed

import (
	"fmt"
	"path/filepath"

	"onnxprune/onnxio"
	"onnxprune/runtime/picture"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
)

// readPicture reads a picture file for an input.
func readPicture(path string, in *onnxio.ValueInfo, shape []int, r preprocess.Recipe) (value.Value, string, error) {
	p, err := picture.Read(path)
	if err != nil {
		return nil, "", err
	}
	t, _, text, err := r.Tensor(p, in.Type, shape)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	return t, filepath.Base(path) + ": " + text, nil
}
