// Package patch applies unified diffs to trees.
//
// Parse reads what `diff -u`, `git diff` and `git format-patch` write: changed,
// created, deleted, renamed and copied files, modes, symlinks, and files that do
// not end in a newline. Tree applies them to an action.Edit:
//
//	files, err := patch.Parse(text, 1)
//	err = patch.Tree(ctx, edit, files, patch.Target{Content: env, Put: env.PutBlob, Log: env.Log()})
//
// A hunk has to match to the letter. It may have moved: the place nearest to
// where it says that matches is taken, as patch(1) does, and logged. Lines are
// never left out of the comparison ("fuzz"), since a patch that is applied in the
// wrong place by luck is worse than one that fails.
package patch

import "fmt"

// File is the change of one file.
type File struct {
	// Old and New are its names, stripped; "" where the patch says /dev/null.
	Old, New string
	// OldMode and NewMode are git's, as in 0100755; 0 if the patch gives none.
	OldMode, NewMode uint32
	// What happens besides the hunks.
	Create, Delete, Rename, Copy bool
	Hunks                        []Hunk
	Line                         int // where in the patch it begins, from 1
}

// Name is how the file is called in messages.
func (f *File) Name() string {
	if f.New != "" {
		return f.New
	}
	return f.Old
}

// Hunk is one contiguous change.
type Hunk struct {
	OldStart, OldLines int // from 1; 0 for a file that is not there
	NewStart, NewLines int
	Lines              []Line
	At                 int // where in the patch it begins, from 1
}

// Line is one line of a hunk with its line end, if it has one.
type Line struct {
	Op   byte // ' ', '-' or '+'
	Text string
}

// side returns the lines of the old (-) or new (+) side.
func (h *Hunk) side(op byte) []string {
	var lines []string
	for _, l := range h.Lines {
		if l.Op == ' ' || l.Op == op {
			lines = append(lines, l.Text)
		}
	}
	return lines
}

// Git's file types, the upper bits of a mode.
const (
	modeType    = 0o170000
	modeRegular = 0o100000
	modeSymlink = 0o120000
	modeGitlink = 0o160000
)

// SyntaxError is a patch that can't be read.
type SyntaxError struct {
	Line int // from 1
	Msg  string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("line %d of the patch: %s", e.Line, e.Msg) }

// HunkError is a hunk that does not fit its file.
type HunkError struct {
	File   string
	Hunk   int // from 1
	At     int // its line in the patch
	Reason string
}

func (e *HunkError) Error() string {
	return fmt.Sprintf("%s: hunk %d (line %d of the patch) %s", e.File, e.Hunk, e.At, e.Reason)
}
