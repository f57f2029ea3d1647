//go:build linux

package compile

import (
	"path"
	"strings"

	"github.com/labstar/labstar/action"
)

// chain is the folders in which a command line searches, outside of the toolchain.
type chain struct {
	id     int
	quotes []string // for "name" alone
	plain  []string
}

type lookKey struct {
	chain      int
	from, name string
}

// lookup is a name that is searched for, and what the last search found.
type lookup struct {
	lookKey
	end     uint32 // number of the name among the ends of paths
	known   bool   // what follows holds as long as what is watched does
	exist   string // see look
	watched []watch
	epoch   uint64   // in which exist was last looked at
	done    uint64   // the epoch in which a shape got it
	found   []string // the candidates that exist
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

// candidates calls f for every path at which a name may be found.
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
		v.looks[k] = l
	}
	return l
}

// look finds out which candidates of a name exist.
func (v *view) look(c *chain, l *lookup) string {
	if l.epoch == v.epoch {
		return l.exist
	}
	l.epoch = v.epoch
	for i := 0; l.known && i < len(l.watched); i++ {
		l.known = l.watched[i].holds(v)
	}
	if l.known {
		return l.exist
	}
	var exist []byte
	l.watched, l.found, l.known = nil, nil, true
	i := 0
	c.candidates(l.from, l.name, func(at string) {
		i++
		found, w, known := v.exists(at, l.watched)
		l.watched, l.known = w, l.known && known
		if found {
			exist = append(exist, byte(i))
			l.found = append(l.found, at)
		}
	})
	l.exist = string(exist)
	return l.exist
}

// holds reports whether every name is found where it was.
func (v *view) holds(s *shape, c *chain) bool {
	for i := range s.looks {
		if l := &s.looks[i]; v.look(c, v.lookupOf(c, l.from, l.name)) != l.exist {
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
		p := v.find("", d)
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

// dirOf is the folder of a file as the compiler names it when it looks beside it.
func dirOf(name string) string { return path.Dir(name) }
