//go:build linux

package compile

import (
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
)

// chain is the folders in which a command line searches, outside of the toolchain.
type chain struct {
	id     int      // of quotes and plain: what they hold is known from one command line to the next
	quotes []string // for "name" alone
	plain  []string
	tail   []folder // the last ones, if they are the source's own and the output's: Kbuild names both for every folder
}

// folder is one of a chain's tail.
type folder struct {
	name string
	has  func(name string) bool // false if nothing in it has the name, which costs less than to ask for a path
}

// all returns the names of all folders.
func (c *chain) all() []string {
	list := slices.Concat(c.quotes, c.plain)
	for _, d := range c.tail {
		list = append(list, d.name)
	}
	return list
}

type lookKey struct {
	chain      int
	from, name string
}

// lookup is a name that is searched for, and what the last search found.
type lookup struct {
	lookKey
	end   uint32 // number of the name among the ends of paths
	count int    // candidates without the tail's
	done  uint64 // the epoch in which a shape got it

	known   bool // what follows holds as long as what is watched does
	watched []watch
	base    finding // without the tail

	epoch uint64 // in which whole is what was found
	whole finding
}

// finding is which candidates of a name there are.
type finding struct {
	exist string   // see look
	paths []uint32 // canonical
}

// chainOf makes the absolute names of the folders of a command line.
func (v *view) chainOf(u *unit, dir string) *chain {
	c := &chain{}
	for i, d := range u.dirs {
		p := v.find(dir, d)
		if !strings.HasPrefix(d, "/") {
			d = dir + "/" + d
		}
		_, fixed := v.fixed[d]
		if p.found() && p.area == toolchain || !p.found() && fixed || len(c.quotes)+len(c.plain) > 200 {
			continue
		}
		if i < u.quotes {
			c.quotes = append(c.quotes, d)
		} else {
			c.plain = append(c.plain, d)
		}
	}
	own := func(name string) bool {
		for _, of := range []string{u.source, u.output} {
			if !strings.HasPrefix(of, "/") {
				of = dir + "/" + of
			}
			if path.Dir(of) == path.Clean(name) {
				return true
			}
		}
		return false
	}
	for n := len(c.plain); n > 0 && own(c.plain[n-1]); n-- {
		last := c.plain[n-1]
		c.plain, c.tail = c.plain[:n-1], slices.Insert(c.tail, 0, folder{last, v.hasOf(v.find("", last))})
	}
	name := strings.Join(c.quotes, "\x00") + "\x00\x00" + strings.Join(c.plain, "\x00")
	id, ok := v.chains[name]
	if !ok {
		id = len(v.chains) + 1
		v.chains[name] = id
	}
	c.id = id
	return c
}

