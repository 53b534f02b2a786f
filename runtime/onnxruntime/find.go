// Where the shared library may be: named by the environment, brought by npm, or installed on the system.

package onnxruntime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// PathVariable is the environment variable that names the shared library.
const PathVariable = "ONNXRUNTIME_LIB"

// ErrNotFound says that no ONNX Runtime is installed where [Find] looks.
var ErrNotFound = errors.New("libonnxruntime not found: get it by `npm i --ignore-scripts onnxruntime-node@1.30.0` in the working directory or a parent of it, or name the file in " + PathVariable)

// Find looks for the shared library: where the variable ONNXRUNTIME_LIB says; else in node_modules of the working
// directory and of its parents; else in the system's library folders. It loads nothing. When the variable is set
// and the file is not there, that is an error of its own and not [ErrNotFound].
func Find() (string, error) {
	if named := os.Getenv(PathVariable); named != "" {
		if !isFile(named) {
			return "", fmt.Errorf("%s=%s: no such file", PathVariable, named)
		}
		return filepath.Abs(named)
	}
	working, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for libonnxruntime: %w", err)
	}
	folders := append(npmFolders(working), systemFolders()...)
	for _, folder := range folders {
		for _, name := range fileNames() {
			if path := filepath.Join(folder, name); isFile(path) {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("%w (looked into %s)", ErrNotFound, strings.Join(folders, ", "))
}

// npmFolders are the places of the npm package onnxruntime-node, from folder upward.
func npmFolders(folder string) []string {
	architecture := runtime.GOARCH
	if architecture == "amd64" {
		architecture = "x64" // as Node.js calls it
	}
	inside := filepath.Join("node_modules", "onnxruntime-node", "bin", "napi-v6", runtime.GOOS, architecture)
	var list []string
	for {
		list = append(list, filepath.Join(folder, inside))
		parent := filepath.Dir(folder)
		if parent == folder {
			return list
		}
		folder = parent
	}
}

func systemFolders() []string {
	if runtime.GOOS == "darwin" {
		return []string{"/usr/local/lib", "/opt/homebrew/lib", "/opt/local/lib"}
	}
	list := []string{"/usr/local/lib", "/usr/local/lib64", "/usr/lib", "/usr/lib64", "/opt/onnxruntime/lib"}
	switch runtime.GOARCH {
	case "amd64":
		list = append(list, "/usr/lib/x86_64-linux-gnu")
	case "arm64":
		list = append(list, "/usr/lib/aarch64-linux-gnu")
	}
	return list
}

func fileNames() []string {
	if runtime.GOOS == "darwin" {
		return []string{"libonnxruntime.1.dylib", "libonnxruntime.dylib"}
	}
	return []string{"libonnxruntime.so.1", "libonnxruntime.so"}
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
