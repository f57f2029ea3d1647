package host_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/labstar/labstar/starlark/host"
)

// loop makes n actions, each with an input, in a loop.
func loop(n int) string {
	return fmt.Sprintf(`
made = [compile(text("step %%d" %% i), options = {"N": i}, mode = "slow") for i in range(%d)]
`, n/2)
}

// straight makes n actions by n lines.
func straight(n int) string {
	var b strings.Builder
	b.WriteString("src = text(\"source\")\n")
	for i := range n {
		fmt.Fprintf(&b, "t%d = compile(src, options = {\"N\": %d}, mode = \"slow\")\n", i, i)
	}
	return b.String()
}

func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		for name, src := range map[string]string{"loop": loop(n), "lines": straight(n)} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := host.Load(b.Context(), config(map[string]string{"lab.star": src}), "lab.star"); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/call")
			})
		}
	}
}

// Strings that look like pieces of tokens, such as commits, cost no more in a
// large graph than in a small one.
func BenchmarkHexStrings(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		src := fmt.Sprintf("x = [compile(text('%%d0123456789abcdef0123456789abcdef' %% i), note = compile(text('%%d' %% i)).digest) for i in range(%d)]", n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := host.Load(b.Context(), config(map[string]string{"lab.star": src}), "lab.star"); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/string")
		})
	}
}
