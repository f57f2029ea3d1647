package disk_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/builtins/disk"
	"github.com/labstar/labstar/internal/buildtest"
)

// image builds an artifact and writes it to a file.
func image(t *testing.T, lab *buildtest.Lab, v starlark.Value) string {
	t.Helper()
	return export(t, lab, lab.Build(v))
}

func export(t *testing.T, lab *buildtest.Lab, d action.Digest) string {
	t.Helper()
	b, err := lab.Store.OpenBlob(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	name := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, b); err != nil {
		t.Fatal(err)
	}
	return name
}

// tool runs a reader of what we write.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	at, err := exec.LookPath(name)
	if err != nil {
		if at, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, at, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%.4000s", name, args, err, out)
	}
	return string(out)
}

func wantAll(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !regexp.MustCompile(w).MatchString(got) {
			t.Errorf("got no %q in\n%s", w, got)
		}
	}
}

func rootTree(lab *buildtest.Lab, more map[string]buildtest.Node) starlark.StringDict {
	nodes := map[string]buildtest.Node{
		"bin/su":     {Text: "#!/bin/sh\n", Mode: 0o4755},
		"etc/shadow": {Text: "root:!:::::::\n", Mode: 0o640, GID: 42},
		"home/lab/":  {Mode: 0o700, UID: 1000, GID: 1000},
		"home/lab/x": {Text: strings.Repeat("x", 100000), UID: 1000, GID: 1000},
		"bin/ping":   {Text: "ping", Mode: 0o755, Xattrs: []action.Xattr{{Name: "user.note", Value: []byte("kept")}}},
		"usr/bin/vi": {Target: "../../bin/su"},
	}
	for p, n := range more {
		nodes[p] = n
	}
	return starlark.StringDict{"root": lab.Tree(nodes)}
}

func TestExt4(t *testing.T) {
	lab := buildtest.New(t)
	g := lab.Eval(disk.Builtins(), `
fs = ext4(root, label = "top", size = "32M")
other = ext4(root, label = "top", size = "32M")
given = ext4(root, uuid = "11111111-2222-3333-4444-555555555555")
small = ext4(root, size = "64K")
`, rootTree(lab, nil))
	name := image(t, lab, g["fs"])
	tool(t, "e2fsck", "-fn", name)
	wantAll(t, tool(t, "dumpe2fs", "-h", name), "volume name: +top", "Block count: +8192", "Filesystem created: +Wed Jan  1")
	wantAll(t, tool(t, "debugfs", "-R", "stat /etc/shadow", name), `Mode:  0640`, `Group:    42`)
	wantAll(t, tool(t, "debugfs", "-R", "stat /bin/su", name), `Mode:  04755`)
	wantAll(t, tool(t, "debugfs", "-R", "stat /home/lab", name), `Mode:  0700`, `User:  1000`)
	wantAll(t, tool(t, "debugfs", "-R", "ea_get /bin/ping user.note", name), `"kept"`)
	if lab.Build(g["fs"]) != lab.Build(g["other"]) {
		t.Error("got other bytes for the same arguments")
	}
	wantAll(t, tool(t, "dumpe2fs", "-h", image(t, lab, g["given"])), "UUID: +11111111-2222-3333-4444-555555555555")
	if _, err := lab.TryBuild(g["small"]); err == nil || !strings.Contains(err.Error(), "raise size") {
		t.Errorf("got %v, want an error about the size", err)
	}
}