// foldersMissing says that a compiler would complain of a folder that is not there. An
// entry knows nothing of such complaints: all of its folders were there.
func (s *Server) foldersMissing(u *unit, dir string) (why string) {
	if !u.missing {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.begin()
	for _, d := range u.dirs {
		if s.view.find(dir, d).kind != action.Dir {
			return "a folder that is not there, and -Wmissing-include-dirs"
		}
	}
	return ""
}

// candidates calls f for every path at which a name may be found, but in the tail.
func (c *chain) candidates(from, name string, f func(at string)) {
	if strings.HasPrefix(name, "/") {
		f(name)
		return
	}
	if from != "" {
		f(from + "/" + name)
		for _, d := range c.quotes {
			f(d + "/" + name)
		}
	}
	for _, d := range c.plain {
		f(d + "/" + name)
	}
}

// lookupOf returns the lookup of a name.
func (v *view) lookupOf(c *chain, from, name string) *lookup {
	k := lookKey{c.id, from, name}
	l := v.looks[k]
	if l == nil {
		k.from, k.name = strings.Clone(from), strings.Clone(name)
		l = &lookup{lookKey: k, end: v.ends.number(strings.TrimPrefix(strings.TrimPrefix(k.name, "/"), "./"))}
		c.candidates(k.from, k.name, func(string) { l.count++ })
		v.looks[k] = l
	}
	return l
}

// look finds out which candidates of a name exist.
func (v *view) look(c *chain, l *lookup) finding {
	if l.epoch == v.epoch {
		return l.whole
	}
	l.epoch = v.epoch
	for i := 0; l.known && i < len(l.watched); i++ {
		l.known = l.watched[i].holds(v)
	}
	if !l.known {
		l.watched, l.base, l.known = nil, finding{}, true
		i := 0
		c.candidates(l.from, l.name, func(at string) {
			i++
			found, w, known := v.exists(at, l.watched)
			l.watched, l.known = w, l.known && known
			if found {
				l.base = v.adding(l.base, i, at)
			}
		})
	}
	l.whole = l.base
	if strings.HasPrefix(l.name, "/") {
		return l.whole
	}
	first, _, _ := strings.Cut(l.name, "/")
	for i, d := range c.tail {
		if !d.has(first) {
			continue
		}
		at := d.name + "/" + l.name
		if found, _, _ := v.exists(at, nil); found {
			l.whole = v.adding(l.whole, l.count+1+i, at)
		}
	}
	return l.whole
}

// adding returns f with a candidate more.
func (v *view) adding(f finding, i int, at string) finding {
	return finding{f.exist + string([]byte{byte(i)}), append(slices.Clip(f.paths), v.paths.number(v.find("", at).path))}
}

// hasOf returns what tells whether a folder may have a name.
func (v *view) hasOf(p place) func(name string) bool {
	always := func(string) bool { return true }
	switch rel, below := strings.CutPrefix(p.path, action.BuildDir+"/"); {
	case !p.found():
		return func(string) bool { return false }
	case p.kind != action.Dir || v.nested || slices.ContainsFunc(v.mounts, func(m action.PathInput) bool { return strings.HasPrefix(m.Path, p.path+"/") }):
		return always
	case p.area == input || p.area == toolchain:
		layers := v.folder(p.path)
		return func(name string) bool {
			return name == "." || name == ".." || slices.ContainsFunc(layers, func(d *action.Directory) bool {
				_, ok := d.Find(name)
				return ok
			})
		}
	case below:
		names := v.list(v.state(rel))
		return func(name string) bool { return names == nil || names[name] || name == "." || name == ".." }
	}
	return always
}

// holds reports whether every name is found where it was.
func (v *view) holds(s *shape, c *chain) bool {
	for i := range s.looks {
		if l := &s.looks[i]; v.look(c, v.lookupOf(c, l.from, l.name)).exist != l.exist {
			return false
		}
	}
	return true
}

// entryKey returns the key of the shape with the contents of now. ok is false if a
// file is missing. newest is the latest change of a file that the build wrote.
func (s *Server) entryKey(manifest action.Digest, sh *shape, id action.Digest) (key action.Digest, newest int64, ok bool) {
	v := s.view
	b := []byte("labstar compile entry 1\x00")
	b = append(b, manifest.Hash[:]...)
	b = append(b, id.Hash[:]...)
	config := 0
	var module []byte
	for i, d := range sh.deps {
		number := uint32(0)
		if sh.numbers != nil {
			number = sh.numbers[i]
		} else {
			number = v.names.number(d)
		}
		p := v.named(number).place
		digest, changed, err := v.content(p)
		if err != nil {
			return key, 0, false
		}
		if !changed.IsZero() {
			newest = max(newest, changed.UnixNano())
		}
		if config < len(sh.config) && sh.config[config] == i {
			config++
			c := s.config(p, digest)
			if c == nil {
				return key, 0, false
			}
			b = append(b, "config\x00"...)
			if c.options {
				b = append(append(append(b, "options\x00"...), c.values[""]...), 0)
			}
			for _, name := range sh.symbols {
				module = append(append(module[:0], name...), "_MODULE"...)
				b = append(append(b, c.values[name]...), 0)
				b = append(append(b, c.values[string(module)]...), 0)
			}
			continue
		}
		b = append(b, digest.Hash[:]...)
	}
	return action.Of(b), newest, true
}
