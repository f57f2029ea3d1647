//go:build amd64 || arm64

package linux

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/sandbox"
	"golang.org/x/sys/unix"
)

// plan is everything about a run that is decided before it: the script and
// what it needs.
type plan struct {
	script
	spec    *sandbox.Spec
	files   addr // slots of the received descriptors: the status pipe, then the command's
	ready   slot // the open tmpfs on which the sandbox is put together
	points  map[string]bool
	upper   string // Result.Upper
	command slot   // its pid
	inputs  int    // those that are overlays
}

// Places on the tmpfs, the child's working folder while it mounts.
const (
	skeletonDir = "s"
	devDir      = "d"
	rootDir     = "r"
	buildDir    = "b"
	inputDir    = "i" // and a number, of an input that is an overlay
)

// maxLayers is how many folders one overlay takes: the kernel's limit is 500,
// and their names must fit into a page.
const maxLayers = 400

// newPlan checks spec, makes the folders in its Scratch, and writes the script.
func newPlan(spec *sandbox.Spec) (*plan, error) {
	if err := check(spec); err != nil {
		return nil, err
	}
	p := &plan{spec: spec, points: map[string]bool{}}
	p.word(0) // offset 0 means "no slot"
	p.files = p.word(none)
	for range 3 {
		p.word(none)
	}
	if err := p.scratch(); err != nil {
		return nil, err
	}
	p.enter()
	mounts, err := p.targets()
	if err != nil {
		return nil, err
	}
	p.workspace()
	p.skeleton()
	p.devices()
	p.root()
	p.build()
	p.attach(mounts)
	p.pivot()
	p.start()
	return p, nil
}

// check refuses a Spec that no sandbox can be made of.
func check(spec *sandbox.Spec) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("sandbox: "+format, args...)) }
	if len(spec.Argv) == 0 || spec.Argv[0] == "" {
		bad("got no command")
	}
	for _, list := range [][]string{spec.Argv, spec.Env, {spec.Dir}} {
		for _, s := range list {
			if strings.IndexByte(s, 0) >= 0 {
				bad("got a zero byte in %q", s)
			}
		}
	}
	host := append(append([]string{spec.Scratch}, spec.Root...), spec.Build...)
	for _, in := range spec.Dev {
		host = append(host, in.Source)
		if path.Clean(in.Target) != in.Target || !strings.HasPrefix(in.Target, "/dev/") {
			bad("laying %s: got target %q, want a clean path below /dev", in.Source, in.Target)
		}
	}
	for _, in := range spec.Inputs {
		host = append(append(host, in.Source), in.Over...)
		if !path.IsAbs(in.Target) || path.Clean(in.Target) != in.Target || in.Target == "/" {
			bad("laying %s: got target %q, want a clean absolute path below /", in.Source, in.Target)
		}
	}
	for _, node := range spec.Devices {
		if path.Dir(node) != "/dev" {
			bad("got the device %q, want a node of /dev", node)
		}
	}
	for _, name := range host {
		if !filepath.IsAbs(name) {
			bad("got the host path %q, want an absolute one", name)
		}
	}
	if spec.Dir != "" && !path.IsAbs(spec.Dir) {
		bad("got the working folder %q, want an absolute path", spec.Dir)
	}
	return errors.Join(errs...)
}

// scratch makes the folders in Scratch that the command can write to.
func (p *plan) scratch() error {
	p.upper = filepath.Join(p.spec.Scratch, sandbox.BuildScratch)
	if !p.spec.Prepared {
		spec := *p.spec
		if err := sandbox.Prepare(&spec); err != nil {
			return err
		}
	}
	if len(p.spec.Build) == 0 {
		return nil
	}
	work := filepath.Join(p.spec.Scratch, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return fmt.Errorf("making the sandbox's folders: %w", err)
	}
	return os.Chmod(work, 0o755)
}

// mount is something to be laid over the root. Its source is opened by open.
type mount struct {
	target string // without symbolic links
	open   func() slot
}

// targets finds where everything goes, and which mount points the skeleton has
// to have.
func (p *plan) targets() ([]mount, error) {
	var mounts []mount
	add := func(target string, folder bool, open func() slot) error {
		if made, err := p.pointInScratch(target, folder); made || err != nil {
			mounts = append(mounts, mount{target, open})
			return err
		}
		at, fi, err := layers(p.spec.Root).resolve(target)
		switch {
		case err != nil:
			return err
		case fi == nil:
			p.points[at] = folder
		case fi.IsDir() != folder:
			return fmt.Errorf("laying %s: the root has %s there and what is laid is %s", target, kind(fi.IsDir()), kind(folder))
		}
		mounts = append(mounts, mount{at, open})
		return nil
	}
	errs := []error{
		add("/proc", true, p.openProc),
		add("/dev", true, func() slot { return p.clone(devDir, unix.MOUNT_ATTR_NOSUID) }),
		add("/tmp", true, func() slot { return p.clone(filepath.Join(p.spec.Scratch, "tmp"), writable) }),
		add(action.BuildDir, true, p.openBuild),
	}
	p.points[action.InputDir] = true
	inputs := slices.Clone(p.spec.Inputs)
	slices.SortStableFunc(inputs, func(a, b sandbox.Mount) int { return strings.Compare(a.Target, b.Target) })
	for _, in := range inputs {
		fi, err := os.Stat(in.Source)
		if err != nil {
			errs = append(errs, fmt.Errorf("laying %s: %w", in.Target, err))
			continue
		}
		step := "laying " + in.Source + " at " + in.Target
		errs = append(errs, add(in.Target, fi.IsDir(), func() slot {
			p.step = step
			if len(in.Over) > 0 {
				return p.layered(append([]string{in.Source}, in.Over...))
			}
			if in.Write {
				return p.clone(in.Source, writable)
			}
			return p.clone(in.Source, readOnly)
		}))
	}
	return mounts, errors.Join(errs...)
}