func TestFat(t *testing.T) {
	lab := buildtest.New(t)
	g := lab.Eval(disk.Builtins(), `
fs = fat(root, label = "BOOT", size = "8M")
empty = fat(size = "4M", uuid = "12AB-34CD")
`, starlark.StringDict{"root": lab.Tree(map[string]buildtest.Node{"EFI/BOOT/BOOTX64.EFI": {Text: "MZ"}, "a long name.txt": {Text: "hello\n"}})})
	name := image(t, lab, g["fs"])
	tool(t, "fsck.vfat", "-n", name)
	if got := tool(t, "mtype", "-i", name, "::/a long name.txt"); got != "hello\n" {
		t.Errorf("got %q, want hello", got)
	}
	wantAll(t, tool(t, "mdir", "-i", image(t, lab, g["empty"]), "::"), "12AB-34CD")
	for what, nodes := range map[string]map[string]buildtest.Node{
		"is a symlink to":          {"l": {Target: "x"}},
		"one name to FAT.*rename":  {"x/README": {Text: "1"}, "x/readme": {Text: "2"}},
		"FAT's names have none of": {"a:b": {Text: "1"}},
	} {
		g := lab.Eval(disk.Builtins(), `fs = fat(root)`, starlark.StringDict{"root": lab.Tree(nodes)})
		if _, err := lab.TryBuild(g["fs"]); err == nil || !regexp.MustCompile(what).MatchString(err.Error()) {
			t.Errorf("got %v, want an error with %q", err, what)
		}
	}
}

func TestSwap(t *testing.T) {
	lab := buildtest.New(t)
	g := lab.Eval(disk.Builtins(), `fs = swap("2M", label = "more", uuid = "11111111-2222-3333-4444-555555555555")`, nil)
	b := lab.Blob(lab.Build(g["fs"]))
	if len(b) != 2<<20 || string(b[4086:4096]) != "SWAPSPACE2" {
		t.Errorf("got %d bytes that end their first page in %q", len(b), b[4086:4096])
	}
	wantAll(t, tool(t, "blkid", "-p", image(t, lab, g["fs"])), `UUID="11111111-2222-3333-4444-555555555555"`, `LABEL="more"`, `TYPE="swap"`)
}

const twoParts = `
d = disk_image([
    partition(type = "esp", size = "4M"),
    partition(root, fs = "ext4", mount = "/", free = "1M"),
    partition(fs = "ext4", mount = "/var/data", size = "rest", name = "data"),
    partition(fs = "swap", size = "1M"),
], size = "64M", TABLE)
`

// A disk is what its script says, to the tools that read disks, and its partitions
// are where the table has them.
func TestDisk(t *testing.T) {
	for _, table := range []string{"gpt", "hybrid", "mbr"} {
		t.Run(table, func(t *testing.T) {
			lab := buildtest.New(t)
			g := lab.Eval(disk.Builtins(), strings.Replace(twoParts, "TABLE", `table = "`+table+`"`, 1), rootTree(lab, nil))
			name := image(t, lab, g["d"])
			wantAll(t, tool(t, "sfdisk", "--verify", name), "No errors detected")
			if table != "mbr" {
				wantAll(t, tool(t, "sgdisk", "-v", name), "No problems found")
			}
			dump := tool(t, "sfdisk", "--dump", name)
			starts := regexp.MustCompile(`start= *(\d+), size= *(\d+)`).FindAllStringSubmatch(dump, -1)
			if len(starts) != 4 {
				t.Fatalf("got %d partitions in\n%s", len(starts), dump)
			}
			for i, check := range []string{"fsck.vfat", "e2fsck", "e2fsck"} {
				part := filepath.Join(t.TempDir(), "part")
				tool(t, "dd", "if="+name, "of="+part, "bs=512", "skip="+starts[i][1], "count="+starts[i][2])
				tool(t, check, map[string]string{"fsck.vfat": "-n", "e2fsck": "-fn"}[check], part)
				if i == 1 {
					wantAll(t, tool(t, "debugfs", "-R", "cat /etc/fstab", part), `(?m)^UUID=[0-9a-f-]{36}\t/\text4\tdefaults\t0\t1$`,
						`(?m)^UUID=[0-9a-f-]{36}\t/var/data\text4\tdefaults\t0\t2$`, `(?m)^UUID=[0-9a-f-]{36}\tnone\tswap\tsw\t0\t0$`)
					uuid := regexp.MustCompile(`UUID="([^"]+)"`).FindStringSubmatch(tool(t, "blkid", "-p", part))
					wantAll(t, tool(t, "debugfs", "-R", "cat /etc/fstab", part), "UUID="+uuid[1]+"\t/\t")
				}
			}
			if twice := lab.Build(g["d"]); export(t, lab, twice) == "" {
				t.Error("nothing exported")
			}
			// In another store, later: the same bytes.
			second := buildtest.New(t)
			g2 := second.Eval(disk.Builtins(), strings.Replace(twoParts, "TABLE", `table = "`+table+`"`, 1), rootTree(second, nil))
			if a, b := lab.Build(g["d"]), second.Build(g2["d"]); a != b {
				t.Errorf("got %s, and in another store %s", a, b)
			}
		})
	}
}

