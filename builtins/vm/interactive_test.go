package vm

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
)

func TestInteractive(t *testing.T) {
	_, a, err := evalTest(t, `vm_test(toolchain = tools, disk = disk, disks = [stick, "64M"], timeout = 9, steps = [vm_tcp(22), vm_expect("x")])`)
	if err != nil {
		t.Fatal(err)
	}
	command := func() *action.Command {
		var cmd action.Command
		if err := json.Unmarshal(a.Action.Params, &cmd); err != nil {
			t.Fatal(err)
		}
		return &cmd
	}
	if got := Disks(command()); !slices.Equal(got, []string{"disk", "disk2"}) {
		t.Errorf("got the disks %q", got)
	}
	for _, c := range []struct {
		how  Interactive
		want []string // a "!" before what must not be in any argument
	}{
		{Interactive{}, []string{"interactive=1", "qemu=none", "!+tcp", "!shown", "!forward",
			"qemu=if=none,id=d0,file=/in/disk,format=@format(/in/disk),snapshot=on"}},
		{Interactive{Kept: []string{"disk"}}, []string{"qemu=if=none,id=d0,file=/host/disk,format=@format(/host/disk)",
			"qemu=if=none,id=d1,file=/in/disk2,format=@format(/in/disk2),snapshot=on"}},
		{Interactive{VNC: true}, []string{"qemu=vnc=unix:/host/vnc", "qemu=q35", "qemu=std", "!graphics=off", "!qemu=none"}},
		{Interactive{Ports: []int{80}}, []string{"forward=80:20001",
			"qemu=user,id=net,hostfwd=tcp:127.0.0.1:10001-:22,hostfwd=tcp:127.0.0.1:20001-:80"}},
	} {
		cmd := command()
		c.how.Apply(cmd)
		if cmd.Timeout != 0 {
			t.Errorf("%+v: the time limit holds", c.how)
		}
		for _, w := range c.want {
			absent, not := strings.CutPrefix(w, "!")
			has := slices.ContainsFunc(cmd.Argv[4:], func(s string) bool { return s == w || not && strings.Contains(s, absent) })
			if has == not {
				t.Errorf("%+v: got %q, want %s", c.how, cmd.Argv[4:], w)
			}
		}
	}
}

// A machine without a network card gets one for the ports.
func TestInteractiveAddsNetwork(t *testing.T) {
	_, a, err := evalTest(t, `vm_test(toolchain = tools, kernel = bz, steps = [])`)
	if err != nil {
		t.Fatal(err)
	}
	var cmd action.Command
	if err := json.Unmarshal(a.Action.Params, &cmd); err != nil {
		t.Fatal(err)
	}
	Interactive{Ports: []int{22, 80}}.Apply(&cmd)
	want := []string{"qemu=-netdev", "qemu=user,id=net,hostfwd=tcp:127.0.0.1:20001-:22,hostfwd=tcp:127.0.0.1:20002-:80",
		"qemu=-device", "qemu=virtio-net-pci,netdev=net,romfile=", "interactive=1"}
	if got := cmd.Argv[len(cmd.Argv)-len(want):]; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
