package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
)

// jsonSink writes events for programs: with --json, a command prints one JSON
// object a line on standard output, and nothing on standard error but what is
// wrong with the command line itself. The member "event" says what it tells:
//
//	print     the script printed "text"
//	lock      lab.lock changed: "kind", "name", "old", "new" ("" when added, removed)
//	plan      the build starts; "needed" actions were not found at once
//	cached    found by its key: "id", "title", "at"; "count" actions are settled by it
//	start     an action begins to run: "id", "title", "op", "at"
//	progress  a transfer: "id", "done" and "size" in bytes (size 0: not known); at
//	          most ten a second for an action
//	wait      another process builds it: "id", "title"
//	finish    it ran: "id", "title", "seconds", "outputs" (name, kind, digest, size); of a
//	          command with the compile cache "compiled": "hits" of "objects" came from it,
//	          "passed" command lines were not its own, "compared" hits were compiled again
//	fail      it failed: "id", "title", "at", "message", "exit" (of a command),
//	          "hint" (what to do), "log" (the file with all it printed), "tail" (its last lines);
//	          "errors" if it is about several places: "at", "message" and "hint" of each
//	skip      it was not run since an input failed: "id", "title"
//	target    (run) delivered: "name", "path", "kind", "digest", "size" in bytes and, of a
//	          tree, "files"; (targets) offered: "name", "type", "at", "items", "cached"
//	test      (test) how a test ended: "name", "status" (passed, failed, cached, not run),
//	          "at", "seconds", "message", "log", "tail"; of test --list cached or not run
//	error     something is wrong: "message", and for a script "file", "line",
//	          "col", "hint" and "stack" where they are known
//	step      (plan) an action that would run: "id", "title", "op", "at", "sure" (false:
//	          it may turn out to be there), "seconds" it took before (0: not known)
//	change    (plan, why) what is different: "target", "chain" (the way down to it),
//	          "what" (the difference, line by line), "at"
//	problem   (cache verify) damage: "what", "digest", "path", "message"
//	check     (doctor) "name", "status" (ok, warning, failed), "detail", "remedy"
//	blob      (push, pull, load) a blob on its way: "target", "digest", "done" and "size" in bytes, at its
//	          end "how": sent, mounted or there; at most ten a second for each
//	pushed    (push) an image arrived: "target", "ref", "digest"; how many blobs were "sent",
//	          "mounted" and "there", "bytes" sent, "before" (sent by a run that was cut), "referrers"
//	pulled    (pull) "ref", "digest", "path" of the layout, "blobs", of them "there", "bytes" fetched
//	loaded    (load) "target", "ref", "id" in the engine, layers "sent" and "there", "bytes", "seconds"
//	served    (registry) can be pulled: "target", "ref", "digest"
//	request   (registry) was answered: "from", "method", "path", "status", "bytes"
//	object    an object in a cluster: "kind", "group", "namespace", "name" and "verb": (apply,
//	          delete) created, changed, replaced or removed; waits, for what "text" says, or
//	          ready; pending, when it ended before; (diff, apply --dry-run) create, change,
//	          keep, replace, remove or leave, and why in "text"; of diff the "fields" that
//	          differ: "path", "old", "new", or "lines"
//	warning   (apply, diff, delete) what the cluster warns of: "text"
//	version   (version) "version", "revision", "go", "platform"
//	summary   always the last, but for version: "command", "seconds", "exit" (the exit
//	          code); of run "ran", "cached", "failed", "skipped"; of test "passed", "failed",
//	          "cached", "not_run"; of plan "to_run",
//	          "perhaps", "cached", "estimated" (seconds), "unlocked"; of push, pull and load "images",
//	          "bytes"; of apply, diff and delete "created", "changed", "replaced", "removed",
//	          "unchanged", "left"; of cache its
//	          counts in "stats", "verify" or "gc"
//
// "id" is the SHA-256 of the action's definition, "at" is "file:line:col" in the
// script. New members and events may be added; a reader skips what it does not
// know.
type jsonSink struct {
	mu   sync.Mutex
	out  io.Writer
	err  error
	done bool                         // the summary was written: what comes after it is of a command that was cut
	last map[*action.Action]time.Time // of the progress events
}

func newJSONSink(out io.Writer) *jsonSink {
	return &jsonSink{out: out, last: map[*action.Action]time.Time{}}
}

