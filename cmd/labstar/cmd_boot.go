package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/builtins/vm"
)

func bootCommand() command {
	return command{
		name: "boot", args: "[FILE] TARGET",
		short: "start a machine with your terminal on its console",
		long: `
Builds what the machine of TARGET needs and starts it in QEMU, with the terminal on
its serial console. Ctrl-A X switches it off, Ctrl-A H lists what else there is.

TARGET is a test, whose machine it is, without its steps; or a kernel or a disk, with
the machine that the flags describe and QEMU from machine_tools() of
@stdlib//toolchains.star. What the machine writes to its disks is thrown away, unless
--keep names a folder for them.

The machine is in the sandbox and its network leads nowhere, but for the ports that
--port opens on this machine's loopback address, and the display of --display.`,
		examples: `
labstar boot lab.star boots
labstar boot disk --firmware uefi --memory 512
labstar boot linux --initrd initrd --append "quiet"
labstar boot stick --usb --port 2222:22 --keep state
labstar boot disk --display vnc=:1     # and a viewer on 127.0.0.1:5901`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			o := &bootOptions{runOptions: runOptions{app: a, jobs: 1}}
			fs.StringVar(&o.display, "display", "", "offer the screen too: `vnc` or vnc=[HOST]:NUMBER")
			fs.StringArrayVarP(&o.ports, "port", "p", nil, "lead a port of this machine to one of the guest: `HOST:GUEST`; may be given several times")
			fs.StringVar(&o.keep, "keep", "", "keep the disks, with what the machine wrote, in this `folder`")
			fs.BoolVar(&o.usb, "usb", false, "attach the disk TARGET as a USB stick")
			fs.StringVar(&o.initrd, "initrd", "", "`target` that is the initramfs of the kernel TARGET")
			fs.StringVar(&o.append, "append", "", "the kernel's command `line`")
			fs.StringVar(&o.disk, "disk", "", "`target` that is a disk of the kernel TARGET")
			fs.StringVar(&o.arch, "arch", "", "the machine's `architecture`: x86_64 or arm64")
			fs.StringVar(&o.firmware, "firmware", "", "`bios` or uefi")
			fs.IntVar(&o.memory, "memory", 0, "in `MiB` (default 256)")
			fs.IntVar(&o.cpus, "cpus", 0, "how many processors (default 1)")
			fs.BoolVar(&o.locked, "locked", false, "fail if lab.lock lacks something, instead of adding it")
			a.quietFlag(fs)
			a.cacheFlag(fs)
			a.secretFlag(fs)
			return o.run
		},
	}
}

// bootOptions are the flags of boot.
type bootOptions struct {
	runOptions
	display, keep        string
	ports                []string
	usb                  bool
	initrd, append, disk string
	arch, firmware       string
	memory, cpus         int
	machine              vm.Interactive
	forwards             []forward
}

func (o *bootOptions) run(ctx context.Context, args []string) (err error) {
	a := o.app
	file, rest := splitFile(args)
	if len(rest) != 1 {
		return usagef("boot", "got %d targets, want one", len(rest))
	}
	o.jobs = runtime.NumCPU()
	if err := o.parse(); err != nil {
		return err
	}
	ls, lab, err := o.open(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ls.Close()) }()
	item, lab, err := o.find(ctx, ls, lab, rest[0])
	if err != nil {
		return err
	}
	if len(lab.Wants) > 0 {
		if lab, err = o.fillLock(ctx, ls, lab); err != nil {
			return err
		}
		if item, lab, err = o.find(ctx, ls, lab, rest[0]); err != nil {
			return err
		}
	}
	a.targets = lab.Targets
	return o.start(ctx, ls, item)
}

