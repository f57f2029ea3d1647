//go:build linux

package compile

import (
	"bytes"
	"errors"
	"path"
	"strings"
	"time"

	"github.com/labstar/labstar/action"
)

// shell answers a shell: lines that make an object, lines whose inputs are known, and
// those that only add a text to a file.
func (s *Server) shell(q *request, sh shim) (why string) {
	if len(q.argv) != 3 || q.argv[1] != "-c" {
		return "shell"
	}
	text := q.argv[2]
	if added, to, ok := parseAppending(text); ok {
		if sh.add(to, []byte(added)) == nil {
			_ = sh.finish(0, nil, nil)
		}
		return ""
	}
	if l := parseLine(text); l != nil {
		return s.keep(q, l, sh)
	}
	if r := parseRecipe(text); r != nil {
		return s.recipe(q, r, sh)
	}
	return "a recipe that is not understood"
}

// keep answers a line from the cache, or has it run and keeps what it left.
func (s *Server) keep(q *request, l *line, sh shim) (why string) {
	for _, t := range l.tools {
		if !strings.HasPrefix(t, "/") && s.resolve(q, t) == "" {
			return "a program that is not the toolchain's"
		}
	}
	want := append([]file{{role: "stdout"}}, l.outputs...)
	key, _, known := s.contentKey(q, l)
	var before *entry
	if known {
		if e, err := s.opts.Cache.load(s.ctx, key, want); err == nil {
			before = e
		}
	}
	if before != nil && !s.chosen() {
		s.count(func(st *Stats) { st.Lines++ })
		before.stdout, before.files = before.files[0].content, before.files[1:]
		_ = s.give(sh, before)
		return ""
	}
	start := time.Now()
	out, err := sh.run(q.argv, true)
	if err != nil && !errors.Is(err, errTooLong) {
		return ""
	}
	e := &entry{stderr: out.stderr}
	if err == nil && out.status == 0 {
		want[0].content = out.stdout
		for i := range l.outputs {
			b, ok, err := sh.get(want[1+i].path)
			if err != nil {
				return ""
			}
			known = known && ok
			want[1+i].content = b
		}
		e.files = want
	}
	if before != nil && e.files != nil {
		s.compared(q, before, e)
	}
	if sh.same() != nil || !known || e.files == nil {
		return ""
	}
	// The same key again, or what was read changed meanwhile.
	if again, newest, ok := s.contentKey(q, l); ok && again == key && newest < start.UnixNano() {
		_ = s.opts.Cache.save(s.ctx, key, e, time.Since(start).Milliseconds()) // without it the next build runs the line again
	}
	return ""
}

// contentKey returns the key of a line with the contents that its inputs have now,
// and when the last of them changed. An input that is not there counts as that.
func (s *Server) contentKey(q *request, l *line) (key action.Digest, newest int64, ok bool) {
	b := s.keyOf("line 1", q, q.argv)
	text := bytes.Clone(b.Hash[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.begin()
	for _, name := range l.inputs {
		if text, newest, ok = s.inputKey(text, newest, q.dir, name, 0); !ok {
			return key, 0, false
		}
	}
	return action.Of(text), newest, true
}

// inputKey adds an input to a key. A thin archive stands for the files that it names.
func (s *Server) inputKey(key []byte, newest int64, dir, name string, depth int) ([]byte, int64, bool) {
	const deepest = 20
	p := s.view.find(dir, name)
	if !p.found() {
		return append(key, 0), newest, true
	}
	if depth > deepest {
		return nil, 0, false
	}
	d, changed, err := s.view.content(p)
	if err != nil {
		return nil, 0, false
	}
	if !changed.IsZero() {
		newest = max(newest, changed.UnixNano())
	}
	key = append(append(key, 1), d.Hash[:]...)
	if path.Ext(name) != ".a" {
		return key, newest, true
	}
	text, err := s.view.text(p, d)
	if err != nil {
		return nil, 0, false
	}
	members, _ := thinMembers(text)
	ok := true
	for _, m := range members {
		if !strings.HasPrefix(m, "/") {
			m = path.Dir(p.path) + "/" + m
		}
		if key, newest, ok = s.inputKey(key, newest, dir, m, depth+1); !ok {
			return nil, 0, false
		}
	}
	return key, newest, true
}
