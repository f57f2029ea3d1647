//go:build linux

package compile

import (
	"errors"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/labstar/labstar/action"
)

// compile answers a compiler's command line.
func (s *Server) compile(q *request, sh shim) (why string) {
	if p := parseProbe(q.argv); p != nil {
		return s.probe(q, p, sh)
	}
	u, why := parseCC(q.argv)
	if why != "" {
		return why
	}
	if v, _ := q.getenv("LIBRARY_PATH"); u.mode == 'l' && v != "" {
		return "variable LIBRARY_PATH"
	}
	if why := s.foldersMissing(u, q.dir); why != "" {
		return why
	}
	want := []file{u.object()}
	if u.depfile != "" {
		want = append(want, file{role: "deps", path: u.depfile})
	}
	manifest := s.manifestKey(q)
	e := s.lookup(q, u, manifest, want)
	verify := e != nil && s.chosen()
	if e != nil && !verify {
		_ = s.hit(sh, e)
		return ""
	}
	return s.miss(q, u, sh, manifest, want, e)
}

// object is the file that a unit makes. The assembler and the linker replace what is there.
func (u *unit) object() file {
	return file{role: "object", path: u.output, replace: u.mode == 'c' || u.mode == 'l', exec: u.mode == 'l'}
}

// lookup looks for an entry whose dependencies are as they are now.
func (s *Server) lookup(q *request, u *unit, manifest action.Digest, want []file) *entry {
	c := s.opts.Cache
	shapes := c.shapesOf(s.ctx, manifest)
	if len(shapes) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.begin()
	ch := s.view.chainOf(u, q.dir)
	for _, at := range shapes {
		k, err := c.shapeAt(s.ctx, at)
		if err != nil || !s.view.holds(k.shape, ch) {
			continue
		}
		key, _, ok := s.entryKey(manifest, k.shape, k.id)
		if !ok {
			continue
		}
		if e, err := c.load(s.ctx, key, want); err == nil {
			s.matched[manifest] = k
			return e
		}
	}
	return nil
}

// miss has the real compiler run, and learns from it. before is the entry that a
// verified hit would have given.
func (s *Server) miss(q *request, u *unit, sh shim, manifest action.Digest, want []file, before *entry) (why string) {
	defer s.learning(manifest)()
	argv := slices.Clone(q.argv)
	var temps []string
	temp := func(suffix string) string {
		name := s.temp(suffix)
		temps = append(temps, name)
		return name
	}
	defer func() {
		for _, t := range temps {
			_ = unix.Unlinkat(s.view.tmp, path.Base(t), 0)
		}
	}()
	deps, assembled := u.depfile, ""
	if u.depfile == "" && !u.raw {
		if u.echoes {
			return "an output that tells the command line"
		}
		deps = temp(".d")
		argv = append(argv, "-MD", "-MF", deps)
	}
	if u.mode == 'c' || u.mode == 'l' {
		assembled = temp(".as")
		argv = append(argv, "-Wa,--MD,"+assembled)
	}
	start := time.Now()
	out, err := sh.run(argv, false)
	if err != nil && !errors.Is(err, errTooLong) {
		return ""
	}
	took := time.Since(start)
	done := func(reason string) string {
		s.count(func(st *Stats) { st.Uncached++; st.Reasons[reason]++ })
		_ = sh.same()
		return ""
	}
	if errors.Is(err, errTooLong) {
		return done("a long list of messages")
	}
	if out.status != 0 {
		return done("failed")
	}
	read := func(name string) (string, bool) {
		b, ok, err := sh.get(name)
		return string(b), ok && err == nil
	}
	e := &entry{stderr: out.stderr}
	for _, f := range want {
		b, ok, err := sh.get(f.path)
		if err != nil {
			return ""
		}
		if !ok {
			return done("no output")
		}
		f.content = b
		e.files = append(e.files, f)
	}
	list := []string{u.source}
	if !u.raw {
		if u.depfile != "" && !u.sysDeps && !u.nostd {
			deps = temp(".all")
			if r, err := sh.run(preprocessed(q.argv, deps), false); err != nil || r.status != 0 {
				return done("dependencies unknown")
			}
		}
		text, ok := read(deps)
		if list, ok = depsOf(text, ok); !ok {
			return done("dependencies unknown")
		}
	}
	if assembled != "" {
		if text, ok := read(assembled); !ok || !s.assembles(q, text, list) {
			return done("the assembler reads files")
		}
	}
	if before != nil {
		s.compared(q, before, e)
	}
	s.count(func(st *Stats) { st.Misses++ })
	if sh.same() != nil {
		return ""
	}
	if reason := s.learn(q, u, manifest, list, e, start, took); reason != "" {
		s.count(func(st *Stats) { st.Reasons[reason]++ })
	}
	return ""
}

