package preprocess_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onnxprune/runtime/preprocess"
)

// The table of docs/data.md is that of the code.
func TestTheDocumentListsTheProfiles(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "data.md"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for _, p := range preprocess.Profiles {
		settings, err := preprocess.ParseSettings(p.Settings, preprocess.FromProfile, "")
		if err != nil {
			t.Fatal(err)
		}
		has := map[string]string{}
		for _, s := range settings {
			has[s.Key] = strings.ReplaceAll(s.Value, ":", ", ")
		}
		fit := has["fit"]
		for _, key := range []string{"fill", "share", "shorter", "longer"} {
			if has[key] != "" {
				fit += ", " + key + " " + has[key]
			}
		}
		row := fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s | %s | %s | %s |", p.Name, p.For, has["size"], fit, has["resample"], has["order"], has["scale"], has["mean"], has["std"])
		if !strings.Contains(text, row+"\n") {
			t.Errorf("docs/data.md lacks the row\n%s", row)
		}
		if !strings.Contains(text, p.Source) {
			t.Errorf("docs/data.md does not say that %s is from %s", p.Name, p.Source)
		}
	}
	for _, k := range preprocess.Keys {
		if !strings.Contains(text, "`"+k+"`") {
			t.Errorf("docs/data.md does not explain %s", k)
		}
	}
}
