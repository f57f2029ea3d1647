//go:build linux

package compile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/action"
)

// kernelUnit is a unit like a kernel's: 600 headers in ten folders, forty of them
// written by the build, 300 symbols, and an object of 40 KB. There are n sources.
func kernelUnit(b *testing.B, n int) (l *lab, cc compiler, argv func(i int) []string) {
	l = newLab(b)
	deps := []string{"include/autoconf.h"}
	var dirs []string
	for i := range 10 {
		dirs = append(dirs, fmt.Sprintf("-I/in/src/d%d", i))
	}
	main := "#include <autoconf.h>\n"
	var config strings.Builder
	for i := range 600 {
		name := fmt.Sprintf("linux/h%d.h", i)
		main += "#include <" + name + ">\n"
		if i%15 == 0 {
			l.write("include/"+name, fmt.Sprintf("int h%d;\n", i))
			deps = append(deps, "include/"+name)
			continue
		}
		at := fmt.Sprintf("d%d/%s", i%10, name)
		l.src[at] = fmt.Sprintf("#ifdef CONFIG_X%d\n#endif\n", i/2)
		deps = append(deps, "/in/src/"+at)
	}
	for i := range 1500 {
		fmt.Fprintf(&config, "#define CONFIG_X%d 1\n", i)
	}
	l.write("include/autoconf.h", config.String())
	for i := range n {
		l.src[fmt.Sprintf("main%d.c", i)] = fmt.Sprintf("%sint main%d;\n", main, i)
	}
	l.wait = 120 * time.Millisecond
	return l, compiler{deps: strings.Join(deps, " "), object: strings.Repeat("object", 7000)}, func(i int) []string {
		name := fmt.Sprintf("main%d", i%n)
		return append(append([]string{"gcc"}, dirs...), "-Iinclude", "-nostdinc", fmt.Sprintf("-DN=%d", i/n), "-Wp,-MMD,"+name+".d", "-c", "-o", name+".o", "/in/src/"+name+".c")
	}
}

// BenchmarkHit is a hit of such a unit.
func BenchmarkHit(b *testing.B) {
	l, cc, argv := kernelUnit(b, 1)
	cc.deps = "/in/src/main0.c " + cc.deps
	s := l.server()
	l.ask(s, cc, action.BuildDir, argv(0)...)
	if o := l.ask(s, cc, action.BuildDir, argv(0)...); o.end != 'F' {
		b.Fatalf("got %c, want a hit", o.end)
	}
	l.wait = time.Nanosecond
	b.ResetTimer()
	for b.Loop() {
		l.ask(s, cc, action.BuildDir, argv(0)...)
	}
	b.StopTimer()
	if _, err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMiss is what labstar itself does for a unit that was not known: objects come
// one after another into the folder where the next one's are looked for.
func BenchmarkMiss(b *testing.B) {
	l, cc, argv := kernelUnit(b, 50)
	s := l.server()
	i, object, deps := 0, cc.object, cc.deps
	cc.deps = "/in/src/main0.c " + deps
	l.ask(s, cc, action.BuildDir, argv(0)...)
	l.wait = time.Nanosecond
	b.ResetTimer()
	for b.Loop() {
		i++
		cc.object, cc.deps = fmt.Sprint(object, i), fmt.Sprintf("/in/src/main%d.c %s", i%50, deps)
		l.write(fmt.Sprintf("main%d.o", i), "")
		if o := l.ask(s, cc, action.BuildDir, argv(i)...); o.end != 'K' {
			b.Fatalf("got %c, want a miss", o.end)
		}
	}
	b.StopTimer()
	st, err := s.Close()
	if err != nil || st.Hits > 0 || len(st.Reasons) > 0 {
		b.Fatal(st, err)
	}
}
