package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/labstar/labstar/action"
)

// BuildError is an action that failed.
type BuildError struct {
	Action   *action.Action
	Site     []action.Frame // the line of the script that it is about
	EndCol   int            // where what it is about ends on that line, 0 if not known
	Err      error
	Points   []Point  // the errors that Err joins, if they are about several places
	ExitCode int      // of a command, 0 if it is not that
	LogPath  string   // of the file that holds all it printed
	LogTail  []string // its last lines
}

// Point is one of several errors of an action, and what it is about.
type Point struct {
	action.Place
	Err error
}

func (e *BuildError) Error() string {
	var b strings.Builder
	if len(e.Site) > 0 {
		fmt.Fprintf(&b, "%s: ", e.Site[0])
	}
	fmt.Fprintf(&b, "%s: %v", e.Action.Title, e.Err)
	return b.String()
}

func (e *BuildError) Unwrap() error { return e.Err }

// point finds the values of the script that the errors of an op are about. An only
// error is told there; of several, each has a Point, and the line in its message.
func (e *BuildError) point(ctx context.Context) {
	leaves := leavesOf(e.Err)
	parts := make([]*action.PartError, len(leaves))
	var names []string
	for i, leaf := range leaves {
		if errors.As(leaf, &parts[i]) {
			names = append(names, parts[i].Part)
		}
	}
	if len(names) == 0 {
		return
	}
	places := e.Action.Places(ctx, names)
	if len(places) == 0 {
		return
	}
	if len(leaves) == 1 {
		p := places[parts[0].Part]
		e.Site, e.EndCol = p.Site, p.EndCol
		return
	}
	var rest []error // of the action as a whole
	for i, leaf := range leaves {
		p := action.Place{}
		if parts[i] != nil {
			p = places[parts[i].Part]
		}
		if p.Site == nil {
			rest = append(rest, leaf)
			continue
		}
		parts[i].At = &p.Site[0]
		e.Points = append(e.Points, Point{p, parts[i].Err})
	}
	if rest != nil {
		e.Points = append(e.Points, Point{action.Place{Site: e.Action.Site}, errors.Join(rest...)})
	}
}

// leavesOf takes joined errors apart.
func leavesOf(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, leavesOf(e)...)
	}
	return list
}
