package action_test

import (
	"context"
	"io/fs"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
)

func TestResolve(t *testing.T) {
	ctx := context.Background()
	e := action.NewEdit(nil, action.Digest{})
	put := func(p string, n action.Node) {
		t.Helper()
		if err := e.Put(ctx, p, n, action.Refuse); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to string) action.Node { return action.Node{Kind: action.Symlink, Target: to} }
	put("usr/bin/busybox", action.Node{Kind: action.Regular, Attr: action.Attr{Mode: 0o755}})
	put("usr/bin/data", action.Node{Kind: action.Regular, Attr: action.Attr{Mode: 0o644}})
	put("bin", link("usr/bin"))
	put("sbin/init", link("../bin/busybox"))
	put("init", link("/sbin/init"))
	put("loop", link("loop"))
	put("lost", link("/nowhere/x"))
	put("up", link("../../../usr/bin/busybox"))
	for path, want := range map[string]string{
		"/bin/busybox": "usr/bin/busybox", "init": "usr/bin/busybox", "sbin/../sbin//init": "usr/bin/busybox", "up": "usr/bin/busybox", "/": "",
	} {
		n, at, err := e.Resolve(ctx, path)
		if err != nil || at != want || (want != "" && n.Kind != action.Regular) {
			t.Errorf("%s: got %q, %v, want %q", path, at, err, want)
		}
	}
	for path, want := range map[string]string{"loop": "loop", "lost": "nowhere", "bin/nothing": "usr/bin/nothing", "init/x": "usr/bin/busybox"} {
		if _, at, err := e.Resolve(ctx, path); at != want || !strings.Contains(err.Error(), fs.ErrNotExist.Error()) {
			t.Errorf("%s: got %q, %v, want %q and no such file", path, at, err, want)
		}
	}
	for path, want := range map[string]string{
		"/init": "", "/bin/data": "has no run bit", "/bin": "is a directory", "/x": `"/x" is not there`, "/lost": `leads to "/nowhere"`,
	} {
		err := e.Runnable(ctx, path)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
}
