// Package vm starts virtual machines and holds what they do to what a script
// expects: the builtin `vm_test` and the steps it goes through.
//
//	boots = vm_test(toolchain = machine_tools(), kernel = linux, initrd = initrd, steps = [
//		vm_login("root"),
//		vm_run("uname -r", output = "^6[.]"),
//		vm_poweroff(),
//	])
//
// A test is a command of the sandbox like any other: QEMU from the toolchain, led
// by a driver (driver.pl) that is part of the command. So its result is kept under
// a key that covers the kernel, the disks, the toolchain, the steps and the driver,
// and it can run on another machine. Files:
//
//	vm.go      the builtin
//	steps.go   the steps, as values of the language
//	machine.go QEMU's arguments
//	check.go   what can be known to be wrong before the machine starts
//	secret.go  passwords that are not in the script
//	driver.pl  starts QEMU, reads the console, goes through the steps
package vm

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin {
	return append([]*schema.Builtin{Test}, stepBuiltins...)
}

// Type is the type of a test as a value of the language. A target of this type is
// skipped by `run` and built by `test`.
const Type = "test"

type testArgs struct {
	Toolchain *schema.Artifact `star:"toolchain,keyword" kind:"tree" doc:"what has QEMU, its firmware, perl and ssh: machine_tools() of @stdlib//toolchains.star"`
	Kernel    *schema.Artifact `star:"kernel,keyword,optional" kind:"kernel|file" doc:"a kernel to start directly; without it the machine starts from usb or disk"`
	Initrd    *schema.Artifact `star:"initrd,keyword,optional" kind:"file" doc:"an initramfs for it"`
	Append    action.Late      `star:"append,keyword" default:"\"\"" doc:"the kernel's command line; the serial console and panic=-1 are put before it"`
	Disk      *schema.Artifact `star:"disk,keyword,optional" kind:"disk|file" doc:"the first disk: raw, qcow2 or vmdk; it is never changed"`
	USB       *schema.Artifact `star:"usb,keyword,optional" kind:"disk|file" doc:"a USB stick, which the machine starts from if there is no kernel"`
	USBSpeed  string           `star:"usb_version,keyword" default:"\"3.1\"" enum:"2.0,3.1" doc:"of the stick's controller: 2.0 is EHCI, 3.1 is XHCI"`
	Disks     []starlark.Value `star:"disks,keyword,optional" doc:"more disks: artifacts, or sizes of empty ones such as \"1G\""`
	DiskBus   string           `star:"disk_bus,keyword" default:"\"virtio\"" enum:"virtio,sata,nvme" doc:"what disks are attached to"`
	Arch      string           `star:"arch,keyword" default:"\"\"" enum:",x86_64,arm64" doc:"the machine's architecture; by default the kernel's or the disk's, else x86_64"`
	Firmware  string           `star:"firmware,keyword" default:"\"\"" enum:",bios,uefi" doc:"bios (SeaBIOS) or uefi (OVMF, AAVMF); by default bios, on arm64 uefi where there is no kernel"`
	Memory    int              `star:"memory,keyword" default:"256" doc:"in MiB"`
	CPUs      int              `star:"cpus,keyword" default:"1" doc:"how many processors"`
	CPU       string           `star:"cpu,keyword" default:"\"\"" doc:"the processor's model, as QEMU names it; by default max on x86_64 and cortex-a72 on arm64, with KVM the host's"`
	Network   *bool            `star:"network,keyword,optional" doc:"attach a network card, on a network of its own with DHCP (10.0.2.0/24); by default if a step needs it"`
	NIC       string           `star:"nic,keyword" default:"\"virtio\"" enum:"virtio,e1000e" doc:"which network card"`
	Date      string           `star:"date,keyword" default:"\"2020-01-01T00:00:00\"" doc:"what the machine's clock says when it starts, in UTC"`
	Accel     string           `star:"accel,keyword" default:"\"auto\"" enum:"auto,tcg" doc:"auto is KVM where a trial shows that it works, else TCG, which is slower; tcg is always that"`
	Steps     []*Step          `star:"steps,keyword" doc:"what is expected and done, in order: vm_expect, vm_send, vm_login, vm_run, vm_ssh, vm_http, vm_tcp, vm_poweroff"`
	Forbid    []string         `star:"forbid,keyword,optional" doc:"regular expressions; the test fails when one matches what the console says"`
	Timeout   int              `star:"timeout,keyword" default:"120" doc:"seconds that the whole test may take"`
	Name      string           `star:"name,keyword" default:"\"vm_test\"" doc:"what messages call it"`
}

