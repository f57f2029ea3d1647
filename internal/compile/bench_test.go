//go:build linux

package compile

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/action"
)

// BenchmarkHit is a hit of a unit like a kernel's: 600 headers in ten folders, forty
// of them written by the build, 300 symbols, and an object of 40 KB.
func BenchmarkHit(b *testing.B) {
	l := newLab(b)
	deps := []string{"/in/src/main.c", "include/autoconf.h"}
	var argv []string
	for i := range 10 {
		argv = append(argv, fmt.Sprintf("-I/in/src/d%d", i))
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
	l.src["main.c"] = main
	argv = append(append([]string{"gcc"}, argv...), "-Iinclude", "-nostdinc", "-Wp,-MMD,main.d", "-c", "-o", "main.o", "/in/src/main.c")
	cc := compiler{deps: strings.Join(deps, " "), object: strings.Repeat("object", 7000)}
	s := l.server()
	l.ask(s, cc, action.BuildDir, argv...)
	if o := l.ask(s, cc, action.BuildDir, argv...); o.end != 'F' {
		b.Fatalf("got %c, want a hit", o.end)
	}
	l.wait = time.Nanosecond
	b.ResetTimer()
	for b.Loop() {
		l.ask(s, cc, action.BuildDir, argv...)
	}
	b.StopTimer()
	if _, err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
