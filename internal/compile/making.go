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
func (s *Server) recipe(q *request, sh shim) (why string) {
	if len(q.argv) != 3 || q.argv[1] != "-c" {
		return "shell"
	}
	r := parseRecipe(q.argv[2])
	if r == nil {
		return "a recipe that is not understood"
	}
	u, why := parseCC(r.cc)
	if why != "" {
		return why
	}
	cc := &request{tool: s.resolve(q, r.cc[0]), dir: q.dir, argv: r.cc, env: q.env, umask: q.umask}
	if KindOf(cc.tool) != CC {
		return "a compiler that is not the toolchain's"
	}
	manifest := s.manifestKey(cc)
	want := []file{{role: "object", path: r.output, replace: true}, {role: "cmd", path: r.cmdfile}, {role: "stdout"}}
	e := s.made(q, r, cc, u, manifest, want, 0)
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
	key, ok := s.recipeKey(q, r, cc, u, manifest, start.UnixNano())
	if ok {
		_ = s.opts.Cache.save(s.ctx, key, again, time.Since(start).Milliseconds()) // without it the next build runs the line again
	}
	return ""
}

// resolve finds the program that a name leads to, and returns its own base name.
func (s *Server) resolve(q *request, name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.epoch++
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
func (s *Server) made(q *request, r *recipe, cc *request, u *unit, manifest action.Digest, want []file, since int64) *entry {
	key, ok := s.recipeKey(q, r, cc, u, manifest, since)
	if !ok {
		return nil
	}
	e, err := s.opts.Cache.load(s.ctx, key, want)
	if err != nil {
		return nil
	}
	return e
}

// recipeKey returns the key of a line whose compilation is known. If since is not 0
// nothing that was read may have changed after it.
func (s *Server) recipeKey(q *request, r *recipe, cc *request, u *unit, manifest action.Digest, since int64) (key action.Digest, ok bool) {
	c := s.opts.Cache
	shapes := c.shapesOf(s.ctx, manifest)
	if len(shapes) == 0 {
		return key, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.epoch++
	b := []byte("labstar compile recipe 1\x00")
	for _, t := range r.tools {
		d, changed, err := s.view.content(s.view.find(q.dir, t))
		if err != nil || since != 0 && changed.UnixNano() >= since {
			return key, false
		}
		b = append(b, d.Hash[:]...)
	}
	b = append(append(b, q.tool...), 0)
	b = append(append(b, q.argv[2]...), 0)
	ch := s.view.chainOf(u, cc.dir)
	for _, at := range shapes {
		k, err := c.shapeAt(s.ctx, at)
		if err != nil || !s.view.holds(k.shape, ch) {
			continue
		}
		unit, newest, ok := s.entryKey(manifest, k.shape, k.id)
		if !ok || since != 0 && newest >= since {
			continue
		}
		if _, err := c.Store.Result(s.ctx, unit); err == nil {
			return action.Of(append(b, unit.Hash[:]...)), true
		}
	}
	return key, false
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