func (o *bootOptions) parse() error {
	for _, p := range o.ports {
		f, err := parseForward(p)
		if err != nil {
			return usagef("boot", "--port: %v", err)
		}
		o.forwards = append(o.forwards, f)
		if !slices.Contains(o.machine.Ports, f.guest) {
			o.machine.Ports = append(o.machine.Ports, f.guest)
		}
	}
	if o.display == "" {
		return nil
	}
	f, err := parseDisplay(o.display)
	if err != nil {
		return usagef("boot", "--display: %v", err)
	}
	o.machine.VNC = true
	o.forwards = append(o.forwards, f)
	return nil
}

// machineName is the variable of the script that describes the machine of a disk
// or a kernel.
const machineName = "machine"

// find returns the test of that name; of a disk or a kernel, the test that a script
// made of the flags has.
func (o *bootOptions) find(ctx context.Context, ls *labstar.Labstar, lab *labstar.Lab, name string) (labstar.Item, *labstar.Lab, error) {
	if lab.File == bootScript {
		tests, err := lab.Tests(machineName)
		if err != nil {
			return labstar.Item{}, lab, err
		}
		return tests[0].Items[0], lab, nil
	}
	tests, errTest := lab.Tests(name)
	switch {
	case errTest == nil && len(tests) > 1:
		return labstar.Item{}, lab, usagef("boot", "%s is %d tests, want one: %s", name, len(tests), tests[0].Name)
	case errTest == nil && o.describes():
		return labstar.Item{}, lab, usagef("boot", "%s is a test, which says itself what its machine is: leave out --usb, --initrd, --append, --disk, --arch, --firmware, --memory and --cpus", name)
	case errTest == nil:
		return tests[0].Items[0], lab, nil
	}
	text, err := o.script(lab, name)
	if err != nil {
		return labstar.Item{}, lab, err
	}
	made, err := ls.LoadText(ctx, bootScript, text)
	if err != nil {
		return labstar.Item{}, lab, err
	}
	return o.find(ctx, ls, made, name)
}

// bootScript is the name under which a machine's script evaluates.
const bootScript = "(boot)"

func (o *bootOptions) describes() bool {
	return o.usb || o.initrd+o.append+o.disk+o.arch+o.firmware != "" || o.memory != 0 || o.cpus != 0
}

// script writes the script of a machine that starts the target.
func (o *bootOptions) script(lab *labstar.Lab, name string) (string, error) {
	targets, err := lab.Pick(name)
	if err != nil {
		return "", err
	}
	t := targets[0]
	if len(t.Items) != 1 || t.Items[0].Path != "" || t.Items[0].Artifact.Kind() != action.File {
		return "", fmt.Errorf("%s is a %s, want a test, a kernel or a disk", name, t.Type)
	}
	parts, err := o.parts(lab, name, t.Type)
	if err != nil {
		return "", err
	}
	var loads, args []string
	for _, arg := range slices.Sorted(maps.Keys(parts)) {
		loads = append(loads, starlark.String(parts[arg]).String())
		args = append(args, arg+" = "+parts[arg])
	}
	// The tools are those of the machine's architecture, which the target may say.
	return fmt.Sprintf(`load(%s, %s)
load("@stdlib//toolchains.star", "machine_tools")
_arch = %s or getattr(%s, "arch", "x86_64")
%s = vm_test(toolchain = machine_tools(arch = _arch), name = %s, network = True, steps = [], %s)
`, starlark.String("//"+filepath.ToSlash(lab.File)), strings.Join(loads, ", "), starlark.String(o.arch), name,
		machineName, starlark.String(name), strings.Join(append(args, o.described()...), ", ")), nil
}

// parts are the targets that the machine is made of, by argument of vm_test.
func (o *bootOptions) parts(lab *labstar.Lab, name, typ string) (map[string]string, error) {
	kernel := typ == "kernel" || o.initrd != "" || o.append != "" || o.disk != ""
	parts := map[string]string{}
	switch {
	case kernel && o.usb:
		return nil, usagef("boot", "--usb is for a disk, and %s is a kernel", name)
	case kernel:
		parts["kernel"] = name
	case o.usb:
		parts["usb"] = name
	default:
		parts["disk"] = name
	}
	for arg, target := range map[string]string{"initrd": o.initrd, "disk": o.disk} {
		if target == "" {
			continue
		}
		if _, err := lab.Pick(target); err != nil {
			return nil, err
		}
		parts[arg] = target
	}
	return parts, nil
}