// write prints one event; the first error of the stream is returned ever after.
func (s *jsonSink) write(event any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b) // ends with a newline
	enc.SetEscapeHTML(false)
	if err := enc.Encode(event); err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && !s.done {
		_, s.err = s.out.Write(b.Bytes())
		s.done = bytes.HasPrefix(b.Bytes(), []byte(`{"event":"summary"`))
	}
	return s.err
}

func (s *jsonSink) event(ev labstar.Event) {
	if e := s.convert(ev); e != nil {
		_ = s.write(e) // kept, and returned for the summary
	}
}

func (s *jsonSink) close() {}

// actionEvent is plan, cached, start, progress, wait, finish, fail and skip.
type actionEvent struct {
	Event    string        `json:"event"`
	ID       string        `json:"id,omitempty"`
	Title    string        `json:"title,omitempty"`
	Op       string        `json:"op,omitempty"`
	At       string        `json:"at,omitempty"`
	Needed   int           `json:"needed,omitempty"`
	Count    int           `json:"count,omitempty"`
	Done     *int64        `json:"done,omitempty"`
	Size     *int64        `json:"size,omitempty"`
	Seconds  *float64      `json:"seconds,omitempty"`
	Outputs  []outputInfo  `json:"outputs,omitempty"`
	Compiled *compiledInfo `json:"compiled,omitempty"`
	Message  string        `json:"message,omitempty"`
	Hint     string        `json:"hint,omitempty"`
	Exit     int           `json:"exit,omitempty"`
	Log      string        `json:"log,omitempty"`
	Tail     []string      `json:"tail,omitempty"`
	Errors   []pointInfo   `json:"errors,omitempty"`
}

// pointInfo is one of several errors of an action.
type pointInfo struct {
	At      string `json:"at"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

type compiledInfo struct {
	Hits     int   `json:"hits"`
	Objects  int   `json:"objects"`
	Passed   int   `json:"passed"`
	Bytes    int64 `json:"bytes"` // given by the hits
	Compared int   `json:"compared,omitempty"`
	Matched  int64 `json:"compared_bytes,omitempty"`
}

type outputInfo struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	Digest string `json:"digest"`
	Size   int64  `json:"size"` // of a file; of a tree, that of its encoded root directory
}

type printEvent struct {
	Event string `json:"event"`
	Text  string `json:"text"`
}

// convert returns what to print for ev, nil for nothing.
func (s *jsonSink) convert(ev labstar.Event) any {
	e := &actionEvent{Event: string(ev.Kind), Needed: ev.Total, Count: ev.Count}
	if a := ev.Action; a != nil {
		e.ID, e.Title, e.At = a.Definition().Hex(), a.Title, at(a)
		if ev.Kind == labstar.EventStart {
			e.Op = a.Op.Name
		}
	}
	switch ev.Kind {
	case labstar.EventProgress:
		s.mu.Lock()
		recent := ev.Time.Sub(s.last[ev.Action]) < 100*time.Millisecond
		if !recent {
			s.last[ev.Action] = ev.Time
		}
		s.mu.Unlock()
		if recent && ev.Done != ev.Size {
			return nil
		}
		e.Title, e.At, e.Done, e.Size = "", "", &ev.Done, &ev.Size
	case labstar.EventFinish:
		seconds := ev.Elapsed.Seconds()
		e.Seconds = &seconds
		if c := ev.Compiled; c != nil {
			e.Compiled = &compiledInfo{c.Hits, c.Objects(), c.Passed, c.Bytes, c.Compared, c.ComparedBytes}
		}
		if ev.Result != nil {
			for _, o := range ev.Result.Outputs {
				e.Outputs = append(e.Outputs, outputInfo{o.Name, o.Kind.String(), o.Digest.String(), o.Digest.Size})
			}
		}
	case labstar.EventFail:
		f := newFailure(ev.Err)
		e.Message, e.Hint, e.Exit, e.Log, e.Tail = f.message, f.hint, f.exit, f.log, f.tail
		if len(f.site) > 0 {
			e.At = f.site[0].String()
		}
		for _, p := range f.points {
			message, hint := splitHint(p.Err)
			e.Errors = append(e.Errors, pointInfo{p.Site[0].String(), message, hint})
		}
	}
	return e
}

// at is where the script made an action, "" if that isn't known.
func at(a *action.Action) string {
	if len(a.Site) == 0 {
		return ""
	}
	return a.Site[0].String()
}
