package debian

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/config"
)

// realArchive is the mirror that this machine is set up for, or a skip.
func realArchive(t *testing.T) (*Archive, *Release) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: not asking a mirror")
	}
	home, _ := os.UserHomeDir()
	c, err := config.Load(os.Getenv, home)
	if err != nil {
		t.Fatal(err)
	}
	mirrors := strings.Fields(c.Get("debian.mirror"))
	if len(mirrors) == 0 {
		t.Skip("no Debian mirror is configured on this machine")
	}
	keys, err := Keys()
	if err != nil {
		t.Fatal(err)
	}
	a := &Archive{Mirrors: mirrors, Keys: keys, Now: time.Now()}
	if dir, err := os.UserCacheDir(); err == nil {
		a.Dir = filepath.Join(dir, "labstar-test", "debian")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	rel, err := a.Release(ctx, "trixie")
	if err != nil && strings.Contains(err.Error(), "fetching") || ctx.Err() != nil {
		t.Skipf("no Debian mirror can be reached: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return a, rel
}

func TestRealMirror(t *testing.T) {
	a, rel := realArchive(t)
	if _, err := a.Release(t.Context(), "bookworm"); err != nil {
		t.Errorf("bookworm: %v", err)
	}
	if _, err := a.Release(t.Context(), "trixy"); err == nil || !strings.Contains(err.Error(), `suite "trixy" is not on the Debian mirror`) {
		t.Errorf("got %v", err)
	}
	if _, err := a.Packages(t.Context(), rel, "trixie", "amd46"); err == nil || !strings.Contains(err.Error(), "want one of amd64, arm64") {
		t.Errorf("got %v", err)
	}
	start := time.Now()
	x, err := a.Packages(t.Context(), rel, "trixie", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d packages in %v, %d MB of heap in use, %d MB taken", x.Len(), time.Since(start).Round(time.Millisecond), m.HeapInuse>>20, m.HeapSys>>20)
	if x.Len() < 50000 {
		t.Errorf("got %d packages, want the whole suite", x.Len())
	}
	start = time.Now()
	names := strings.Fields("gcc make flex bison bc perl python3 libelf-dev libc6-dev e2fsprogs mtools syslinux bash coreutils")
	res, err := x.Resolve(names, nil)
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for _, p := range res.Packages {
		size += p.Digest.Size
	}
	t.Logf("%d packages, %d MB, in %v", len(res.Packages), size>>20, time.Since(start).Round(time.Millisecond))
	for _, want := range []string{"libc6", "cpp-14", "binutils", "libtinfo6", "m4", "linux-libc-dev", "gcc-14"} {
		if res.Packages[want] == nil {
			t.Errorf("%s is missing from the closure", want)
		}
	}
	if n := len(res.Packages); n < 80 || n > 200 || len(res.Conflicts) > 0 {
		t.Errorf("got %d packages, conflicts %v", n, res.Conflicts)
	}
	var essential []string
	for _, p := range x.Essential() {
		essential = append(essential, p.Name)
	}
	t.Log("essential: ", strings.Join(essential, " "))
	_, err = x.Resolve([]string{"pyhton3"}, nil)
	if err == nil || !strings.Contains(err.Error(), "did you mean python3") {
		t.Errorf("got %v", err)
	}
	start = time.Now()
	srcs, err := a.Sources(t.Context(), rel, "trixie", []string{"busybox", "linux"})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("sources in %v: %+v", time.Since(start).Round(time.Millisecond), srcs["busybox"])
}

// Every package of the suite has fields that can be read.
func TestRealRelations(t *testing.T) {
	a, rel := realArchive(t)
	x, err := a.Packages(t.Context(), rel, "trixie", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range x.packages {
		for _, f := range []string{p.Depends, p.PreDepends, p.Provides, p.Conflicts, p.Breaks} {
			g, err := ParseRelations(f)
			if err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
			n += len(g)
		}
	}
	t.Logf("%d relations", n)
}
