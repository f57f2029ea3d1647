package labstar_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/builtins/rootfs"
)

const secretLab = `
root = rootfs(users = [user("root", password = secret("root"), shell = "/bin/false")], fhs = False)
plain = rootfs(fhs = False)
both = rootfs(users = [user("root", password = secret("root"), shell = "/bin/false"), user("lab", password = secret("lab"), shell = "/bin/false")], fhs = False)
`

// secretRun builds the lab in dir with the values given.
func secretRun(t *testing.T, dir string, secrets map[string]string, targets ...string) (rep *labstar.Report, plan int, causes string, events []byte) {
	t.Helper()
	ctx := context.Background()
	var seen bytes.Buffer
	ls, err := labstar.New(
		labstar.WithBuiltins(rootfs.Builtins()...), labstar.WithDir(dir), labstar.WithStoreDir(filepath.Join(dir, "store")),
		labstar.WithKeepGoing(true), labstar.WithEvents(func(e labstar.Event) { fmt.Fprintf(&seen, "%+v %v\n", e, e.Err) }),
		labstar.WithSecrets(func(name string) (string, error) {
			if v, ok := secrets[name]; ok {
				return v, nil
			}
			return "", fmt.Errorf("secret %q is not given: give it", name)
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := ls.Close(); err != nil {
			t.Error(err)
		}
	}()
	lab, err := ls.Load(ctx, "lab.star")
	if err != nil {
		t.Fatal(err)
	}
	changes, err := ls.Changes(ctx, lab, targets...)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ls.Plan(ctx, lab, targets...)
	if err != nil {
		t.Fatal(err)
	}
	rep, err = ls.Build(ctx, lab, targets...)
	if err != nil {
		t.Fatal(err)
	}
	if rep.Failed == 0 {
		if _, err := rep.Deliver(ctx, filepath.Join(dir, "out"), true); err != nil {
			t.Fatal(err)
		}
	}
	return rep, len(p.Steps), fmt.Sprintf("%+v", changes), seen.Bytes()
}

func secretDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lab.star"), []byte(secretLab), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestSecretNowhere looks for a secret's value, and for what is as good as it, in
// everything that a build leaves: the store with its records, what is delivered,
// what is told.
func TestSecretNowhere(t *testing.T) {
	const value = "correct-horse-battery-staple"
	dir := secretDir(t)
	_, _, _, events := secretRun(t, dir, map[string]string{"root": value, "lab": value})
	reversed := []byte(value)
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	needles := [][]byte{
		[]byte(value), reversed, []byte(hex.EncodeToString([]byte(value))), []byte(base64.StdEncoding.EncodeToString([]byte(value))[:32]),
		[]byte(strings.ToUpper(hex.EncodeToString([]byte(value)))),
	}
	files := 0
	look := func(where string, b []byte) {
		for _, n := range needles {
			if bytes.Contains(b, n) {
				t.Errorf("%s holds the secret as %q", where, n)
			}
		}
	}
	look("what is told of the build", events)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(p)
		files++
		look(p, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	shadow, err := os.ReadFile(filepath.Join(dir, "out", "both", "etc", "shadow"))
	if err != nil || strings.Count(string(shadow), ":$6$") != 2 {
		t.Errorf("got shadow %q (%v), want two hashes", shadow, err)
	}
	t.Logf("looked through %d files and %d bytes of events", files, len(events))
}

// TestSecretChanged: the same value builds nothing, another one builds what
// depends on it and says so.
func TestSecretChanged(t *testing.T) {
	dir := secretDir(t)
	first, _, _, _ := secretRun(t, dir, map[string]string{"root": "one", "lab": "two"})
	if first.Ran != 3 {
		t.Errorf("ran %d, want the three trees", first.Ran)
	}
	again, planned, causes, _ := secretRun(t, dir, map[string]string{"root": "one", "lab": "two"})
	if again.Ran != 0 || planned != 0 || causes != "[]" {
		t.Errorf("ran %d, planned %d for %s with the same secrets, want 0", again.Ran, planned, causes)
	}
	changed, planned, causes, _ := secretRun(t, dir, map[string]string{"root": "one", "lab": "three"})
	if changed.Ran != 1 || planned != 1 || !strings.Contains(causes, "the secret lab changed") || strings.Contains(causes, "secret root") {
		t.Errorf("ran %d, planned %d for %s with another secret, want 1 and its name", changed.Ran, planned, causes)
	}
	back, _, _, _ := secretRun(t, dir, map[string]string{"root": "one", "lab": "two"})
	if back.Ran != 0 {
		t.Errorf("ran %d with the secret as it was, want 0", back.Ran)
	}
}

// TestSecretMissing: what needs no secret, or one that is given, is built.
func TestSecretMissing(t *testing.T) {
	dir := secretDir(t)
	rep, planned, _, _ := secretRun(t, dir, map[string]string{"root": "one"})
	if planned == 0 || rep.Failed != 1 || rep.Skipped != 1 || rep.Ran != 2 {
		t.Errorf("planned %d, ran %d, failed %d, skipped %d, want the tree with the secret lab alone to fail", planned, rep.Ran, rep.Failed, rep.Skipped)
	}
	var failed *labstar.BuildError
	if !errors.As(errors.Join(rep.Errors...), &failed) {
		t.Fatalf("got %v", rep.Errors)
	}
	if got, want := failed.Error(), `lab.star:4:110: password of lab: secret "lab" is not given: give it`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
