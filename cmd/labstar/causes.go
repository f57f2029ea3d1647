package main

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/internal/term"
)

// changeEvent is one cause of a change.
type changeEvent struct {
	Event  string   `json:"event"` // "change"
	Target string   `json:"target"`
	Chain  []string `json:"chain"`
	What   []string `json:"what"`
	At     string   `json:"at,omitempty"`
}

func (a *app) changesJSON(changes []labstar.TargetChange) error {
	var err error
	for _, tc := range changes {
		for _, c := range tc.Causes {
			ev := changeEvent{Event: "change", Target: tc.Target, Chain: c.Chain, What: c.What}
			if c.Site != nil {
				ev.At = c.Site.String()
			}
			err = errors.Join(err, a.events.write(ev))
		}
	}
	return err
}

// printChanges prints each cause once, under the first target that has it,
// naming the others.
func (a *app) printChanges(w io.Writer, changes []labstar.TargetChange) {
	type group struct {
		cause   labstar.Cause
		targets []string
	}
	var groups []*group
	index := map[string]*group{}
	for _, tc := range changes {
		for _, c := range tc.Causes {
			key := strings.Join(c.What, "\n")
			if c.Site != nil {
				key += "\x00" + c.Site.String()
			}
			g := index[key]
			if g == nil {
				g = &group{cause: c}
				index[key] = g
				groups = append(groups, g)
			}
			if n := len(g.targets); n == 0 || g.targets[n-1] != tc.Target {
				g.targets = append(g.targets, tc.Target)
			}
		}
	}
	for _, g := range groups {
		a.printCause(w, strings.Join(g.targets, ", ")+": ", g.cause)
	}
}

// printCause prints what differs, with the line of the script and details.
func (a *app) printCause(w io.Writer, prefix string, c labstar.Cause) {
	t := a.outTerm
	if len(c.What) == 0 {
		return
	}
	what := term.Clean(c.What[0])
	if last := c.Chain[len(c.Chain)-1]; len(c.Chain) > 1 && !strings.Contains(what, last) && !strings.HasSuffix(last, path.Base(firstWord(what))) {
		what = term.Clean(last) + ": " + what
	}
	site := ""
	if c.Site != nil {
		site = t.Dim("  (" + c.Site.String() + ")")
	}
	fmt.Fprintf(w, "%s%s%s\n", t.Bold(prefix), what, site)
	for _, line := range c.What[1:] {
		line = term.Clean(line)
		switch {
		case strings.Contains(line, " + "):
			line = t.Green(line)
		case strings.Contains(line, " - "):
			line = t.Red(line)
		}
		fmt.Fprintf(w, "    %s\n", line)
	}
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return word
}
