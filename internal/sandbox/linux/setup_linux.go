//go:build amd64 || arm64

package linux

import (
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/sandbox"
	"github.com/labstar/labstar/internal/sandbox/linux/spawn"
	"golang.org/x/sys/unix"
)

// HostName is the host name inside.
const HostName = "labstar"

// enter sorts the descriptors out, maps the user, and leaves the host's other
// namespaces.
func (p *plan) enter() {
	p.step = "taking the descriptors"
	file := func(i int) slot { return slot(int(p.files) + i*wordSize) }
	if p.spec.Terminal {
		for i := range 3 {
			p.call(unix.SYS_DUP3, file(i+1), i, 0)
		}
	} else {
		p.call(unix.SYS_DUP3, file(1), 1, 0)
		p.call(unix.SYS_DUP3, file(1), 2, 0)
	}
	p.call(unix.SYS_DUP3, file(0), spawn.StatusFD, unix.O_CLOEXEC)
	p.call(unix.SYS_CLOSE_RANGE, spawn.StatusFD+1, int(^uint32(0)), 0)
	if !p.spec.Terminal {
		p.call(unix.SYS_SETSID)
	}
	p.step = "mapping the user"
	p.write("/proc/self/setgroups", "deny")
	p.write("/proc/self/uid_map", "0 "+strconv.Itoa(os.Geteuid())+" 1")
	p.write("/proc/self/gid_map", "0 "+strconv.Itoa(os.Getegid())+" 1")
	for _, ns := range []struct {
		name string
		flag int
	}{
		{"mount", unix.CLONE_NEWNS}, {"network", unix.CLONE_NEWNET}, {"IPC", unix.CLONE_NEWIPC}, {"UTS", unix.CLONE_NEWUTS},
	} {
		p.step = "making the " + ns.name + " namespace"
		p.call(unix.SYS_UNSHARE, ns.flag)
	}
	p.try(unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP) // hides the name of labstar's cgroup, no more
	p.step = "forbidding further user namespaces"
	nested := p.open("/proc/sys/user/max_user_namespaces", unix.O_WRONLY, 0)
	p.last().OnErr = spawn.Ignore // /proc/sys is read-only in containers; all mounts are locked anyway
	p.try(unix.SYS_WRITE, nested, "0", 1)
	p.try(unix.SYS_CLOSE, nested)
	p.step = "setting the host name"
	p.call(unix.SYS_SETHOSTNAME, HostName, len(HostName))
	p.call(unix.SYS_SETDOMAINNAME, "(none)", len("(none)"))
	p.step = "bringing up the loopback interface"
	sock := p.keep(unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	ifreq := make([]byte, 40)
	copy(ifreq, "lo")
	ifreq[16] = unix.IFF_UP
	p.call(unix.SYS_IOCTL, sock, unix.SIOCSIFFLAGS, p.bytes(ifreq))
	p.call(unix.SYS_CLOSE, sock)
	p.call(unix.SYS_UMASK, 0o022)
}

func (p *plan) last() *spawn.Op { return &p.ops[len(p.ops)-1] }

func (p *plan) open(name string, flags, mode int) slot {
	return p.keep(unix.SYS_OPENAT, unix.AT_FDCWD, name, flags|unix.O_CLOEXEC, mode)
}

// write writes a file that exists.
func (p *plan) write(name, content string) { p.put(name, content, unix.O_WRONLY) }

func (p *plan) put(name, content string, flags int) {
	fd := p.open(name, flags, 0o644)
	if content != "" {
		p.call(unix.SYS_WRITE, fd, content, len(content))
	}
	p.call(unix.SYS_CLOSE, fd)
}

// workspace mounts a tmpfs over the host's /proc, a folder that exists and that
// no source lies in, and makes it the working folder.
func (p *plan) workspace() {
	p.step = "mounting a tmpfs"
	p.ready = p.filesystem("tmpfs", writable, "mode", "0755")
	// Kept open, as its root can't be reached by a path through /proc twice.
	p.call(unix.SYS_MOVE_MOUNT, p.ready, "", unix.AT_FDCWD, "/proc", unix.MOVE_MOUNT_F_EMPTY_PATH)
	p.call(unix.SYS_FCHDIR, p.ready)
	p.call(unix.SYS_CLOSE, p.ready)
}

// etc is what programs look for and a toolchain may lack; the root's own files
// hide these.
var etc = map[string]string{
	"passwd":        "root:x:0:0:root:" + action.BuildDir + ":/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
	"group":         "root:x:0:\nnogroup:x:65534:\n",
	"hosts":         "127.0.0.1 localhost " + HostName + "\n::1 localhost\n",
	"nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
	"resolv.conf":   "",
}

// skeleton makes the lowest layer of the root: the mount points and /etc.
func (p *plan) skeleton() {
	p.step = "making the root's skeleton"
	p.mkdir(skeletonDir)
	made := map[string]bool{"/": true}
	var mkdir func(dir string)
	mkdir = func(dir string) {
		if made[dir] {
			return
		}
		made[dir] = true
		mkdir(path.Dir(dir))
		p.mkdir(skeletonDir + dir)
	}
	mkdir("/etc")
	for _, name := range sorted(etc) {
		p.put(skeletonDir+"/etc/"+name, etc[name], unix.O_WRONLY|unix.O_CREAT)
		made["/etc/"+name] = true
	}
	for _, point := range sorted(p.points) {
		if p.points[point] {
			mkdir(point)
		} else if mkdir(path.Dir(point)); !made[point] {
			p.put(skeletonDir+point, "", unix.O_WRONLY|unix.O_CREAT)
		}
	}
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// devices makes /dev. The nodes are the host's, each bound read-only, which
// leaves reading and writing the device and forbids changing the node's mode.
func (p *plan) devices() {
	p.step = "making /dev"
	p.mkdir(devDir)
	for name, to := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx",
	} {
		p.call(unix.SYS_SYMLINKAT, to, unix.AT_FDCWD, devDir+"/"+name)
	}
	p.mkdir(devDir + "/pts")
	p.call(unix.SYS_MKDIRAT, unix.AT_FDCWD, devDir+"/shm", 0)
	p.call(unix.SYS_FCHMODAT, unix.AT_FDCWD, devDir+"/shm", 0o1777)
	bind := func(source, name string) {
		p.step = "laying " + source + " at /dev/" + name
		p.put(devDir+"/"+name, "", unix.O_WRONLY|unix.O_CREAT)
		p.move(p.clone(source, device), devDir+"/"+name)
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "tty"} {
		bind("/dev/"+name, name)
	}
	if p.spec.Jobs != "" {
		bind(p.spec.Jobs, strings.TrimPrefix(sandbox.JobsPath, "/dev/"))
	}
	folders := map[string]bool{"/dev": true}
	for _, in := range p.spec.Dev {
		if dir := path.Dir(in.Target); !folders[dir] {
			folders[dir] = true
			p.mkdir(devDir + strings.TrimPrefix(dir, "/dev"))
		}
		p.step = "laying " + in.Source + " at " + in.Target
		at := devDir + strings.TrimPrefix(in.Target, "/dev")
		p.put(at, "", unix.O_WRONLY|unix.O_CREAT)
		p.move(p.clone(in.Source, readOnly), at)
	}
	for _, node := range p.spec.Devices {
		bind(node, strings.TrimPrefix(node, "/dev/"))
	}
	p.step = "mounting /dev/pts"
	p.move(p.filesystem("devpts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, "newinstance", "", "ptmxmode", "0666", "mode", "0620"), devDir+"/pts")
}

// root mounts the read-only root.
func (p *plan) root() {
	p.step = "laying the root"
	p.mkdir(rootDir)
	if len(p.spec.Root) == 0 {
		p.move(p.clone(skeletonDir, readOnly), rootDir)
		return
	}
	if p.plainRoot() {
		return
	}
	p.overlay(rootDir, unix.MS_RDONLY, append(p.links("l", p.spec.Root), skeletonDir), "")
	if usr := p.plainUsr(); usr != "" {
		p.step = "laying " + usr + " at /usr"
		p.move(p.clone(usr, readOnly), rootDir+"/usr")
	}
}

// plainRoot binds the root if it is one tree, and lays over it those folders of the
// skeleton in which the tree lacks something. Every absolute path begins at the root,
// and compilers look millions up. It reports false, having done nothing, if the tree
// has not the folders themselves.
func (p *plan) plainRoot() bool {
	if len(p.spec.Root) != 1 {
		return false
	}
	tree, lacking := p.spec.Root[0], map[string]bool{}
	for _, name := range append(sorted(p.points), etcFiles()...) {
		if _, err := os.Lstat(tree + name); err == nil {
			continue
		}
		top, _, _ := strings.Cut(name[1:], "/")
		if fi, err := os.Lstat(tree + "/" + top); err != nil || !fi.IsDir() || strings.ContainsAny(top, `:,\`) {
			return false // or a name that can't be in a mount option
		}
		lacking[top] = true
	}
	p.move(p.clone(tree, readOnly), rootDir)
	for _, top := range sorted(lacking) {
		p.step = "laying the root's /" + top
		at, ours := rootDir+"/"+top, skeletonDir+"/"+top
		if list, err := os.ReadDir(tree + "/" + top); err == nil && len(list) == 0 {
			p.move(p.clone(ours, readOnly), at)
			continue
		}
		p.overlay(at, unix.MS_RDONLY, append(p.links("l"+top, []string{tree + "/" + top}), ours), "")
	}
	return true
}

func etcFiles() (names []string) {
	for _, name := range sorted(etc) {
		names = append(names, "/etc/"+name)
	}
	return names
}

// plainUsr returns the host folder that is all of the root's /usr, "" if there is
// no single one. Compilers, libraries and headers are there, and a compilation
// opens them so often that going round the overlay is worth a mount.
func (p *plan) plainUsr() string {
	usr := ""
	for _, layer := range p.spec.Root {
		fi, err := os.Lstat(layer + "/usr")
		switch {
		case err != nil:
			continue
		case usr != "" || !fi.IsDir():
			return ""
		}
		usr = layer + "/usr"
	}
	for point := range p.points {
		if point == "/usr" || strings.HasPrefix(point, "/usr/") {
			return ""
		}
	}
	return usr
}

// build mounts the overlay of the build folder, if it doesn't start empty.
// userxattr is the form that user namespaces can use; volatile spares a sync of
// the whole file system when the sandbox ends.
func (p *plan) build() {
	if len(p.spec.Build) == 0 {
		return
	}
	p.step = "laying the build folder"
	p.mkdir(buildDir)
	for name, to := range map[string]string{"u": "build", "w": "work"} {
		p.call(unix.SYS_SYMLINKAT, p.spec.Scratch+"/"+to, unix.AT_FDCWD, name)
	}
	p.overlay(buildDir, 0, p.links("w", p.spec.Build), ",upperdir=u,workdir=w,userxattr,volatile")
}

func (p *plan) openBuild() slot {
	p.step = "laying the build folder"
	if len(p.spec.Build) == 0 {
		return p.clone(p.upper, writable)
	}
	return p.clone(buildDir, writable)
}

// attach lays everything over the root. A target is opened with the root as the
// limit for symbolic links, so that nothing in a hostile root can lead elsewhere.
func (p *plan) attach(mounts []mount) {
	p.step = "opening the root"
	root := p.open(rootDir, unix.O_PATH|unix.O_DIRECTORY, 0)
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	howAt := p.bytes(asBytes(&how))
	for _, m := range mounts {
		fd := m.open()
		to := p.keep(unix.SYS_OPENAT2, root, strings.TrimPrefix(m.target, "/"), howAt, asSize(how))
		p.call(unix.SYS_MOVE_MOUNT, fd, "", to, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
		p.call(unix.SYS_CLOSE, fd)
		p.call(unix.SYS_CLOSE, to)
	}
	p.call(unix.SYS_FCHDIR, root)
	p.call(unix.SYS_CLOSE, root)
}

// pivot makes the root the root and lets go of the host's.
func (p *plan) pivot() {
	p.step = "changing the root"
	p.call(unix.SYS_PIVOT_ROOT, ".", ".")
	p.call(unix.SYS_UMOUNT2, ".", unix.MNT_DETACH)
	p.call(unix.SYS_CHDIR, "/")
	dir := p.dir()
	for at := action.BuildDir; strings.HasPrefix(dir, at+"/"); {
		next, _, _ := strings.Cut(strings.TrimPrefix(dir, at+"/"), "/")
		at += "/" + next
		p.try(unix.SYS_MKDIRAT, unix.AT_FDCWD, at, 0o755)
	}
}

func (p *plan) dir() string {
	if p.spec.Dir == "" {
		return action.BuildDir
	}
	return path.Clean(p.spec.Dir)
}
