//go:build amd64 || arm64

package linux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/labstar/labstar/internal/sandbox"
	"golang.org/x/sys/unix"
)

// Check tells what this machine can and cannot do for the sandbox, by trying:
// an empty command in a full sandbox, and one with an overlay over dir, which
// should be on the store's file system ("" is the folder for temporary files).
func Check(ctx context.Context, dir string) []sandbox.Finding {
	r := New()
	defer func() { _ = r.Close() }()
	found := []sandbox.Finding{r.try(ctx, dir, "sandbox", false), r.try(ctx, dir, "overlay", true)}
	if !found[0].OK {
		found = append(found, thisMachine().causes(syscall.EPERM)...)
	}
	return found
}

// try makes a sandbox. The command is one that cannot be there, so what is
// tried is everything up to its execve, and no program is needed.
func (r *Runner) try(ctx context.Context, dir, name string, overlay bool) sandbox.Finding {
	f := sandbox.Finding{Name: name}
	scratch, err := os.MkdirTemp(dir, "labstar-check-")
	if err == nil {
		defer func() { _ = sandbox.RemoveAll(scratch) }()
		spec := &sandbox.Spec{Scratch: filepath.Join(scratch, "run"), Argv: []string{"/nothing"}}
		if overlay {
			spec.Build = []string{filepath.Join(scratch, "lower")}
			err = os.Mkdir(spec.Build[0], 0o755)
		}
		var out bytes.Buffer
		spec.Output = &out
		if err = errors.Join(err, os.Mkdir(spec.Scratch, 0o755)); err == nil {
			var res *sandbox.Result
			if res, err = r.Run(ctx, spec); err == nil && res.ExitCode != 127 {
				err = fmt.Errorf("got exit code %d from a command that isn't there: %s", res.ExitCode, out.String())
			}
		}
	}
	switch {
	case err == nil && overlay:
		f.OK, f.Detail = true, "overlay file systems work for this user"
	case err == nil:
		f.OK, f.Detail = true, "commands run in namespaces of their own, without root"
	default:
		f.Detail = err.Error()
		f.Remedy = "see the causes below"
		if overlay {
			f.Remedy = "put the store (--cache, LABSTAR_CACHE) on ext4, xfs or btrfs; a network or FUSE file system, or a container's own overlay, cannot hold an overlay's upper folder"
		}
	}
	return f
}

// setting is a reason for which systems refuse what the sandbox needs.
type setting struct {
	path   string // below /proc/sys
	bad    func(value string) bool
	detail string
	remedy string
}

var settings = []setting{
	{"kernel/apparmor_restrict_unprivileged_userns", func(v string) bool { return v == "1" },
		"AppArmor keeps programs without a profile from using user namespaces (Ubuntu 23.10 and newer)", ""},
	{"kernel/unprivileged_userns_clone", func(v string) bool { return v == "0" },
		"user namespaces are switched off for users (kernel.unprivileged_userns_clone=0)",
		"sudo sysctl -w kernel.unprivileged_userns_clone=1"},
	{"user/max_user_namespaces", func(v string) bool { n, err := strconv.Atoi(v); return err == nil && n < 64 },
		"the number of user namespaces is limited (user.max_user_namespaces)",
		"sudo sysctl -w user.max_user_namespaces=15000"},
	{"user/max_net_namespaces", func(v string) bool { n, err := strconv.Atoi(v); return err == nil && n < 64 },
		"the number of network namespaces is limited (user.max_net_namespaces)",
		"sudo sysctl -w user.max_net_namespaces=15000"},
}

// machine is what is known of the system when something was refused.
type machine struct {
	root      bool                     // this is user 0
	exe       string                   // this program
	kernel    int                      // major<<8 | minor
	container string                   // "docker", …, "" if none is known
	chroot    bool                     // the root is not a mount point
	setting   func(name string) string // a file below /proc/sys, "" if there is none
}

func thisMachine() *machine {
	exe, err := os.Executable()
	if err != nil {
		exe = "/usr/local/bin/labstar"
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	return &machine{
		root: os.Geteuid() == 0, exe: exe, kernel: kernelVersion(), container: container(),
		chroot: err == nil && !mountedRoot(mounts),
		setting: func(name string) string {
			b, err := os.ReadFile("/proc/sys/" + name)
			if err != nil {
				return ""
			}
			return string(b)
		},
	}
}

// mountedRoot tells whether a mountinfo has a mount at /.
func mountedRoot(mountinfo []byte) bool {
	for line := range bytes.Lines(mountinfo) {
		if f := bytes.Fields(line); len(f) > 4 && string(f[4]) == "/" {
			return true
		}
	}
	return false
}

// causes finds what may have made a system call fail with errno.
func (m *machine) causes(errno syscall.Errno) []sandbox.Finding {
	var found []sandbox.Finding
	for _, s := range settings {
		if !s.bad(strings.TrimSpace(m.setting(s.path))) || (m.root && strings.HasPrefix(s.path, "kernel/")) {
			continue
		}
		remedy := s.remedy
		if remedy == "" {
			remedy = appArmorRemedy(m.exe)
		}
		found = append(found, sandbox.Finding{Name: filepath.Base(s.path), Detail: s.detail, Remedy: remedy})
	}
	if m.kernel < 5<<8|12 {
		found = append(found, sandbox.Finding{
			Name: "kernel", Detail: fmt.Sprintf("the kernel is %d.%d", m.kernel>>8, m.kernel&255),
			Remedy: "labstar's sandbox needs Linux 5.12 or newer, with CONFIG_USER_NS, CONFIG_OVERLAY_FS and CONFIG_SECCOMP_FILTER",
		})
	}
	denied := errno == syscall.EPERM || errno == syscall.EACCES || errno == syscall.ENOSYS
	switch {
	case len(found) > 0 || !denied:
	case m.container != "":
		found = append(found, sandbox.Finding{
			Name: "container", Detail: "this is a container (" + m.container + "), and its own rules forbid namespaces or a new /proc",
			Remedy: "start it with: docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined",
		})
	case m.chroot:
		found = append(found, sandbox.Finding{
			Name: "chroot", Detail: "this is a chroot, where the kernel refuses user namespaces",
			Remedy: "run labstar outside of it, or in a container instead",
		})
	case m.root && errno == syscall.EACCES:
		found = append(found, sandbox.Finding{
			Name: "root", Detail: "the sandbox's user is root in its own namespace only, and cannot enter folders that only another user may enter",
			Remedy: "run labstar as the user that owns the store, or use a store that root owns (--cache, LABSTAR_CACHE)",
		})
	}
	return found
}

// appArmorRemedy is a profile for this very program, and the setting for all.
func appArmorRemedy(exe string) string {
	return fmt.Sprintf(`allow it for labstar alone:
  printf 'abi <abi/4.0>,\ninclude <tunables/global>\nprofile labstar "%s" flags=(unconfined) {\n  userns,\n}\n' | sudo tee /etc/apparmor.d/labstar
  sudo apparmor_parser -r /etc/apparmor.d/labstar
or for every program, until the next boot:
  sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, exe)
}

// kernelVersion is major<<8 | minor, 0xffff if it can't be told.
func kernelVersion() int {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return 0xffff
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &major, &minor); err != nil {
		return 0xffff
	}
	return major<<8 | min(minor, 255)
}

// container names the container that this process is in, "" if none is known.
func container() string {
	for name, file := range map[string]string{"docker": "/.dockerenv", "podman": "/run/.containerenv"} {
		if _, err := os.Stat(file); err == nil {
			return name
		}
	}
	return os.Getenv("container")
}
