// Package option holds the error of options that can not be worked with. Options are checked where they are used; whoever calls, a
// program or the command line, learns from the error's type that the call is wrong and not the model.
package option

import "fmt"

// Error says that an option has a value that it can not have.
type Error struct{ Msg string }

func (e *Error) Error() string { return e.Msg }

// Errorf makes an Error.
func Errorf(format string, args ...any) error { return &Error{fmt.Sprintf(format, args...)} }
