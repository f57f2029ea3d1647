package ldcache

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var libs = []Library{
	{"libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6", X8664},
	{"libz.so.1", "/lib/x86_64-linux-gnu/libz.so.1", X8664},
	{"libfoo.so.10", "/usr/lib/libfoo.so.10", X8664},
	{"libfoo.so.9", "/usr/lib/libfoo.so.9", X8664},
	{"libfoo.so", "/usr/lib/libfoo.so", X8664},
	{"ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2", X8664},
}

func TestOrder(t *testing.T) {
	for _, c := range [][2]string{{"liba.so.9", "liba.so.10"}, {"liba", "libb"}, {"liba.so", "liba.so.1"}, {"liba-x", "liba1"}, {"lib", "lib1"}} {
		if compare(c[0], c[1]) >= 0 || compare(c[1], c[0]) <= 0 || compare(c[0], c[0]) != 0 {
			t.Errorf("want %s before %s", c[0], c[1])
		}
	}
}

func TestEncode(t *testing.T) {
	a, err := Encode(libs)
	if err != nil {
		t.Fatal(err)
	}
	back := slices.Clone(libs)
	slices.Reverse(back)
	b, err := Encode(back)
	if err != nil || string(a) != string(b) {
		t.Errorf("the order of the libraries shows: %v", err)
	}
	if _, err := Encode(append(back, libs[0])); err == nil || !strings.Contains(err.Error(), "libc.so.6 twice") {
		t.Errorf("got %v", err)
	}
	if _, err := Encode([]Library{{"", "x", 3}}); err == nil {
		t.Error("an empty name was taken")
	}
}

func TestDecode(t *testing.T) {
	b, err := Encode(libs)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Decode(append([]byte("ld.so-1.7.0 and what an old cache has"), b...))
	if err != nil || len(got) != len(libs) {
		t.Fatalf("got %v (%v), want %v", got, err, libs)
	}
	for _, l := range libs {
		if !slices.Contains(got, l) {
			t.Errorf("got %v, want %v in it", got, l)
		}
	}
	for n := range len(b) {
		if _, err := Decode(b[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes were taken", n, len(b))
		}
	}
}

// The GNU C library's own ldconfig reads what we write.
func TestLdconfigReads(t *testing.T) {
	ldconfig := "/sbin/ldconfig"
	if _, err := os.Stat(ldconfig); err != nil {
		t.Skip("no ldconfig on this machine")
	}
	b, err := Encode(libs)
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), "cache")
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(ldconfig, "-p", "-C", p).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), fmt.Sprintf("%d libs found", len(libs))) {
		t.Errorf("got %s", out)
	}
	for _, l := range libs {
		if want := fmt.Sprintf("%s (libc6,x86-64) => %s", l.Name, l.Path); !strings.Contains(string(out), want) {
			t.Errorf("got %s, want %s in it", out, want)
		}
	}
}
