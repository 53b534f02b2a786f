// Looking for the library, and opening what is not one: these need no ONNX Runtime.

package onnxruntime

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// touch makes an empty file and gives its path.
func touch(t *testing.T, elements ...string) string {
	t.Helper()
	path := filepath.Join(elements...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheVariableNamesTheLibrary(t *testing.T) {
	want := touch(t, t.TempDir(), "mine.so")
	t.Setenv(PathVariable, want)
	if got, err := Find(); err != nil || got != want {
		t.Errorf("found %q, %v, want %q", got, err, want)
	}
}

func TestAVariableThatNamesNoFileIsAnErrorOfItsOwn(t *testing.T) {
	t.Setenv(PathVariable, filepath.Join(t.TempDir(), "absent.so"))
	if _, err := Find(); err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "absent.so") {
		t.Errorf("error is %v", err)
	}
}

func TestNpmModulesAreFoundFromAFolderBelow(t *testing.T) {
	architecture := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	if runtime.GOOS != "linux" || architecture == "" {
		t.Skipf("onnxruntime-node has no file for %s/%s that this test knows", runtime.GOOS, runtime.GOARCH)
	}
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	want := touch(t, root, "node_modules", "onnxruntime-node", "bin", "napi-v6", "linux", architecture, "libonnxruntime.so.1")
	below := filepath.Dir(touch(t, root, "a", "b", "file"))
	t.Setenv(PathVariable, "")
	t.Chdir(below)
	if got, err := Find(); err != nil || got != want {
		t.Errorf("found %q, %v, want %q", got, err, want)
	}
}

func TestNotFoundSaysHowToGetIt(t *testing.T) {
	t.Setenv(PathVariable, "")
	t.Chdir(t.TempDir())
	path, err := Find()
	if err == nil {
		t.Skipf("this system has an ONNX Runtime: %s", path)
	}
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "npm i --ignore-scripts onnxruntime-node@1.30.0") {
		t.Errorf("error is %v", err)
	}
}

func TestAFileThatIsNoLibraryIsAnError(t *testing.T) {
	path := touch(t, t.TempDir(), "libonnxruntime.so.1")
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v", err)
	}
}
