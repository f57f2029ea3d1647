package ptable_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/format/ptable"
)

const sectors = 1 << 17 // 64 MiB

func id(n byte) ptable.GUID { return ptable.HashGUID([]byte(strings.Repeat(string(rune(n)), 16))) }

func table() *ptable.Table {
	return &ptable.Table{ID: id(9), Sectors: sectors, Code: []byte{0xFA}, Parts: []ptable.Partition{
		{Type: ptable.ESP, ID: id(1), Name: "boot", First: 2048, Last: 34815, MBRType: 0xEF, Active: true, Attrs: ptable.LegacyBoot},
		{Type: ptable.Linux, ID: id(2), Name: "Wurzel äöü", First: 34816, Last: 100351, MBRType: 0x83},
		{Type: ptable.Data, ID: id(3), Name: "data", First: 100352, Last: sectors - 2048 - 1, MBRType: 0x07},
	}}
}

func image(t *testing.T, head, tail []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "disk")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := f.WriteAt(head, 0)
	_, err2 := f.WriteAt(tail, sectors*ptable.Sector-int64(len(tail)))
	if err := errors.Join(err1, err2, f.Truncate(sectors*ptable.Sector), f.Close()); err != nil {
		t.Fatal(err)
	}
	return name
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	at, err := exec.LookPath("/usr/sbin/" + name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, at, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func contains(t *testing.T, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("got no %q in\n%s", w, out)
		}
	}
}

func TestGPT(t *testing.T) {
	head, tail := table().GPT()
	disk := image(t, head, tail)
	contains(t, output(t, "sgdisk", "-v", disk), "No problems found")
	contains(t, output(t, "sfdisk", "--verify", disk), "No errors detected")
	contains(t, output(t, "sfdisk", "--dump", disk), "label: gpt", "label-id: "+strings.ToUpper(id(9).String()),
		fmt.Sprintf("start=        2048, size=       32768, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=%s, name=\"boot\", attrs=\"LegacyBIOSBootable\"", strings.ToUpper(id(1).String())),
		"start=       34816, size=       65536, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4", `name="Wurzel \xc3\xa4\xc3\xb6\xc3\xbc"`, "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7")
}

func TestHybrid(t *testing.T) {
	tab := table()
	tab.Parts[0].Hybrid = true
	head, tail := tab.GPT()
	disk := image(t, head, tail)
	contains(t, output(t, "sgdisk", "-v", disk), "No problems found")
	contains(t, output(t, "sgdisk", "-p", disk), "EF00  boot")
	if head[446] != 0x80 || head[446+4] != 0xEF || head[462+4] != 0xEE {
		t.Errorf("got the MBR entries % x", head[446:510])
	}
}

func TestMBR(t *testing.T) {
	disk := image(t, table().MBR(), nil)
	contains(t, output(t, "sfdisk", "--verify", disk), "No errors detected")
	contains(t, output(t, "sfdisk", "--dump", disk), "label: dos",
		"start=        2048, size=       32768, type=ef, bootable", "start=       34816, size=       65536, type=83", "type=7")
}

func TestGUID(t *testing.T) {
	const s = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
	g, err := ptable.ParseGUID(s)
	if err != nil || g.String() != s || g != ptable.ESP || g[0] != 0x28 {
		t.Errorf("got %s (% x), %v, want %s", g, g[:], err, s)
	}
	if got := ptable.FormatUUID(g.UUID()); got != s {
		t.Errorf("got %s, want %s", got, s)
	}
	for _, bad := range []string{"", "c12a7328f81f11d2ba4b00a0c93ec93b", s + "0", strings.Replace(s, "c", "x", 1), strings.Replace(s, "-", "0", 1)} {
		if _, err := ptable.ParseGUID(bad); err == nil {
			t.Errorf("got no error for %q", bad)
		}
	}
}
