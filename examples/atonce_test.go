package examples

import (
	"bytes"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const atOnceLab = `
NS = "default"
manifests = manifest([plain("ConfigMap", "common", data = {"of": "WHO"})] + [plain("ConfigMap", "WHO-%d" % i) for i in range(5)])
waits = manifest(workload("Deployment", "waits-WHO", image("hold")))
dies = manifest(workload("Deployment", "dies-WHO", image("IMAGE")))
`

// running is a command that was started.
type running struct {
	*exec.Cmd
	out bytes.Buffer
}

func (c *clusterTest) startLabstar(args ...string) *running {
	c.t.Helper()
	r := &running{Cmd: c.command(args...)}
	r.Stdout, r.Stderr = &r.out, &r.out
	if err := r.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = r.Process.Kill() })
	return r
}

// until waits until the parent of a target has what is wanted of its holder.
func (c *clusterTest) until(target string, held bool) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		parent, err := c.try("GET", "/api/v1/namespaces/default/configmaps/labstar.atonce."+target, "", nil)
		if err == nil && (str(parent, "metadata", "annotations", "labstar/held-by") != "") == held {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("held: want %v, got %v (%v)", held, parent, err)
		}
	}
}

// testAtOnce applies one set from two checkouts at the same time.
func testAtOnce(c *clusterTest) {
	other := c.controlPlane.newLab(c.t)
	c.script(atOnceLab, "WHO", "alice", "IMAGE", "hold")
	other.script(atOnceLab, "WHO", "bob", "IMAGE", "web")
	apply := func(target string, more ...string) []string {
		return append([]string{"apply", "lab.star", target, "--name", "atonce", "--yes"}, more...)
	}

	// One that was killed is waited for no longer than it could live.
	dead := c.startLabstar(apply("dies")...)
	c.until("dies", true)
	if err := dead.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	heir := other.startLabstar(apply("dies")...)

	// The second waits for the first, and says for whom; its time is limited.
	first := c.startLabstar(apply("waits", "--timeout", "5m", "--patience", "5m")...)
	c.until("waits", true)
	other.labstar(1, apply("waits", "--timeout", "2s"), "ConfigMap default/labstar.atonce.waits: is being applied by ", " (process ", ": waiting until that has ended",
		"ApplySet default/labstar.atonce.waits is being applied by ", "and still is after 2s: let that end, or stop it, and run the command again")
	other.labstar(1, []string{"delete", "lab.star", "waits", "--name", "atonce", "--yes", "--timeout", "1s"}, "is being applied by ")
	if err := first.Process.Signal(syscall.SIGINT); err != nil {
		c.t.Fatal(err)
	}
	_ = first.Wait() // with 130, which another test is about
	c.until("waits", false)
	other.labstar(0, apply("waits", "--no-wait"), "created Deployment default/waits-bob", "removed Deployment default/waits-alice")

	// Both at the same moment: all of one is there, and nothing of the other.
	for range 4 {
		a, b := c.startLabstar(apply("manifests")...), other.startLabstar(apply("manifests")...)
		for _, r := range []*running{a, b} {
			if err := r.Wait(); err != nil {
				c.t.Errorf("two at once: %v\n%s", err, &r.out)
			}
		}
		who := str(c.must("GET", "/api/v1/namespaces/default/configmaps/common", "", nil), "data", "of")
		var maps []string
		for _, name := range strings.Fields(c.names("/api/v1/namespaces/default/configmaps")) {
			if !strings.HasPrefix(name, "labstar.") { // a parent
				maps = append(maps, name)
			}
		}
		want := strings.ReplaceAll("WHO-0 WHO-1 WHO-2 WHO-3 WHO-4 common", "WHO", who)
		if got := strings.Join(maps, " "); got != want {
			c.t.Errorf("two at once, the last was %s: got the config maps %s, want %s\n%s\n%s", who, got, want, &a.out, &b.out)
		}
	}

	if err := heir.Wait(); err != nil || !strings.Contains(heir.out.String(), "is being applied by ") {
		c.t.Errorf("after one that was killed: %v\n%s", err, &heir.out)
	}
	c.labstar(0, []string{"delete", "--name", "atonce", "--yes"}, "removed 8 objects")
	if got := c.names("/api/v1/namespaces/default/configmaps"); got != "" {
		c.t.Errorf("got the config maps %s, want none", got)
	}
}
