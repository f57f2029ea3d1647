package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/internal/download"
	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/starlark/host"
)

// errReported is the error of a command that has told what went wrong already.
var errReported = errors.New("reported")

// errorEvent is an error of the script, or of the build as a whole.
type errorEvent struct {
	Event   string   `json:"event"` // "error"
	Message string   `json:"message"`
	File    string   `json:"file,omitempty"`
	Line    int      `json:"line,omitempty"`
	Col     int      `json:"col,omitempty"`
	EndCol  int      `json:"endcol,omitempty"`
	Hint    string   `json:"hint,omitempty"`
	Source  string   `json:"source,omitempty"` // the line of the script
	Stack   []string `json:"stack,omitempty"`  // the calls that led there, innermost first
}

// report tells an error that ended a command.
func (a *app) report(err error) {
	a.restore()
	if errors.Is(err, errReported) {
		return
	}
	if a.json {
		a.reportJSON(err)
		return
	}
	var script host.Errors
	if errors.As(err, &script) {
		script.Render(a.err, a.term.Color)
		return
	}
	if list := a.requestErrors(err); len(list) > 0 {
		list.Render(a.err, a.term.Color)
		return
	}
	fmt.Fprintf(a.err, "%s %s\n", a.term.Red("error:"), cleanLines(err.Error()))
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(a.err, "  %s %s\n", a.term.Cyan("hint:"), hint)
	}
}

func (a *app) reportJSON(err error) {
	for _, ev := range a.errorEvents(err) {
		_ = a.events.write(ev) // standard output is gone: nobody to tell
	}
	code := 1
	var exit *exitError
	if errors.As(err, &exit) {
		code = exit.code
	}
	_ = a.events.write(summaryEvent{Event: "summary", Command: a.command, Seconds: a.seconds(), Exit: code}) // as above
}

// errorEvents takes an error apart.
func (a *app) errorEvents(err error) []errorEvent {
	var script host.Errors
	if !errors.As(err, &script) {
		if script = a.requestErrors(err); len(script) == 0 {
			return []errorEvent{{Event: "error", Message: err.Error(), Hint: hintFor(err)}}
		}
	}
	var list []errorEvent
	for _, e := range script {
		list = append(list, scriptError(e))
	}
	return list
}

// requestErrors are those of what could not be pinned, as errors at the lines of
// the script that ask for it; nil if err is anything else.
func (a *app) requestErrors(err error) host.Errors {
	var request *lock.RequestError
	switch joined, several := err.(interface{ Unwrap() []error }); {
	case several:
		var list host.Errors
		for _, one := range joined.Unwrap() {
			found := a.requestErrors(one)
			if len(found) == 0 {
				return nil // something else failed too: tell all of it plainly
			}
			list = append(list, found...)
		}
		return list
	case !errors.As(err, &request) || len(request.Request.Site) == 0:
		return nil
	}
	f := request.Request.Site[0]
	e := &host.Error{File: f.File, Line: f.Line, Col: f.Col, Msg: request.Err.Error(), Hint: request.Hint, Stack: request.Request.Site[1:]}
	if e.Hint == "" {
		e.Hint = hintFor(request.Err)
	}
	e.Source, _ = a.sourceLine(f)
	e.EndCol = e.Col + identLen(e.Source, e.Col)
	return host.Errors{e}
}

// hintFor says what to do about errors whose remedy is this machine's.
func hintFor(err error) string {
	var fetch *download.Error
	if errors.As(err, &fetch) && !fetch.NotFound() {
		return "check the connection and the proxy (HTTPS_PROXY); `labstar doctor` tries the mirror"
	}
	return ""
}

func scriptError(e *host.Error) errorEvent {
	ev := errorEvent{Event: "error", Message: e.Msg, File: e.File, Line: e.Line, Col: e.Col, EndCol: e.EndCol, Hint: e.Hint, Source: e.Source}
	for _, f := range e.Stack {
		ev.Stack = append(ev.Stack, f.String())
	}
	return ev
}

// reportUsage tells what is wrong with the command line.
func (a *app) reportUsage(e *usageError) {
	help := "labstar help"
	if e.command != "" {
		help += " " + e.command
	}
	fmt.Fprintf(a.err, "%s %s\nrun `%s` for help\n", a.term.Red("labstar:"), e.msg, help)
}

// interrupted says the last word after Ctrl-C, once: the command may end in order while
// its time runs out.
func (a *app) interrupted() { a.ended.Do(a.sayInterrupted) }

func (a *app) sayInterrupted() {
	if a.json && a.events != nil {
		_ = a.events.write(summaryEvent{Event: "summary", Command: a.command, Seconds: a.seconds(), Exit: 130}) // standard output may be gone
		return
	}
	fmt.Fprintln(a.err, "interrupted")
}

// explainWants is the error of a lock that lacks what the script uses.
func explainWants(lab *labstar.Lab) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s lacks what the script uses:", labstar.LockFile)
	for i, w := range lab.Wants {
		if i == 10 {
			fmt.Fprintf(&b, "\n… and %d more", len(lab.Wants)-i)
			break
		}
		fmt.Fprintf(&b, "\n%s %s", w.Kind, w.Name)
		if len(w.Site) > 0 {
			fmt.Fprintf(&b, " (%s)", w.Site[0])
		}
	}
	b.WriteString("\nrun `labstar lock`, and keep the file with the script")
	return errors.New(b.String())
}
