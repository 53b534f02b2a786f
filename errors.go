package onnxprune

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"onnxprune/analysis/option"
	"onnxprune/analysis/selection"
	"onnxprune/onnxio"
	"onnxprune/runtime/dataset"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/verify"
)

// The exit codes of the command line tool. Every error of this package has one: see ExitCode.
const (
	ExitDone        = 0
	ExitInternal    = 1   // a fault of the tool, or the system failed while a file was written (a full disk)
	ExitUsage       = 2   // wrong flags or arguments, an output that can not be written
	ExitUnreadable  = 3   // the model, the plan or the data can not be read
	ExitRefused     = 4   // the request is refused: unknown or unprunable parameters, wrong ratios, a plan that does not fit
	ExitUnproven    = 5   // verification failed or could not run; nothing was written
	ExitInterrupted = 130 // stopped by an interrupt
)

// RequestError says that what was asked for can not be done, and why.
type RequestError = selection.RequestError

// UsageError says that the call itself is wrong: an option has a value that it can not have.
type UsageError = option.Error

// ModelError says that a file holds no model (or plan, or data) that can be worked with.
type ModelError struct {
	File string
	Err  error
}

func (e *ModelError) Error() string { return e.File + ": " + e.Err.Error() }

func (e *ModelError) Unwrap() error { return e.Err }

// VerifyError says that the pruned model could not be proven right. Report is nil where the comparison did not run.
type VerifyError struct {
	Msg    string
	Report *verify.Report
	Err    error // what kept it from running
}

func (e *VerifyError) Error() string { return e.Msg }

func (e *VerifyError) Unwrap() error { return e.Err }

func usage(format string, args ...any) error { return option.Errorf(format, args...) }

func refuse(format string, args ...any) error {
	return &RequestError{Msg: fmt.Sprintf(format, args...)}
}

// ExitCode returns the exit code that an error stands for.
func ExitCode(err error) int {
	var (
		use     *UsageError
		format  *onnxio.FormatError
		model   *ModelError
		request *RequestError
		proof   *VerifyError
		data    *dataset.Error
		picture *preprocess.ModelError
	)
	switch {
	case err == nil:
		return ExitDone
	case errors.Is(err, context.Canceled):
		return ExitInterrupted
	case errors.As(err, &use):
		return ExitUsage
	case errors.As(err, &proof): // before what kept it from running
		return ExitUnproven
	case errors.As(err, &request):
		return ExitRefused
	case errors.As(err, &format), errors.As(err, &model), errors.As(err, &data), errors.As(err, &picture):
		return ExitUnreadable
	}
	return ExitInternal
}

// Line returns an error's message as a single line.
func Line(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
