package examples

import "testing"

// Docker on a kernel of the script's own, in a guest: what `docker run` prints, and
// moby's own check of the kernel.
func TestDockerHost(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "dockerhost", sharedStore(t))
	l.long([]string{"kernel"}, "lab.star")
	t.Logf("run: %s", l.run("lab.star").raw)
	t.Log(l.output("test", "lab.star"))
}
