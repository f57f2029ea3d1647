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
		"none": "46a1d380acc469ea96ce96b0f169976ac0b806a5adc4bbc38882034331fd9358",
		"gzip": "cb138051db2e3bdb8f1502e3418b9dbd8c55fe4bc60abb746c872f5d40937819",
		"zstd": "68a7a00454beeb44690bca61d809167b674cb5596cbf13163ac1eec75cbae42e",
		"xz":   "b88644a9d35e305f6f30ecc0282e0dece8caae1c53e4a703155ff667a64b9a3d",
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