// described are the arguments of vm_test that the flags give.
func (o *bootOptions) described() []string {
	var args []string
	for arg, v := range map[string]string{"append": o.append, "arch": o.arch, "firmware": o.firmware} {
		if v != "" {
			args = append(args, arg+" = "+starlark.String(v).String())
		}
	}
	for arg, n := range map[string]int{"memory": o.memory, "cpus": o.cpus} {
		if n != 0 {
			args = append(args, fmt.Sprintf("%s = %d", arg, n))
		}
	}
	slices.Sort(args)
	return args
}

// start builds what the machine needs and runs it.
func (o *bootOptions) start(ctx context.Context, ls *labstar.Labstar, item labstar.Item) error {
	a := o.app
	host, err := os.MkdirTemp("", "labstar-boot-")
	if err != nil {
		return err
	}
	a.in.removes(host)
	defer os.RemoveAll(host)
	folders := []labstar.Folder{{Source: host, Target: vm.HostDir, Write: true}}
	if o.keep != "" {
		kept, err := o.keepDisks(ctx, ls, item)
		if err != nil {
			return err
		}
		for _, name := range o.machine.Kept { // what the disk is laid over
			if err := os.WriteFile(filepath.Join(host, name), nil, 0o600); err != nil {
				return err
			}
		}
		folders = append(folders, kept...)
	}
	restore := saveTerminal()
	a.in.atExit(func() { a.restore(); restore(); a.interrupted() })
	defer restore()
	started := func() {
		o.sink.close()
		for _, f := range o.forwards {
			a.say("%s", f.shown())
		}
		if !a.quiet && isTerminal() {
			a.say("the console is yours; Ctrl-A X switches the machine off")
		}
		a.in.shell.Store(true) // Ctrl-C is the machine's
	}
	stop, err := serveForwards(o.forwards, host)
	if err != nil {
		return err
	}
	defer stop()
	report, exit, err := ls.Attach(ctx, item, o.machine.Apply, started, folders...)
	a.in.shell.Store(false)
	o.sink.close()
	switch {
	case err != nil:
		return err
	case report != nil && report.Failed > 0:
		return errReported
	case exit != 0:
		return fmt.Errorf("the machine's QEMU ended with exit code %d", exit)
	}
	return nil
}

// keepDisks copies the disks into the folder of --keep, unless they are there from
// an earlier start.
func (o *bootOptions) keepDisks(ctx context.Context, ls *labstar.Labstar, item labstar.Item) ([]labstar.Folder, error) {
	var cmd action.Command
	if err := json.Unmarshal(item.Artifact.Action.Params, &cmd); err != nil {
		return nil, err
	}
	names := vm.Disks(&cmd)
	if len(names) == 0 {
		return nil, usagef("boot", "--keep: the machine has no disk")
	}
	dir, err := filepath.Abs(o.keep)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var folders []labstar.Folder
	for _, in := range item.Artifact.Action.Inputs {
		if !slices.Contains(names, in.Name) {
			continue
		}
		file := filepath.Join(dir, in.Name+".img")
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			report, err := ls.Make(ctx, in.Artifact)
			if err != nil {
				return nil, err
			}
			if report.Failed > 0 {
				return nil, errReported
			}
			from, err := report.FilePath(ctx, in.Artifact)
			if err != nil {
				return nil, err
			}
			if err := copySparse(file, from); err != nil {
				return nil, err
			}
		}
		o.machine.Kept = append(o.machine.Kept, in.Name)
		folders = append(folders, labstar.Folder{Source: file, Target: vm.HostDir + "/" + in.Name, Write: true})
	}
	return folders, nil
}
