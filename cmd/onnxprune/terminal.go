package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// terminal is where results and progress go. Colours and progress show only where a person watches.
type terminal struct {
	out, err    io.Writer
	colour, bar bool
	all         bool // tables of a report are printed as a whole
}

func newTerminal(out, err io.Writer) *terminal {
	return &terminal{out: out, err: err, colour: watched(out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb", bar: watched(err)}
}

func watched(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (t *terminal) json(v any) error {
	e := json.NewEncoder(t.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

func (t *terminal) printf(format string, args ...any) { fmt.Fprintf(t.out, format, args...) }

func (t *terminal) paint(s string, c text.Color) string {
	if !t.colour {
		return s
	}
	return c.Sprint(s)
}

func (t *terminal) title(s string) { t.printf("\n%s\n", t.paint(s, text.Bold)) }

// column says how a column of a table is set.
type column struct {
	name  string
	right bool
}

// table prints rows under a header, without frames: it can be read, and cut by other tools. The last column is not padded.
func (t *terminal) table(columns []column, rows [][]string) {
	w := table.NewWriter()
	s := table.StyleDefault
	s.Options = table.OptionsNoBordersAndSeparators
	s.Options.SeparateHeader = true
	s.Box = table.StyleBoxDefault
	s.Box.MiddleHorizontal, s.Box.MiddleSeparator = "-", "-"
	s.Box.PaddingLeft, s.Box.PaddingRight = "", "  "
	s.Format.Header = text.FormatDefault
	w.SetStyle(s)
	w.SuppressTrailingSpaces()
	header, configs := table.Row{}, []table.ColumnConfig{}
	for i, c := range columns {
		header = append(header, c.name)
		k := table.ColumnConfig{Number: i + 1}
		if c.right {
			k.Align, k.AlignHeader = text.AlignRight, text.AlignRight
		}
		configs = append(configs, k)
	}
	w.AppendHeader(header)
	w.SetColumnConfigs(configs)
	for _, r := range rows {
		row := table.Row{}
		for _, cell := range r {
			row = append(row, cell)
		}
		w.AppendRow(row)
	}
	t.printf("%s\n", w.Render())
}

// progress returns what follows the stages of a prune, and the steps of its comparison, on a terminal; nil elsewhere.
func (t *terminal) progress(quiet bool) (stage func(string), step func(done, total int, what string), end func()) {
	if !t.bar || quiet {
		return nil, nil, func() {}
	}
	bar := progressbar.NewOptions(-1, progressbar.OptionSetWriter(t.err), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(20),
		progressbar.OptionShowCount(), progressbar.OptionEnableColorCodes(t.colour))
	stage = func(name string) { bar.Describe(name) }
	step = func(done, total int, what string) {
		if total > 0 && bar.GetMax() != total {
			bar.ChangeMax(total)
		}
		bar.Describe(what)
		_ = bar.Set(done)
	}
	return stage, step, func() { _ = bar.Finish(); _ = bar.Clear() }
}

// pictures returns what follows passes over pictures, with the time that is left, on a terminal; nil elsewhere.
func (t *terminal) pictures(quiet bool) (begin func(what string, n int), step, end func()) {
	if !t.bar || quiet {
		return nil, nil, func() {}
	}
	var bar *progressbar.ProgressBar
	end = func() {
		if bar != nil {
			_ = bar.Finish()
			_ = bar.Clear()
		}
	}
	begin = func(what string, n int) {
		end()
		bar = progressbar.NewOptions(n, progressbar.OptionSetWriter(t.err), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(20),
			progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("pictures"), progressbar.OptionSetPredictTime(true),
			progressbar.OptionEnableColorCodes(t.colour), progressbar.OptionSetDescription(what))
	}
	return begin, func() { _ = bar.Add(1) }, end
}

// thousands writes a number with thin groups of three digits: 20 116 812 001.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 && s[i-1] != '-' {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}

func percent(before, after int64) string {
	if before == 0 {
		return ""
	}
	return fmt.Sprintf("%+.1f %%", 100*float64(after-before)/float64(before))
}

// list names the first few of many.
func list(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func dims[T any](shape []T) string {
	s := make([]string, len(shape))
	for i, d := range shape {
		s[i] = fmt.Sprint(d)
	}
	return "[" + strings.Join(s, ",") + "]"
}