// Test is the builtin `vm_test`.
var Test = schema.New("vm_test", `vm_test starts a virtual machine and checks what it does.

The machine is QEMU from the toolchain, in the sandbox: started from a kernel, a
disk or a USB stick, with BIOS or UEFI. It has what the arguments say and no other
device, no network but its own, and a clock that starts at `+"`date`"+`. Its console is
the serial port: ttyS0, on arm64 ttyAMA0. The steps are gone through in order; the
first that fails ends the test, and so do a kernel panic, a loader that finds nothing
to start, and the time limit. After the last step the machine is switched off.

A test is a target that `+"`labstar run`"+` skips and `+"`labstar test`"+` runs. It is an action
like any other: nothing runs again while kernel, disks, steps and toolchain are the
same. The value is the result, a JSON file, with the attribute

- `+"`.console`"+`, a file: all that the machine said, and where each step began. Unlike
  other outputs it is not the same each time, as kernels print times.

What can be known before is told before: a kernel of another architecture, one
without a serial console or a driver for what the test attaches, an initramfs
compressed in a way that the kernel can't read, firmware that the toolchain lacks.

	load("@stdlib//toolchains.star", "machine_tools")

	boots = vm_test(toolchain = machine_tools(), usb = stick, firmware = "uefi", memory = 512, steps = [
	    vm_login("root", password = "lab"),
	    vm_run("uname -r", output = "^6[.]12"),
	    vm_ssh("hostname", password = "lab", equal = "stick"),
	    vm_http(80, path = "/", body = "<h1>It works"),
	    vm_poweroff(),
	])`, callTest, schema.Returns("a test (a file) with the attribute console"))

func callTest(c *schema.Call, a *testArgs) (starlark.Value, error) {
	m, err := newMachine(c, a)
	if err != nil {
		return nil, err
	}
	inputs, err := m.checked(c)
	if err != nil {
		return nil, err
	}
	argv, err := m.argv(a)
	if err != nil {
		return nil, err
	}
	cmd := action.Command{
		Argv: argv, Root: []string{"toolchain"}, Outputs: []string{"result", "console"}, Reason: "reason", KVM: a.Accel == "auto",
		Timeout: a.Timeout + grace,
	}
	spec := action.Spec{Op: action.Exec, Title: a.Name, Outputs: []action.Output{{Name: "result", Kind: action.File}, {Name: "console", Kind: action.File}}}
	if cmd.Secrets, err = m.secrets(c, &inputs); err != nil {
		return nil, err
	}
	for _, in := range inputs {
		spec.Inputs = append(spec.Inputs, in)
		if in.Name != "toolchain" {
			cmd.Mounts = append(cmd.Mounts, action.Mount{Path: place(in.Name), Input: in.Name})
		}
	}
	spec.Params = cmd
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	file := func(name string) *schema.Artifact { return schema.NewArtifact(act.Output(name), "file", nil) }
	return schema.NewArtifact(act.Output("result"), Type, starlark.StringDict{"console": file("console")}), nil
}

// grace is how many seconds the driver has to fail by itself, which tells more
// than the sandbox' own limit.
const grace = 30

// place is where the machine finds an input.
func place(input string) string { return action.InputDir + "/" + input }

//go:embed driver.pl
var driver string

// driverArgs collects the driver's arguments: NAME=VALUE, and +KIND for a step.
type driverArgs []string

func (d *driverArgs) add(name, value string) { *d = append(*d, name+"="+value) }

// fatal are the signs that waiting is of no use.
var fatal = []string{
	`Kernel panic - not syncing[^\n]*`,
	`^No bootable device\.`,
	`No bootable option or device was found`,
	`^Boot failed: could not read the boot disk`,
}

// argv is the whole command: perl, the driver, and its arguments.
func (m *machine) argv(a *testArgs) ([]string, error) {
	var d driverArgs
	d.add("arch", m.arch)
	d.add("program", m.program())
	d.add("accel", a.Accel)
	d.add("cpu_tcg", m.cpu())
	d.add("cpu_kvm", "host")
	if a.CPU != "" {
		d[len(d)-1] = "cpu_kvm=" + a.CPU
	}
	d.add("timeout", fmt.Sprint(a.Timeout))
	for _, arg := range m.qemu() {
		d.add("qemu", arg)
	}
	for _, c := range m.copies {
		d.add("copy", c)
	}
	for _, b := range m.blanks {
		d.add("blank", b)
	}
	for _, sign := range append(fatal, a.Forbid...) {
		d.add("fatal", sign)
	}
	result, err := m.result(a)
	if err != nil {
		return nil, err
	}
	d.add("result", result)
	for _, s := range a.Steps {
		d = append(d, "+"+s.kind)
		d.add("shown", s.shown)
		for _, f := range s.fields {
			d.add(f.name, f.value)
		}
		if s.port != 0 {
			d.add("port", fmt.Sprint(m.hostPort(s.port)))
		}
		if s.key != nil {
			d.add("key", place(m.keys[s.key]))
		}
	}
	return append([]string{"/usr/bin/perl", "-e", driver, "--"}, d...), nil
}

// result is what a test that passed leaves: all of it is known before.
func (m *machine) result(a *testArgs) (string, error) {
	type step struct {
		Step   string `json:"step"`
		Passed bool   `json:"passed"`
	}
	r := struct {
		Test     string `json:"test"`
		Arch     string `json:"arch"`
		Firmware string `json:"firmware"`
		Passed   bool   `json:"passed"`
		Steps    []step `json:"steps"`
	}{Test: a.Name, Arch: m.arch, Firmware: m.firmware, Passed: true, Steps: []step{}}
	for _, s := range a.Steps {
		r.Steps = append(r.Steps, step{s.shown, true})
	}
	b, err := json.MarshalIndent(r, "", "  ")
	return string(b) + "\n", errors.Join(err)
}
