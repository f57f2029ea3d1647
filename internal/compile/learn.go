//go:build linux

package compile

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/labstar/labstar/action"
)

// learn publishes what a compilation left under the key of what it read. A reason
// says why it can't.
func (s *Server) learn(q *request, u *unit, manifest action.Digest, list []string, e *entry, start time.Time, took time.Duration) (reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.epoch++
	sh, reason := s.shapeOf(q, u, list)
	if reason != "" {
		return reason
	}
	id, blob, err := s.opts.Cache.putShape(s.ctx, sh)
	if err != nil {
		return "the store"
	}
	key, newest, ok := s.entryKey(manifest, sh, id)
	// What changed since the compilation began may have been read before or after.
	if !ok || newest >= start.UnixNano() {
		return "a dependency that changes"
	}
	if err := s.opts.Cache.save(s.ctx, key, e, took.Milliseconds()); err != nil {
		return "the store"
	}
	if err := s.opts.Cache.addShape(s.ctx, manifest, blob); err != nil {
		return "the store"
	}
	s.matched[manifest] = &known{sh, id}
	return ""
}

// read is one file that a compilation read.
type readFile struct {
	name   string
	place  place
	digest action.Digest
	facts  *facts
}

// shapeOf works out what a compilation that read the files of list depended on.
func (s *Server) shapeOf(q *request, u *unit, list []string) (*shape, string) {
	v := s.view
	var read []readFile
	seen := map[string]bool{}
	for _, name := range slices.Concat(list, u.specs) {
		if !strings.HasPrefix(name, "/") {
			name = q.dir + "/" + name
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		p := v.find("", name)
		if p.area == elsewhere {
			return nil, "reads " + p.path
		}
		d, _, err := v.content(p)
		if err != nil {
			return nil, "a dependency that is gone"
		}
		f, err := s.opts.Cache.factsOf(d, func() ([]byte, error) { return v.text(p, d) })
		if err != nil {
			return nil, "a dependency that is gone"
		}
		if slices.Contains(u.specs, strings.TrimPrefix(name, q.dir+"/")) || slices.Contains(u.specs, name) {
			if text, err := v.text(p, d); err != nil || strings.Contains(string(text), "%include") {
				return nil, "specs that include others"
			}
		}
		if f.opaque != "" && p.area != toolchain {
			return nil, "source with " + f.opaque
		}
		if _, fixed := q.getenv("SOURCE_DATE_EPOCH"); f.clock && !fixed {
			return nil, "source with the time"
		}
		read = append(read, readFile{name, p, d, f})
	}
	for _, prefix := range u.tools {
		for _, triplet := range triplets {
			if v.find(q.dir, prefix+triplet).found() && v.find(q.dir, prefix+triplet).area != toolchain {
				return nil, "parts of a compiler of the build's own"
			}
		}
	}
	sh := &shape{}
	s.symbols(sh, u, read)
	if !s.searched(sh, q, u, read) {
		return nil, "an #include that is not understood"
	}
	return sh, ""
}

// symbols fills in the dependencies, and what the key has of configuration headers.
func (s *Server) symbols(sh *shape, u *unit, read []readFile) {
	whole, options := u.macros, false
	symbols := map[string]bool{}
	add := func(names []string, pastes bool) {
		for _, name := range names {
			symbols[name] = true
		}
		whole = whole || pastes
	}
	var headers []int
	var texts []readFile
	for _, r := range read {
		if r.place.area == toolchain {
			texts = append(texts, r)
			continue
		}
		if c := s.config(r.place, r.digest); c != nil {
			headers, options = append(headers, len(sh.deps)), options || c.options
		} else {
			add(r.facts.symbols, r.facts.pastes)
			texts = append(texts, r)
		}
		sh.deps = append(sh.deps, r.name)
	}
	defines := []byte(strings.Join(u.defines, "\n"))
	said := scan(defines)
	add(said.symbols, said.pastes)
	if options {
		m := scanOptions(defines)
		add(m.symbols, m.pastes)
		for _, r := range texts {
			m, err := s.opts.Cache.optionsOf(r.digest, func() ([]byte, error) { return s.view.text(r.place, r.digest) })
			if err != nil {
				return // the headers count as a whole
			}
			add(m.symbols, m.pastes)
		}
	}
	if !whole && len(headers) > 0 {
		sh.config, sh.symbols = headers, slices.Sorted(maps.Keys(symbols))
	}
}

// config returns what a configuration header defines, nil for any other file.
func (s *Server) config(p place, d action.Digest) *config {
	if p.area == toolchain || d.Size > 4<<20 {
		return nil
	}
	return s.opts.Cache.configOf(d, func() ([]byte, error) { return s.view.text(p, d) })
}

// searched fills in the names that were looked for. It reports false if a file was
// read and no #include tells how it was found.
func (s *Server) searched(sh *shape, q *request, u *unit, read []readFile) bool {
	v := s.view
	c := v.chainOf(u, q.dir)
	byPath := map[string]bool{} // canonical paths outside of the toolchain
	byName := map[string]bool{} // ends of paths inside
	found := map[string]bool{}  // of byPath, those explained
	ends := map[string]bool{}   // of all that was read, as named: a name that is none was not found
	for _, r := range read {
		for at := range r.name {
			if r.name[at] == '/' {
				ends[r.name[at+1:]] = true
			}
		}
		if r.place.area != toolchain {
			byPath[r.place.path] = true
			continue
		}
		for at := range r.place.path {
			if r.place.path[at] == '/' {
				byName[r.place.path[at+1:]] = true
			}
		}
	}
	type asked struct{ from, name string }
	done := map[asked]bool{}
	add := func(from, name string, always bool) {
		if !always && !ends[strings.TrimPrefix(strings.TrimPrefix(name, "/"), "./")] || done[asked{from, name}] {
			return
		}
		done[asked{from, name}] = true
		exist, i, relevant := v.look(c, from, name), 0, always || byName[name]
		c.candidates(from, name, func(at string) {
			if i++; strings.IndexByte(exist, byte(i)) < 0 {
				return
			}
			if p := v.find("", at); byPath[p.path] {
				relevant, found[p.path] = true, true
			}
		})
		if relevant {
			sh.looks = append(sh.looks, look{from, name, exist})
		}
	}
	for _, name := range u.specs {
		add(q.dir, name, true)
		found[v.find(q.dir, name).path] = true
	}
	for _, prefix := range u.tools {
		for _, part := range slices.Concat(parts, triplets) {
			add(q.dir, prefix+part, true)
		}
	}
	for _, name := range u.forced {
		add(q.dir, name, true)
		add(q.dir, name+".gch", true)
	}
	var computed []string // folders of files with an #include of a macro
	for i, r := range read {
		dir := dirOf(r.name)
		if r.place.area == toolchain {
			dir = "" // its own folder is the toolchain's
		}
		for _, in := range r.facts.includes {
			from := ""
			if in.quote {
				from = dir
			}
			add(from, in.name, in.asked)
			if in.quote && dir == "" {
				add("/", in.name, in.asked) // the folders for "name" alone
			}
			if i == 0 {
				add(from, in.name+".gch", true)
			}
		}
		if r.facts.computed {
			computed = append(computed, dir)
		}
	}
	found[v.find(q.dir, u.source).path] = true
	for _, r := range read {
		if r.place.area == toolchain || found[r.place.path] || len(computed) == 0 {
			continue
		}
		for _, d := range slices.Concat(c.quotes, c.plain) {
			if rest, ok := strings.CutPrefix(r.name, d+"/"); ok {
				add("", rest, true)
			}
		}
		for _, d := range computed {
			if rest, ok := strings.CutPrefix(r.name, d+"/"); ok && d != "" {
				add(d, rest, true)
			}
		}
	}
	for p := range byPath {
		if !found[p] {
			return false
		}
	}
	return true
}

// parts are the programs that gcc runs to compile, and looks for behind -B first.
var parts = []string{"as", "cc1", "cc1plus", "collect2", "lto-wrapper"}

// triplets are the folders in which they may be there.
var triplets = []string{"x86_64-linux-gnu", "aarch64-linux-gnu"}

// compared holds what came out against what the entry has.
func (s *Server) compared(q *request, before, now *entry) {
	size := int64(0)
	for _, f := range now.files {
		size += int64(len(f.content))
	}
	bad := before.differs(now)
	s.count(func(st *Stats) {
		st.Compared++
		st.ComparedBytes += size
		if bad != "" {
			s.different = append(s.different, bad+", made in "+q.dir+" by: "+strings.Join(q.argv, " "))
		}
	})
}
