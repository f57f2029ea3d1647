package examples

import (
	"archive/tar"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// fill writes files of text that compresses as programs do, size bytes in all.
func fill(b *testing.B, dir string, size int) {
	b.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	words := make([][]byte, 4000)
	for i := range words {
		words[i] = make([]byte, 2+rng.IntN(14))
		for j := range words[i] {
			words[i][j] = byte(rng.IntN(256))
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	const each = 1 << 20
	for i := range size / each {
		text := make([]byte, 0, each+16)
		for len(text) < each {
			text = append(text, words[rng.IntN(len(words))]...)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file%d", i)), text[:each], 0o644); err != nil {
			b.Fatal(err)
		}
	}
}

// One file of an image of 200 MB has changed, in a layer of its own: the image is
// made again, against what others need for the same. crane is its library: append,
// then the tar is saved, as `crane append -b old.tar -f layer.tar -o new.tar`.
func BenchmarkImageEdit(b *testing.B) {
	l := benchLab(b)
	l.store = filepath.Join(b.TempDir(), "store")
	fill(b, filepath.Join(l.dir, "big"), 200<<20)
	l.writeScript("image.star", `image = oci_image([tree({"srv/big": glob(dir = "big")}), tree({"srv/page": file("page")})], name = "lab/edit:1")`)
	l.writeScript("Dockerfile", "FROM scratch\nCOPY big /srv/big\nCOPY page /srv/page\n")
	edit := func(i int) { l.writeScript("page", fmt.Sprintf("page %d\n", i)) }
	edit(-1)
	l.run("image.star")
	ours := func(int) { l.quiet("image.star") }
	b.Run("docker", func(b *testing.B) {
		if exec.Command("docker", "info").Run() != nil && os.Getuid() != 0 {
			b.Skip("needs a Docker engine")
		}
		startDocker(b)
		build := func(int) {
			cmd := exec.Command("docker", "build", "-q", "-t", "labstar-bench/edit:1", ".")
			cmd.Dir, cmd.Env = l.dir, append(os.Environ(), "DOCKER_BUILDKIT=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("docker build: %v\n%s", err, out)
			}
		}
		build(0)
		versus(b, 5, func(i int) { edit(i) }, ours, build)
	})
	b.Run("buildah", func(b *testing.B) {
		if _, err := exec.LookPath("buildah"); err != nil {
			b.Skip("needs buildah")
		}
		dir := b.TempDir()
		build := func(int) {
			must(b, l.dir, "buildah", "--root", dir+"/root", "--runroot", dir+"/run", "--storage-driver", "vfs", "bud", "--layers", "-q", "-t", "edit", ".")
		}
		build(0)
		versus(b, 3, func(i int) { edit(100 + i) }, ours, build)
	})
	b.Run("crane", func(b *testing.B) {
		dir := b.TempDir()
		old := filepath.Join(dir, "old.tar")
		l.writeScript("below.star", `archive = oci_image([tree({"srv/big": glob(dir = "big")})], name = "lab/edit:1").archive`)
		l.run("below.star", "--copy", "--out", "below")
		if err := os.Rename(filepath.Join(l.dir, "below/archive"), old); err != nil {
			b.Fatal(err)
		}
		tag, err := name.NewTag("lab/edit:1")
		if err != nil {
			b.Fatal(err)
		}
		appendLayer := func(i int) {
			layer := filepath.Join(dir, "layer.tar")
			writeLayer(b, layer, filepath.Join(l.dir, "page"))
			img, err := tarball.ImageFromPath(old, nil)
			if err != nil {
				b.Fatal(err)
			}
			add, err := tarball.LayerFromFile(layer)
			if err == nil {
				img, err = mutate.AppendLayers(img, add)
			}
			if err == nil {
				err = tarball.WriteToFile(filepath.Join(dir, "new.tar"), tag, img)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		versus(b, 5, func(i int) { edit(200 + i) }, ours, appendLayer)
	})
}

func writeLayer(b *testing.B, to, page string) {
	b.Helper()
	f, err := os.Create(to)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	text, err := os.ReadFile(page)
	if err != nil {
		b.Fatal(err)
	}
	w := tar.NewWriter(f)
	if err := w.WriteHeader(&tar.Header{Name: "srv/page", Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
		b.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

// 500 MB are packed by a store that has none of it, from the folder to the finished
// image, against tar and the compressor alone. LABSTAR_BENCH_TREE names a folder to
// pack instead of one that is made up.
func BenchmarkImageCold(b *testing.B) {
	for compression, argv := range map[string]string{"gzip": "pigz", "zstd": "zstd -T0"} {
		b.Run(compression, func(b *testing.B) {
			l := benchLab(b)
			if tree := os.Getenv("LABSTAR_BENCH_TREE"); tree != "" {
				must(b, l.dir, "cp", "-r", tree, "big")
			} else {
				fill(b, filepath.Join(l.dir, "big"), 500<<20)
			}
			l.writeScript("image.star", fmt.Sprintf(`image = oci_image([tree({"srv/big": glob(dir = "big")})], name = "lab/cold:1", compression = %q, unchecked = ["/srv"])`, compression))
			dir := b.TempDir()
			versus(b, 1, func(i int) { l.store = filepath.Join(dir, fmt.Sprint("store", i, b.N)); removeTree(b, l.store) },
				func(int) { l.quiet("image.star") },
				func(int) { must(b, l.dir, "sh", "-c", "tar cf - big | "+argv+" > "+dir+"/packed") })
		})
	}
}

func removeTree(b *testing.B, dir string) {
	b.Helper()
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(p, 0o755) // the store's trees can't be written
		}
		return nil
	})
	if err := os.RemoveAll(dir); err != nil {
		b.Fatal(err)
	}
}
