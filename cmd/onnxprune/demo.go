package main

import (
	"github.com/urfave/cli/v2"

	"onnxprune"
)

func demo(c *cli.Context, t *terminal) error {
	return &onnxprune.UsageError{Msg: "demo"}
}
