package examples

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSystem composes a full system, and reads it with the tools that would: its
// own shell in the sandbox, openssl for the password, cpio for owners and modes.
func TestSystem(t *testing.T) {
	endToEnd(t)
	const password = "correct horse battery"
	l := newLab(t, "system", sharedStore(t))
	l.writeScript("password.txt", password+"\n")
	first := l.run("--secret", "root=password.txt", "lab.star")
	t.Logf("first run: %s", first.raw)
	if second := l.run("--secret", "root=password.txt", "lab.star"); second.Ran != 0 {
		t.Errorf("the second run ran something: %s", second.raw)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(l.dir, "out", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	report := read("report")
	for _, want := range []string{
		"/etc/init.d/rcS is a script", "/etc/init.d/network is a script", "/usr/share/udhcpc/default.script is a script",
		"it is 2026-07-01 02:00 CEST", "uid=101(web) gid=101(web)", "::respawn:/etc/init.d/web", "::respawn:/sbin/getty -L 0 console linux",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the system says\n%swant in it %q", report, want)
		}
	}
	if rc := read("root/etc/init.d/rcS"); !strings.Contains(rc, "for service in mounts clock hostname keymap network pages; do") {
		t.Errorf("got another order of services:\n%s", rc)
	}
	// busybox' format: 7 bytes of magic, 256 flags, a table of 256 bytes for each.
	keymap := read("root/etc/keymap.bmap")
	tables := strings.Count(keymap[7:7+256], "\x01")
	if !strings.HasPrefix(keymap, "bkeymap") || len(keymap) != 7+256+256*tables {
		t.Errorf("got a key map of %d bytes with %d tables", len(keymap), tables)
	}
	// The key beside Tab is an a on a Belgian keyboard (KT_LETTER, 'a').
	const keyQ = 16
	if a := keymap[7+256+2*keyQ]; a != 'a' {
		t.Errorf("got the letter %q for the first key of the row, want a", a)
	}
	if n := bytes.Count([]byte(read("root/etc/localtime")), []byte("TZif")); n != 2 {
		t.Errorf("got a time zone with %d headers, want 2", n)
	}
	t.Run("openssl", func(t *testing.T) {
		need(t, "openssl")
		root, _, _ := strings.Cut(read("root/etc/shadow"), "\n")
		hash := strings.Split(root, ":")[1]
		salt := strings.Split(hash, "$")[2]
		if got := strings.TrimSpace(tool(t, "openssl", "passwd", "-6", "-salt", salt, password)); got != hash {
			t.Errorf("got the hash %s, want %s", hash, got)
		}
	})
	t.Run("cpio", func(t *testing.T) {
		need(t, "cpio", "gzip")
		list := tool(t, "sh", "-c", "gzip -dc "+filepath.Join(l.dir, "out", "initrd")+" | cpio -tvn --quiet")
		for file, want := range map[string]string{
			"etc/shadow": "-rw-r----- 1 0 42 ", "root": "drwx------ 2 0 0 ", "root/.ssh": "drwx------ 2 0 0 ",
			"root/.ssh/authorized_keys": "-rw------- 1 0 0 ", "srv/www/index.html": "-rw-r--r-- 1 101 101 ",
			"etc/init.d/rcS": "-rwxr-xr-x 1 0 0 ",
		} {
			found := false
			for line := range strings.Lines(list) {
				f := strings.Fields(line)
				if f[len(f)-1] == file {
					found = strings.HasPrefix(strings.Join(f, " "), strings.Replace(want, " 2 ", " "+f[1]+" ", 1))
				}
			}
			if !found {
				t.Errorf("want %s%s in\n%s", want, file, list)
			}
		}
	})
	t.Run("grep", func(t *testing.T) { // through what is delivered; the store's own test is in the root package
		need(t, "grep")
		if out := tool(t, "sh", "-c", "grep -rlF '"+password+"' "+filepath.Join(l.dir, "out")+" || true"); out != "" {
			t.Errorf("the password is in %s", out)
		}
	})
}

// A system whose kernel lacks what it needs fails before it is composed.
func TestSystemOnTinyKernel(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "system", sharedStore(t))
	l.edit("lab.star", `options = {"VT": True}`, `options = {"VT": False, "PACKET": False}`)
	l.env = append(l.env, "LABSTAR_SECRET_ROOT=x")
	s, err := l.tryRun("lab.star", "root")
	if err == nil {
		t.Fatal("the system was composed")
	}
	for _, want := range []string{
		`checking kernel: CONFIG_PACKET is off, and udhcpc needs it; add options = {\"PACKET\": True} to kernel_config`,
		`checking kernel: CONFIG_VT is off, and the key map needs it; add options = {\"VT\": True} to kernel_config`,
	} {
		if !strings.Contains(s.stdout, want) {
			t.Errorf("got\n%s%swant %s", s.stdout, s.standardError, want)
		}
	}
}
