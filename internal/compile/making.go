//go:build linux

package compile

import (
	"errors"
	"path"
	"strings"
	"time"

	"github.com/labstar/labstar/action"
)

// recipe answers a shell that is to make an object. The entry is found by the key of
// the compilation, which covers all that fixdep reads, and by the line and the
// programs in it.
func (s *Server) recipe(q *request, r *recipe, sh shim) (why string) {
	u, why := parseCC(r.cc)
	if why != "" {
		return why
	}
	cc := &request{tool: s.resolve(q, r.cc[0]), dir: q.dir, argv: r.cc, env: q.env, umask: q.umask}
	if KindOf(cc.tool) != CC {
		return "a compiler that is not the toolchain's"
	}
	manifest := s.manifestKey(cc)
	if v, _ := q.getenv("LIBRARY_PATH"); u.mode == 'l' && v != "" {
		return "variable LIBRARY_PATH"
	}
	if why := s.foldersMissing(u, q.dir); why != "" {
		return why
	}
	want := []file{u.object(), {role: "cmd", path: r.cmdfile}, {role: "stdout"}}
	e := s.made(q, r, cc, u, manifest, want)
	if e != nil && !s.chosen() {
		s.count(func(st *Stats) { st.Recipes++ })
		e.stdout, e.files = e.files[2].content, e.files[:2]
		_ = s.hit(sh, e)
		return ""
	}
	start := time.Now()
	out, err := sh.run(q.argv, true)
	if err != nil && !errors.Is(err, errTooLong) {
		return ""
	}
	if err != nil || out.status != 0 {
		_ = sh.same()
		return ""
	}
	again := &entry{stderr: out.stderr}
	for i := range want[:2] {
		b, ok, err := sh.get(want[i].path)
		if err != nil {
			return ""
		}
		if !ok {
			_ = sh.same()
			return ""
		}
		want[i].content = b
	}
	want[2].content = out.stdout
	again.files = want
	if e != nil {
		s.compared(cc, e, again)
	}
	if sh.same() != nil {
		return ""
	}
	s.await(manifest)
	if key, ok := s.newRecipe(q, r, manifest, start); ok {
		_ = s.opts.Cache.save(s.ctx, key, again, time.Since(start).Milliseconds()) // without it the next build runs the line again
	}
	return ""
}

// resolve finds the program that a name leads to, and returns its own base name.
func (s *Server) resolve(q *request, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.begin()
	list, _ := q.getenv("PATH")
	for dir := range strings.SplitSeq(list, ":") {
		if p := s.view.find(q.dir, dir+"/"+name); p.kind == action.Regular {
			if p.area != toolchain {
				return ""
			}
			return path.Base(p.path)
		}
	}
	return ""
}

// made looks for what a line left when it was run before.
func (s *Server) made(q *request, r *recipe, cc *request, u *unit, manifest action.Digest, want []file) *entry {
	c := s.opts.Cache
	shapes := c.shapesOf(s.ctx, manifest)
	if len(shapes) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.begin()
	line, _, ok := s.lineKey(q, r)
	if !ok {
		return nil
	}
	ch := s.view.chainOf(u, cc.dir)
	for _, at := range shapes {
		k, err := c.shapeAt(s.ctx, at)
		if err != nil || !s.view.holds(k.shape, ch) {
			continue
		}
		unit, _, ok := s.entryKey(manifest, k.shape, k.id)
		if !ok {
			continue
		}
		if e, err := c.load(s.ctx, action.Of(append(line, unit.Hash[:]...)), want); err == nil {
			return e
		}
	}
	return nil
}

// newRecipe returns the key of a line that was run since start, if its compilation
// is known and nothing that it read has changed after that.
func (s *Server) newRecipe(q *request, r *recipe, manifest action.Digest, start time.Time) (key action.Digest, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.matched[manifest]
	if k == nil {
		return key, false
	}
	delete(s.matched, manifest)
	s.view.begin()
	line, newest, ok := s.lineKey(q, r)
	if !ok || newest >= start.UnixNano() {
		return key, false
	}
	unit, newest, ok := s.entryKey(manifest, k.shape, k.id)
	return action.Of(append(line, unit.Hash[:]...)), ok && newest < start.UnixNano()
}

// lineKey returns what the key of a line has besides the compilation's, and when its
// programs last changed.
func (s *Server) lineKey(q *request, r *recipe) (b []byte, newest int64, ok bool) {
	b = []byte("labstar compile recipe 1\x00")
	for _, t := range r.tools {
		d, changed, err := s.view.content(s.view.find(q.dir, t))
		if err != nil {
			return nil, 0, false
		}
		newest = max(newest, changed.UnixNano())
		b = append(b, d.Hash[:]...)
	}
	b = append(append(b, q.tool...), 0)
	return append(append(b, q.argv[2]...), 0), newest, true
}

// learning marks that the outcome of a command line is being published; done ends it.
func (s *Server) learning(manifest action.Digest) (done func()) {
	ch := make(chan struct{})
	s.statsMu.Lock()
	s.pending[manifest] = ch
	s.statsMu.Unlock()
	return func() {
		s.statsMu.Lock()
		if s.pending[manifest] == ch {
			delete(s.pending, manifest)
		}
		s.statsMu.Unlock()
		close(ch)
	}
}

// await waits until what a command line left is published.
func (s *Server) await(manifest action.Digest) {
	s.statsMu.Lock()
	ch := s.pending[manifest]
	s.statsMu.Unlock()
	if ch != nil {
		<-ch
	}
}
