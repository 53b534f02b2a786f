package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"onnxprune"
	"onnxprune/analysis/selection"
)

// The flag package stops at the first argument that is no flag. reorder therefore brings the arguments into the order that it wants:
// command, flags, "--", files. Every flag is written --name=value, so that a value such as -1 stays a value.
func reorder(app *cli.App, args []string) ([]string, error) {
	var flags, rest []string
	values := flagValues(app, args)
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = append(rest, args[i+1:]...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			rest = append(rest, arg)
			continue
		}
		name, _, given := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		takes, known := values[name]
		switch {
		case !known:
			return nil, unknownFlag(arg, values)
		case !takes || given:
			flags = append(flags, "--"+strings.TrimLeft(arg, "-"))
		case i+1 == len(args):
			return nil, &onnxprune.UsageError{Msg: fmt.Sprintf("flag --%s needs a value", name)}
		default:
			i++
			flags = append(flags, "--"+name+"="+args[i])
		}
	}
	return command(app, flags, rest)
}

// asCommands are flags that stand for commands; print_params is PaddleSlim's.
var asCommands = map[string]string{"--print_params": "params", "--print_params=true": "params", "--version": "version"}

// command puts the command first.
func command(app *cli.App, flags, rest []string) ([]string, error) {
	if i := slices.IndexFunc(flags, func(f string) bool { return asCommands[f] != "" }); i >= 0 {
		rest = append([]string{asCommands[flags[i]]}, rest...)
		flags = slices.Delete(flags, i, i+1)
	}
	if len(rest) > 0 && rest[0] == "help" {
		rest, flags = rest[1:], []string{"--help"}
	}
	var out []string
	own := app.Flags
	if len(rest) > 0 {
		if c := app.Command(rest[0]); c != nil {
			out, rest, own = append(out, rest[0]), rest[1:], c.Flags
		}
	}
	for _, f := range flags {
		name, _, _ := strings.Cut(f[2:], "=")
		if name != "help" && name != "h" && !slices.ContainsFunc(own, func(o cli.Flag) bool { return slices.Contains(o.Names(), name) }) {
			where := "without a command"
			if len(out) > 0 {
				where = "with the command " + out[0]
			}
			return nil, &onnxprune.UsageError{Msg: fmt.Sprintf("flag --%s can not be used %s; see onnxprune %s", name, where, strings.Join(append(out, "--help"), " "))}
		}
	}
	out = append(out, flags...)
	return append(append(out, "--"), rest...), nil
}

// flagValues says of every flag, of all commands, whether it takes a value. Of flags that commands share a name of, that of the command that
// args names counts.
func flagValues(app *cli.App, args []string) map[string]bool {
	out := map[string]bool{"help": false, "h": false, "print_params": false, "version": false}
	add := func(flags []cli.Flag) {
		for _, f := range flags {
			_, is := f.(*cli.BoolFlag)
			for _, name := range f.Names() {
				out[name] = !is
			}
		}
	}
	add(app.Flags)
	for _, c := range app.Commands {
		add(c.Flags)
	}
	for _, a := range args {
		if c := app.Command(a); c != nil {
			add(c.Flags)
			break
		}
	}
	return out
}

func unknownFlag(arg string, values map[string]bool) error {
	var names []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
	msg := fmt.Sprintf("unknown flag %s", arg)
	if near := selection.Nearest(name, names, 1); len(near) > 0 {
		msg += fmt.Sprintf("; did you mean --%s?", near[0])
	}
	return &onnxprune.UsageError{Msg: msg + " (a file whose name begins with - goes after --)"}
}