// assembles reports whether the assembler read nothing but what the compiler wrote
// for it, which is gone, and files that are in the list already. It names those that
// the text's lines come from as well, by names that need not lead to a file.
func (s *Server) assembles(q *request, text string, list []string) bool {
	names, ok := parseDeps(text)
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.begin()
	for _, n := range names {
		if !slices.Contains(list, strings.TrimPrefix(n, "./")) && s.view.find(q.dir, n).found() {
			return false
		}
	}
	return true
}

func depsOf(text string, ok bool) ([]string, bool) {
	if !ok {
		return nil, false
	}
	return parseDeps(text)
}

// manifestKey is the key of the list of shapes of a command line.
func (s *Server) manifestKey(q *request) action.Digest {
	return s.keyOf("manifest 1", q, q.argv)
}

// keyOf covers what a command line says and where it runs.
func (s *Server) keyOf(what string, q *request, argv []string) action.Digest {
	b := []byte("labstar compile " + what + "\x00")
	add := func(t string) { b = append(append(b, t...), 0) }
	for _, r := range s.opts.Root {
		b = append(b, r.Hash[:]...)
	}
	add(q.tool)
	add(q.dir)
	b = append(b, byte(q.umask), byte(q.umask>>8))
	for _, a := range argv {
		add(a)
	}
	add("")
	for _, name := range relevant {
		v, ok := q.getenv(name)
		if name == "PWD" {
			v, ok = s.workingName(q), true
		}
		if ok {
			add(name + "=" + v)
		}
	}
	return action.Of(b)
}

// workingName is what a compiler takes for the name of the working folder: PWD, if
// it leads there.
func (s *Server) workingName(q *request) string {
	pwd, _ := q.getenv("PWD")
	if pwd == q.dir || !strings.HasPrefix(pwd, "/") {
		return q.dir
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view.begin()
	if s.view.find("", pwd).path == q.dir {
		return pwd
	}
	return q.dir
}

// relevant are the variables that a compiler or assembler looks at.
var relevant = []string{
	"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH", "COMPILER_PATH", "LIBRARY_PATH", "GCC_EXEC_PREFIX",
	"GCC_COLORS", "GCC_URLS", "GCC_COMPARE_DEBUG", "GCC_EXTRA_DIAGNOSTIC_OUTPUT", "SOURCE_DATE_EPOCH", "PATH", "PWD", "TMPDIR", "LANG", "LANGUAGE",
	"LC_ALL", "LC_CTYPE", "LC_MESSAGES", "TERM", "TZ", "COLUMNS", "POSIXLY_CORRECT", "AS_FOR_TARGET", "GNUTARGET", "LDEMULATION",
	"COLLECT_NO_DEMANGLE", "LD_RUN_PATH",
}

// hostile says why a command line's environment makes it mean anything.
func (q *request) hostile() string {
	for _, name := range []string{
		"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "GLIBC_TUNABLES", "DEPENDENCIES_OUTPUT", "SUNPRO_DEPENDENCIES",
		"CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH", "COMPILER_PATH", "GCC_EXEC_PREFIX", "LOCPATH",
	} {
		if v, ok := q.getenv(name); ok && v != "" {
			return "variable " + name
		}
	}
	return ""
}
