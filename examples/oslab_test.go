package examples

import "testing"

// The whole reference lab from one script: built, again from the store, and what it
// made with its sizes and times.
func TestOSLab(t *testing.T) {
	endToEnd(t)
	l := withChat(t, "oslab")
	l.long([]string{"kernel", "glibc"}, "lab.star")
	t.Logf("run: %s", l.run("lab.star").raw)
	if again := l.run("lab.star"); again.Ran != 0 || again.Failed != 0 {
		t.Errorf("the second time: got %s, want nothing run", again.raw)
	}
	t.Log(l.output("targets", "lab.star"))
	results, out := l.testResults("lab.star")
	for name, r := range results {
		if r["status"] != "passed" && r["status"] != "cached" {
			t.Errorf("%s: %s: %s\n%s", name, r["status"], r["message"], out)
		}
	}
}