// pointInScratch makes the mount point of a target below a folder that the
// command can write to, and reports whether it is there now.
func (p *plan) pointInScratch(target string, folder bool) (bool, error) {
	for dir, upper := range map[string]string{action.BuildDir: p.upper, "/tmp": filepath.Join(p.spec.Scratch, "tmp")} {
		rel, ok := strings.CutPrefix(target, dir+"/")
		if !ok {
			continue
		}
		var below layers
		if dir == action.BuildDir {
			below = p.spec.Build
		}
		at, fi, err := below.resolve("/" + rel)
		if err != nil || fi != nil {
			return fi != nil, err
		}
		point := upper + at
		if folder {
			return true, os.MkdirAll(point, 0o755)
		}
		if err := os.MkdirAll(filepath.Dir(point), 0o755); err != nil {
			return false, err
		}
		return true, os.WriteFile(point, nil, 0o644)
	}
	return false, nil
}

func kind(folder bool) string {
	if folder {
		return "a folder"
	}
	return "a file"
}

// Attributes of bind mounts.
const (
	readOnly = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	writable = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV
	device   = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC
)

// clone opens a copy of the mount at a path, with attributes added.
func (p *plan) clone(name string, attrs int) slot {
	fd := p.keep(unix.SYS_OPEN_TREE, unix.AT_FDCWD, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	p.protect(fd, attrs)
	return fd
}

func (p *plan) protect(fd slot, attrs int) {
	attr := unix.MountAttr{Attr_set: uint64(attrs)}
	p.call(unix.SYS_MOUNT_SETATTR, fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, p.bytes(asBytes(&attr)), int(asSize(attr)))
}

func asSize[T any](v T) int { return len(asBytes(&v)) }

// filesystem opens a new file system. Options are key, value; a value of "" is a flag.
func (p *plan) filesystem(name string, attrs int, options ...string) slot {
	fs := p.keep(unix.SYS_FSOPEN, name, unix.FSOPEN_CLOEXEC)
	for i := 0; i < len(options); i += 2 {
		if options[i+1] == "" {
			p.call(unix.SYS_FSCONFIG, fs, unix.FSCONFIG_SET_FLAG, options[i], 0, 0)
		} else {
			p.call(unix.SYS_FSCONFIG, fs, unix.FSCONFIG_SET_STRING, options[i], options[i+1], 0)
		}
	}
	p.call(unix.SYS_FSCONFIG, fs, unix.FSCONFIG_CMD_CREATE, 0, 0, 0)
	fd := p.keep(unix.SYS_FSMOUNT, fs, unix.FSMOUNT_CLOEXEC, attrs)
	p.call(unix.SYS_CLOSE, fs)
	return fd
}

func (p *plan) openProc() slot {
	p.step = "mounting /proc"
	return p.filesystem("proc", unix.MOUNT_ATTR_RDONLY|writable|unix.MOUNT_ATTR_NOEXEC)
}

// move attaches the open mount at a path relative to the working folder.
func (p *plan) move(fd slot, target string) {
	p.call(unix.SYS_MOVE_MOUNT, fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
	p.call(unix.SYS_CLOSE, fd)
}

// overlay mounts the folders (paths on the tmpfs, highest first) at target.
func (p *plan) overlay(target string, flags int, names []string, options string) {
	p.call(unix.SYS_MOUNT, "overlay", target, "overlay", flags|unix.MS_NOSUID|unix.MS_NODEV,
		"lowerdir="+strings.Join(names, ":")+options)
}

// links makes symbolic links to the host's folders (lowest first) on the tmpfs
// and returns their names, highest first. Through the links their real names,
// which can be of any length and hold colons and commas, are no part of a mount
// option. More than an overlay can take are overlaid in several, first.
func (p *plan) links(prefix string, host []string) []string {
	names := make([]string, 0, len(host))
	for i := len(host) - 1; i >= 0; i-- {
		name := prefix + strconv.FormatInt(int64(len(names)), 36)
		p.call(unix.SYS_SYMLINKAT, host[i], unix.AT_FDCWD, name)
		names = append(names, name)
	}
	if len(names) <= maxLayers {
		return names
	}
	var groups []string
	for part := range slices.Chunk(names, maxLayers) {
		if len(part) == 1 {
			groups = append(groups, part[0])
			continue
		}
		group := prefix + "G" + strconv.Itoa(len(groups))
		p.mkdir(group)
		p.overlay(group, unix.MS_RDONLY, part, "")
		groups = append(groups, group)
	}
	return groups
}

// layered opens the overlay of host folders, lowest first.
func (p *plan) layered(host []string) slot {
	p.inputs++
	name := inputDir + strconv.Itoa(p.inputs)
	p.mkdir(name)
	p.overlay(name, unix.MS_RDONLY, p.links(name+"l", host), "")
	return p.clone(name, readOnly)
}

func (p *plan) mkdir(name string) { p.call(unix.SYS_MKDIRAT, unix.AT_FDCWD, name, 0o755) }
