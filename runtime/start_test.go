package runtime_test

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Some releases of the packages below gorgonia panic when a program starts on a Go release that they do not know. Whether
// one of them slipped in shows only in a built program.
func TestABuiltProgramStarts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	program := filepath.Join(t.TempDir(), "tiny")
	if out, err := exec.Command("go", "build", "-o", program, "./testdata/tiny").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.Command(program)
	cmd.Env = []string{} // above all without the variable that silences the check
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "[0 2]\n" {
		t.Errorf("got %q, %v", out, err)
	}
}
