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
		"none": "8299b054a5faac670240efe0b9a15d418aeb8f67057c12d668497d164989ba65",
		"gzip": "953f25e4a6adbc771881a5e82fb3b5c640db2ba152b3c5f75ceb037bd5b728ab",
		"zstd": "e91d76388a618b0f785e8f1aaedc16553ee390892fc5f79655286d35867c0e84",
		"xz":   "08993b5a98e0a33ed4131aaaf555ea9169db02b4519ddec8056d17bf02d13916",
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