// The content of the same disk is the same in time: a change of this digest wants
// a new version of the op that made it.
func TestGolden(t *testing.T) {
	lab := buildtest.New(t)
	g := lab.Eval(disk.Builtins(), strings.Replace(twoParts, "TABLE", "", 1), rootTree(lab, nil))
	const want = "bf2a196f3ea61f54329dcfe8e4e89942475d6728dd0917cc2cd14c5ad1b57c27"
	if got := lab.Build(g["d"]).Hex(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What is empty takes no room in the store.
func TestSparse(t *testing.T) {
	lab := buildtest.New(t)
	g := lab.Eval(disk.Builtins(), `d = disk_image([partition(root, fs = "ext4", mount = "/", size = "1G")], size = "2G")`, rootTree(lab, nil))
	path, err := lab.Store.BlobPath(t.Context(), lab.Build(g["d"]), false)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Size() != 2<<30 {
		t.Fatalf("got %v, %v, want 2 GiB", fi, err)
	}
	if used := allocated(fi); used > 4<<20 {
		t.Errorf("got %d bytes on the disk for an image with next to nothing in it", used)
	}
}

// fstab: what the tree has is held to the disk, line by line.
func TestFstab(t *testing.T) {
	const guid = `guid = "11111111-2222-3333-4444-555555555555", uuid = "99999999-2222-3333-4444-555555555555"`
	for name, c := range map[string]struct{ fstab, want string }{
		"agrees":          {"proc /proc proc defaults 0 0\nUUID=99999999-2222-3333-4444-555555555555 / ext4 ro 0 1\n", ""},
		"agrees by part":  {"PARTUUID=11111111-2222-3333-4444-555555555555 / ext4 ro 0 1\n", ""},
		"agrees by name":  {"/dev/vda2 / auto ro 0 1\n", ""},
		"another's":       {"//server/share /mnt cifs nofail 0 0\nUUID=77777777-2222-3333-4444-555555555555 /mnt/x ext4 nofail 0 0\n", ""},
		"type":            {"UUID=99999999-2222-3333-4444-555555555555 / xfs ro 0 1\n", `line 1: got type xfs for /, and partition "root" is ext4: write ext4`},
		"uuid":            {"\nUUID=88888888-2222-3333-4444-555555555555 / ext4 ro 0 1\n", `line 2: got device UUID=88888888.* is no partition of this disk; partition "root" is UUID=99999999-2222-3333-4444-555555555555`},
		"device":          {"/dev/sda1 / ext4 ro 0 1\n", `got device /dev/sda1 for /, and that is partition "EFI system"; / is partition "root"`},
		"no such device":  {"/dev/nvme0n1p7 / ext4 ro 0 1\n", `got device /dev/nvme0n1p7 for /, and that is no partition of this disk`},
		"twice":           {"/dev/sda2 / ext4 ro 0 1\n/dev/sda2 / ext4 ro 0 1\n", `lines 1 and 2 both mount /; drop one`},
		"nobody's":        {"UUID=77777777-2222-3333-4444-555555555555 /data ext4 defaults 0 0\n", `no partition of this disk has that; add the option nofail`},
		"type of another": {"/dev/sda1 /boot ext4 defaults 0 0\n", `got type ext4 for /boot, and partition "EFI system" is vfat`},
	} {
		t.Run(name, func(t *testing.T) {
			lab := buildtest.New(t)
			g := lab.Eval(disk.Builtins(), `d = disk_image([partition(type = "esp", size = "4M"), partition(root, fs = "ext4", mount = "/", `+guid+`)])`,
				rootTree(lab, map[string]buildtest.Node{"etc/fstab": {Text: c.fstab}}))
			_, err := lab.TryBuild(g["d"])
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !regexp.MustCompile(c.want).MatchString(err.Error())):
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}
