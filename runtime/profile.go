package runtime

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Timing is the time that a node, or all nodes of an operator, took in all runs so far.
type Timing struct {
	Path  string // of the node; "" for an operator
	Op    string
	Calls int64
	Total time.Duration // with the bodies of If, Loop, Scan and SequenceMap
	Self  time.Duration // without them
}

// Profile is where a session spent its time, the slowest first.
type Profile struct {
	Operators []Timing
	Nodes     []Timing
}

// PerRun returns the profile of one of n equal runs.
func (p Profile) PerRun(n int) Profile {
	divide := func(list []Timing) []Timing {
		out := slices.Clone(list)
		for i := range out {
			t := &out[i]
			t.Calls, t.Total, t.Self = t.Calls/int64(n), t.Total/time.Duration(n), t.Self/time.Duration(n)
		}
		return out
	}
	return Profile{divide(p.Operators), divide(p.Nodes)}
}

// ResetProfile begins the profile anew: what ran before is forgotten. No run may be going on.
func (s *Session) ResetProfile() {
	s.steps(func(st *step) {
		st.calls.Store(0)
		st.total.Store(0)
		st.self.Store(0)
	})
}

// steps visits the steps of the programs that are compiled.
func (s *Session) steps(f func(*step)) {
	s.mu.Lock()
	open := s.open
	s.mu.Unlock()
	for _, c := range []*compiled{s.frozen, open} {
		if c != nil {
			c.program.walk(f)
		}
	}
}

// Profile returns the times since the session was made, or since ResetProfile. Without Options.Profile it is empty.
func (s *Session) Profile() Profile {
	var p Profile
	if !s.options.Profile {
		return p
	}
	s.steps(func(st *step) {
		if n := st.calls.Load(); n > 0 {
			p.Nodes = append(p.Nodes, Timing{st.path, qualified(st.domain, st.op), n,
				time.Duration(st.total.Load()), time.Duration(st.self.Load())})
		}
	})
	at := map[string]int{}
	for _, n := range p.Nodes {
		i, ok := at[n.Op]
		if !ok {
			i = len(p.Operators)
			at[n.Op] = i
			p.Operators = append(p.Operators, Timing{Op: n.Op})
		}
		o := &p.Operators[i]
		o.Calls += n.Calls
		o.Total += n.Total
		o.Self += n.Self
	}
	bySelf := func(a, b Timing) int {
		return cmp.Or(cmp.Compare(b.Self, a.Self), cmp.Compare(a.Op, b.Op), cmp.Compare(a.Path, b.Path))
	}
	slices.SortFunc(p.Nodes, bySelf)
	slices.SortFunc(p.Operators, bySelf)
	return p
}

// Write prints a table of operators, and one of the slowest nodes, at most as many as given.
func (p Profile) Write(w io.Writer, nodes int) error {
	var sum time.Duration
	for _, o := range p.Operators {
		sum += o.Self
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	row := func(x Timing, name string) {
		share := 0.0
		if sum > 0 {
			share = 100 * float64(x.Self) / float64(sum)
		}
		fmt.Fprintf(t, "%.3f\t%.1f%%\t%d\t  %s\t\n", float64(x.Self)/float64(time.Millisecond), share, x.Calls, name)
	}
	fmt.Fprintf(t, "ms\tshare\tcalls\t  operator\t\n")
	for _, o := range p.Operators {
		row(o, o.Op)
	}
	fmt.Fprintf(t, "ms\tshare\tcalls\t  node\t\n")
	for _, n := range p.Nodes[:min(nodes, len(p.Nodes))] {
		row(n, n.Path+" ("+n.Op+")")
	}
	return t.Flush()
}
