package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestTheOperatorTableIsUpToDate(t *testing.T) {
	got, err := os.ReadFile(filepath.Join("..", "..", "docs", "operators.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, render(collect())) {
		t.Error("docs/operators.md is stale: run go generate ./cmd/operators")
	}
}

// Channel analysis says something of every operator that shape inference or the runtime knows, be it only why nothing passes.
func TestEveryKnownOperatorHasAChannelRule(t *testing.T) {
	for _, o := range collect() {
		if o.channels == "" {
			t.Errorf("%s %s has no channel rule", o.domain, o.name)
		}
	}
}

func TestRowsJoinTheThreeTables(t *testing.T) {
	for _, o := range collect() {
		if o.domain != "" || o.name != "LayerNormalization" {
			continue
		}
		if !o.shape || !o.runtime || o.inexact == "" || !slices.Contains(o.versions, 17) {
			t.Errorf("LayerNormalization is %+v", o)
		}
		return
	}
	t.Error("there is no LayerNormalization")
}
