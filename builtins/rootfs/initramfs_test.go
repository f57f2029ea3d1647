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
