package disk_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/builtins/disk"
	"github.com/labstar/labstar/internal/buildtest"
)

// The same tree of 80 MB made to a file system by the tools that a user would take,
// and by us: into the store, hashed, with all that an action costs.
//
//	go test ./builtins/disk -run - -bench . -benchtime 10x
func BenchmarkTree(b *testing.B) {
	dir := b.TempDir()
	src := filepath.Join(dir, "root")
	nodes := map[string]buildtest.Node{}
	r := rand.New(rand.NewPCG(1, 2))
	for total := 0; total < 80<<20; {
		size := r.IntN(16 << 10)
		if r.IntN(20) == 0 {
			size = r.IntN(1 << 20)
		}
		text := make([]byte, size)
		for i := range text {
			text[i] = "etaoin shrdlu\n"[r.IntN(14)]
		}
		path := fmt.Sprintf("usr/share/d%02d/f%05d", r.IntN(40), len(nodes))
		nodes[path] = buildtest.Node{Text: string(text)}
		at := filepath.Join(src, path)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(at, text, 0o644); err != nil {
			b.Fatal(err)
		}
		total += size
	}
	lab := buildtest.New(b)
	env := starlark.StringDict{"root": lab.Tree(nodes)}
	lab.Build(lab.Eval(disk.Builtins(), `x = ext4(root)`, env)["x"]) // takes the tree into the store
	n := 0
	ours := func(script string) func(b *testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				n++
				g := lab.Eval(disk.Builtins(), strings.ReplaceAll(script, "N", fmt.Sprint(n)), env)
				lab.Build(g["x"])
			}
		}
	}
	theirs := func(script string) func(b *testing.B) {
		return func(b *testing.B) {
			b.Setenv("PATH", os.Getenv("PATH")+":/sbin:/usr/sbin")
			b.Setenv("MTOOLS_SKIP_CHECK", "1")
			if _, err := exec.LookPath(strings.Fields(script)[0]); err != nil {
				b.Skipf("%s is not installed", strings.Fields(script)[0])
			}
			for b.Loop() {
				b.StopTimer()
				_ = os.RemoveAll(filepath.Join(dir, "out"))
				if err := os.Mkdir(filepath.Join(dir, "out"), 0o755); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				cmd := exec.Command("sh", "-ec", script)
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%.2000s", err, out)
				}
			}
		}
	}
	b.Run("ext4/labstar", ours(`x = ext4(root, label = "N", size = "160M")`))
	b.Run("ext4/mke2fs -d", theirs(`mke2fs -q -t ext4 -d root out/image 160M`))
	b.Run("fat/labstar", ours(`x = fat(root, label = "N", size = "160M")`))
	b.Run("fat/mtools", theirs(`truncate -s 160M out/image; mkfs.fat out/image; mcopy -s -i out/image root/* ::`))
	b.Run("disk/labstar", ours(`x = disk_image([partition(root, fs = "ext4", mount = "/", label = "N", size = "160M")])`))
	genimage := "image disk.img {\n hdimage { partition-table-type = \"gpt\" }\n partition root { image = \"root.ext4\" partition-type-uuid = \"L\" }\n}\n" +
		"image root.ext4 { ext4 { use-mke2fs = true } size = 160M }\n"
	if err := os.WriteFile(filepath.Join(dir, "genimage.cfg"), []byte(genimage), 0o644); err != nil {
		b.Fatal(err)
	}
	b.Run("disk/genimage", theirs(`genimage --config genimage.cfg --rootpath root --tmppath out/tmp --inputpath out --outputpath out`))
}
