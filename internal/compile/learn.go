//go:build linux

package compile

import (
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
	s.view.begin()
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

// readFile is one file that a compilation read.
type readFile struct {
	number uint32 // of its name
	digest action.Digest
	*named
}

// shapeOf works out what a compilation that read the files of list depended on.
func (s *Server) shapeOf(q *request, u *unit, list []string) (*shape, string) {
	v := s.view
	read := make([]readFile, 0, len(list)+len(u.specs))
	for i, name := range slices.Concat(list, u.specs) {
		if !strings.HasPrefix(name, "/") {
			name = q.dir + "/" + name
		}
		number := v.names.number(name)
		if !v.names.mark(number, v.epoch) && i < len(list) {
			continue
		}
		f := v.named(number)
		p := f.place
		if p.area == elsewhere {
			return nil, "reads " + p.path
		}
		d, _, err := v.content(p)
		if err != nil {
			return nil, "a dependency that is gone"
		}
		if f.text == nil {
			if f.text, err = s.textOf(p, d); err != nil {
				return nil, "a dependency that is gone"
			}
		}
		if i >= len(list) {
			if text, err := v.text(p, d); err != nil || strings.Contains(string(text), "%include") {
				return nil, "specs that include others"
			}
		}
		if f.opaque != "" && p.area != toolchain {
			return nil, "source with " + f.opaque
		}
		if f.clock {
			if _, fixed := q.getenv("SOURCE_DATE_EPOCH"); !fixed {
				return nil, "source with the time"
			}
		}
		read = append(read, readFile{number, d, f})
	}
	for _, prefix := range u.tools {
		for _, triplet := range triplets {
			if p := v.find(q.dir, prefix+triplet); p.found() && p.area != toolchain {
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
	v := s.view
	whole, options := u.macros, false
	var symbols []string
	add := func(n uint32) {
		if v.symbols.mark(n, v.epoch) {
			symbols = append(symbols, v.symbols.names[n])
		}
	}
	addAll := func(names []string, pastes bool) {
		for _, name := range names {
			add(v.symbols.number(name))
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
		if r.config != nil {
			headers, options = append(headers, len(sh.deps)), options || r.config.options
		} else {
			for _, n := range r.numbers {
				add(n)
			}
			whole = whole || r.pastes
			texts = append(texts, r)
		}
		sh.deps, sh.numbers = append(sh.deps, v.names.names[r.number]), append(sh.numbers, r.number)
	}
	defines := []byte(strings.Join(u.defines, "\n"))
	said := scan(defines)
	addAll(said.symbols, said.pastes)
	if options {
		m := scanOptions(defines)
		addAll(m.symbols, m.pastes)
		for _, r := range texts {
			m, err := s.opts.Cache.optionsOf(r.digest, func() ([]byte, error) { return v.text(r.place, r.digest) })
			if err != nil {
				return // the headers count as a whole
			}
			addAll(m.symbols, m.pastes)
		}
	}
	if !whole && len(headers) > 0 {
		sh.config, sh.symbols = headers, symbols
	}
}

// text is what a server knows of a content that compilations read.
type text struct {
	*facts
	config  *config  // of a configuration header
	numbers []uint32 // of the symbols, in the view
}

// textOf scans the file at a place once for each content.
func (s *Server) textOf(p place, d action.Digest) (*text, error) {
	v := s.view
	if t := v.texts[d]; t != nil {
		return t, nil
	}
	f, err := s.opts.Cache.factsOf(d, func() ([]byte, error) { return v.text(p, d) })
	if err != nil {
		return nil, err
	}
	t := &text{facts: f, config: s.config(p, d)}
	for _, name := range f.symbols {
		t.numbers = append(t.numbers, v.symbols.number(name))
	}
	v.texts[d] = t
	return t, nil
}

// config returns what a configuration header defines, nil for any other file.
func (s *Server) config(p place, d action.Digest) *config {
	if p.area == toolchain || d.Size > 4<<20 {
		return nil
	}
	return s.opts.Cache.configOf(d, func() ([]byte, error) { return s.view.text(p, d) })
}

// asking is an #include of a text, as one list of folders resolves it.
type asking struct {
	*lookup
	always bool // it matters, found or not
}

type listKey struct {
	chain int
	from  string
	text  *text
}

// asksOf returns what the #includes of a file that was read look for.
func (v *view) asksOf(c *chain, f *named) []asking {
	if f.chain == c.id {
		return f.asks
	}
	k := listKey{c.id, f.dir, f.text}
	list, ok := v.lists[k]
	if !ok {
		for _, in := range f.includes {
			from := ""
			if in.quote {
				from = f.dir
			}
			list = append(list, asking{v.lookupOf(c, from, in.name), in.asked})
			if in.quote && f.dir == "" {
				list = append(list, asking{v.lookupOf(c, "/", in.name), in.asked}) // the folders for "name" alone
			}
		}
		v.lists[k] = list
	}
	f.chain, f.asks = c.id, list
	return list
}

// searched fills in the names that were looked for. It reports false if a file was
// read and no #include tells how it was found.
func (s *Server) searched(sh *shape, q *request, u *unit, read []readFile) bool {
	v := s.view
	c := v.chainOf(u, q.dir)
	// Paths have a mark if they were read outside of the toolchain, and the second one if
	// it is known how they were found. Ends of all that was read, as named, have a mark: a
	// name that is none was not found. The second one tells that it is in the toolchain.
	var outside []uint32
	for _, r := range read {
		for _, end := range v.namesEnds(r.number) {
			v.ends.mark(end, v.epoch)
		}
		if r.place.area != toolchain {
			v.paths.mark(r.path, v.epoch)
			outside = append(outside, r.path)
		}
	}
	for _, r := range read {
		if r.place.area == toolchain {
			for at := range r.place.path {
				if r.place.path[at] == '/' {
					end := v.ends.number(r.place.path[at+1:])
					v.ends.mark(end, v.epoch)
					v.ends.markAlso(end)
				}
			}
		}
	}
	explain := func(path uint32) bool {
		if !v.paths.marked(path, v.epoch) {
			return false
		}
		v.paths.markAlso(path)
		return true
	}
	addLookup := func(l *lookup, always bool) {
		if l.done == v.epoch || !always && !v.ends.marked(l.end, v.epoch) {
			return
		}
		l.done = v.epoch
		found := v.look(c, l)
		relevant := always || v.ends.marked(l.end, v.epoch) && v.ends.also(l.end)
		for _, path := range found.paths {
			relevant = explain(path) || relevant
		}
		if relevant {
			sh.looks = append(sh.looks, look{l.from, l.name, found.exist})
		}
	}
	add := func(from, name string) { addLookup(v.lookupOf(c, from, name), true) }
	for _, name := range u.specs {
		add(q.dir, name)
		explain(v.paths.number(v.find(q.dir, name).path))
	}
	for _, prefix := range u.tools {
		for _, part := range slices.Concat(parts, triplets) {
			add(q.dir, prefix+part)
		}
	}
	for _, name := range u.forced {
		add(q.dir, name)
		add(q.dir, name+".gch")
	}
	var computed []string // folders of files with an #include of a macro
	for i, r := range read {
		for _, a := range v.asksOf(c, r.named) {
			addLookup(a.lookup, a.always)
			if i == 0 {
				add(a.from, a.name+".gch")
			}
		}
		if r.computed {
			computed = append(computed, r.dir)
		}
	}
	explain(v.paths.number(v.find(q.dir, u.source).path))
	for _, r := range read {
		if len(computed) == 0 {
			break
		}
		if r.place.area == toolchain || v.paths.also(r.path) {
			continue
		}
		name := v.names.names[r.number]
		for _, d := range c.all() {
			if rest, ok := strings.CutPrefix(name, d+"/"); ok {
				add("", rest)
			}
		}
		for _, d := range computed {
			if rest, ok := strings.CutPrefix(name, d+"/"); ok && d != "" {
				add(d, rest)
			}
		}
	}
	return !slices.ContainsFunc(outside, func(n uint32) bool { return !v.paths.also(n) })
}

// namesEnds returns the numbers of the ends of a name.
func (v *view) namesEnds(name uint32) []uint32 {
	list, ok := v.endsOf[name]
	if ok {
		return list
	}
	text := v.names.names[name]
	for at := range text {
		if text[at] == '/' {
			list = append(list, v.ends.number(text[at+1:]))
		}
	}
	v.endsOf[name] = list
	return list
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
