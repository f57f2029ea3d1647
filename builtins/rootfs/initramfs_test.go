package rootfs

import (
	"bytes"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// TestInitramfsGolden holds the bytes of each compression, whatever the cores.
func TestInitramfsGolden(t *testing.T) {
	for compression, golden := range map[string]string{
		"none": "f12ae506e137c49c7e7737d85662c68c7530e8d15dfc297d897bc10dd523c44f",
		"gzip": "20440293452e053a0ea549699e051f13b04c5003e1cc49593bfa6987bbd66657",
		"zstd": "445935851993345ab4a2d14fbe97f80820daa1b58f3dcccb7b3508c41ad01e14",
		"xz":   "67fe22fb791469139d26590ba3ffa48cd8da712af3dd7cd526786fde24a1d06f",
	} {
		for _, procs := range []int{1, 7} {
			old := runtime.GOMAXPROCS(procs)
			lab, v, err := eval(t, `r = initramfs(rootfs([bb], users = [user("lab", uid = 1000)]), compression = "`+compression+`")`)
			if err != nil {
				t.Fatal(err)
			}
			if got := lab.Build(v).Hex(); got != golden {
				t.Errorf("%s, GOMAXPROCS %d: got %s, want %s: if that is meant, raise the Version of %s", compression, procs, got, golden, initramfsOp.Name)
			}
			runtime.GOMAXPROCS(old)
		}
	}
}

func TestInitramfsContent(t *testing.T) {
	lab, v, err := eval(t, `r = initramfs(rootfs([bb], users = [user("lab", uid = 1000)]), compression = "none")`)
	if err != nil {
		t.Fatal(err)
	}
	archive := []byte(lab.Text(v))
	bin, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("no cpio on this machine to read it with")
	}
	cmd := exec.Command(bin, "-tvn", "--quiet")
	cmd.Stdin = bytes.NewReader(archive)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("cpio: %v\n%s", err, out)
	}
	for _, want := range []string{"init -> /sbin/init", "dev/console", "dev/null", "home/lab/note", " 1000     1000 ", "sbin/init -> ../bin/busybox", "drwxrwxrwt"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("listing lacks %q:\n%s", want, out)
		}
	}
}

func TestInitramfsCompressed(t *testing.T) {
	lab, plain, err := eval(t, `r = initramfs(bb, compression = "none")`)
	if err != nil {
		t.Fatal(err)
	}
	want := lab.Text(plain)
	var out bytes.Buffer
	for _, c := range []string{"gzip", "zstd"} {
		lab, v, err := eval(t, `r = initramfs(bb, compression = "`+c+`")`)
		if err != nil {
			t.Fatal(err)
		}
		packed := strings.NewReader(lab.Text(v))
		out.Reset()
		if c == "gzip" {
			r, err := gzip.NewReader(packed)
			if err != nil {
				t.Fatal(err)
			}
			_, err = out.ReadFrom(r)
			if err != nil {
				t.Fatal(err)
			}
		} else {
			r, err := zstd.NewReader(packed)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = r.WriteTo(&out); err != nil {
				t.Fatal(err)
			}
		}
		if out.String() != want {
			t.Errorf("%s: got %d bytes, want the %d of the archive", c, out.Len(), len(want))
		}
	}
}

// Modules come with what they depend on, and nothing else.
func TestInitramfsModules(t *testing.T) {
	lab, v, err := evalChecks(t, `r = initramfs(bb, kernel = k, modules = ["virtio-blk", "ext4", "binfmt_elf"], compression = "none", root = "UUID=1234")`)
	if err != nil {
		t.Fatal(err)
	}
	archive := lab.Text(v)
	const dir = "lib/modules/6.12.0-lab/"
	for _, want := range []string{
		dir + "kernel/drivers/block/virtio_blk.ko.xz", dir + "kernel/drivers/virtio/virtio-ring.ko.xz", dir + "kernel/drivers/virtio/virtio.ko.xz",
		dir + "kernel/fs/ext4/ext4.ko", dir + "kernel/fs/jbd2/jbd2.ko", dir + "kernel/lib/crc32c.ko", dir + "modules.builtin",
		"virtio-blk\next4\nbinfmt_elf\n", "root=UUID=1234\nfs=ext4\noptions=ro\ninit=/sbin/init\n", "findfs UUID=1234",
	} {
		if !strings.Contains(archive, want) {
			t.Errorf("the archive has no %q", want)
		}
	}
	if strings.Contains(archive, "modules.dep.bin") {
		t.Error("the archive has the binary index of all modules")
	}
}
