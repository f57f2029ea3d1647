package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/term"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/stdlib"
)

// failure is a failed action, taken apart for people and programs.
type failure struct {
	action  *action.Action // nil if the error is not of one
	site    []action.Frame
	endCol  int             // of what it is about, 0 if not known
	points  []labstar.Point // if it is about several places
	message string
	hint    string // what to do
	exit    int
	log     string
	tail    []string
}

func newFailure(err error) failure {
	var b *labstar.BuildError
	if !errors.As(err, &b) {
		return failure{message: err.Error()}
	}
	message, hint := splitHint(b.Err)
	return failure{action: b.Action, site: b.Site, endCol: b.EndCol, points: b.Points, message: message, hint: hint, exit: b.ExitCode, log: b.LogPath, tail: b.LogTail}
}

// splitHint parts an error's message from the hint that it ends with, or that is
// known for it.
func splitHint(err error) (message, hint string) {
	message, hint, _ = strings.Cut(err.Error(), "\n  hint: ")
	if strings.Contains(hint, "\n") {
		return err.Error(), hintFor(err)
	}
	if hint == "" {
		hint = hintFor(err)
	}
	return message, hint
}

// reportFailure tells what failed: the action, the line of the script, the last
// lines of its log, where the rest is, and how to look inside.
func (a *app) reportFailure(err error) {
	t, f := a.term, newFailure(err)
	var b strings.Builder
	if f.action == nil {
		fmt.Fprintf(&b, "%s %s", t.Red("error:"), cleanLines(f.message))
		a.say("%s", b.String())
		return
	}
	b.WriteString(a.headline(f))
	if len(f.tail) > 0 {
		b.WriteString("  its last lines:\n")
		for _, line := range f.tail {
			fmt.Fprintf(&b, "    %s %s\n", t.Dim("|"), term.Clean(line))
		}
	}
	if f.log != "" {
		fmt.Fprintf(&b, "  all of them: %s\n", f.log)
	}
	if target := a.targetOf(f.action); f.action.Op == action.Exec && target != "" {
		fmt.Fprintf(&b, "  to look inside: labstar run --debug %s %s\n", a.file, target)
	}
	a.say("%s", strings.TrimSuffix(b.String(), "\n"))
}

// cleanLines is term.Clean for several lines; those after the first are indented.
func cleanLines(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = term.Clean(lines[i])
	}
	return strings.Join(lines, "\n  ")
}

// headline tells what failed, with the line of the script and the calls that led
// there, as an error of the script is told; each error at its own, if there are several.
func (a *app) headline(f failure) string {
	title := term.Clean(f.action.Title) + " failed: "
	if len(f.site) == 0 {
		return a.term.Red(cleanLines(title+f.message)) + "\n"
	}
	var es host.Errors
	for _, p := range f.points {
		message, hint := splitHint(p.Err)
		es = append(es, a.errorAt(p.Place, title+message, hint))
	}
	if es == nil {
		es = host.Errors{a.errorAt(action.Place{Site: f.site, EndCol: f.endCol}, title+f.message, f.hint)}
	}
	var b strings.Builder
	es.Render(&b, a.term.Color)
	return b.String()
}

// errorAt makes an error about a place in the script.
func (a *app) errorAt(p action.Place, msg, hint string) *host.Error {
	at := p.Site[0]
	e := &host.Error{File: at.File, Line: at.Line, Col: at.Col, EndCol: p.EndCol, Msg: msg, Hint: hint, Stack: p.Site[1:]}
	e.Source, _ = a.sourceLine(at)
	if e.EndCol == 0 {
		e.EndCol = e.Col + identLen(e.Source, e.Col)
	}
	return e
}

// identLen is the length of the name at column col of line, 1-based.
func identLen(line string, col int) int {
	runes := []rune(line)
	n := 0
	for i := col - 1; i >= 0 && i < len(runes) && (unicode.IsLetter(runes[i]) || unicode.IsDigit(runes[i]) || runes[i] == '_'); i++ {
		n++
	}
	return n
}

// sourceLine reads one line of a script or of the standard library.
func (a *app) sourceLine(f action.Frame) (string, bool) {
	var content []byte
	var err error
	switch path, ok := strings.CutPrefix(f.File, "@stdlib//"); {
	case ok:
		content, err = fs.ReadFile(stdlib.FS, path)
	case strings.HasPrefix(f.File, "@"):
		return "", false
	default:
		content, err = os.ReadFile(filepath.Join(filepath.Dir(a.file), filepath.FromSlash(f.File)))
	}
	if err != nil {
		return "", false
	}
	lines := strings.SplitN(string(content), "\n", f.Line+1)
	if f.Line < 1 || f.Line > len(lines) {
		return "", false
	}
	return strings.TrimRight(lines[f.Line-1], "\r"), true
}

// targetOf returns the target that the action makes, else one that needs it.
func (a *app) targetOf(failed *action.Action) string {
	for _, t := range a.targets {
		for _, item := range t.Items {
			if item.Artifact.Action == failed {
				return t.Name
			}
		}
	}
	for _, t := range a.targets {
		seen := map[*action.Action]bool{}
		for _, item := range t.Items {
			if needs(item.Artifact.Action, failed, seen) {
				return t.Name
			}
		}
	}
	return ""
}

func needs(from, to *action.Action, seen map[*action.Action]bool) bool {
	if from == to {
		return true
	}
	if seen[from] {
		return false
	}
	seen[from] = true
	found := false
	from.Deps(func(in *action.Artifact) {
		found = found || needs(in.Action, to, seen)
	})
	return found
}
