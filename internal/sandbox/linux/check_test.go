//go:build linux && (amd64 || arm64)

package linux

import (
	"strings"
	"syscall"
	"testing"
)

func TestCheck(t *testing.T) {
	for _, f := range Check(t.Context(), scratch(t)) {
		if !f.OK {
			t.Errorf("%s: %s", f.Name, f.Detail)
		}
	}
}

// TestCauses plays the settings of other systems.
func TestCauses(t *testing.T) {
	for want, c := range map[string]struct {
		settings map[string]string
		errno    syscall.Errno
		root     bool
	}{
		"apparmor_parser -r /etc/apparmor.d/labstar": {map[string]string{"kernel/apparmor_restrict_unprivileged_userns": "1\n"}, syscall.EACCES, false},
		"kernel.unprivileged_userns_clone=1":         {map[string]string{"kernel/unprivileged_userns_clone": "0\n"}, syscall.EPERM, false},
		"user.max_user_namespaces=15000":             {map[string]string{"user/max_user_namespaces": "0\n"}, syscall.ENOSPC, true},
		"user.max_net_namespaces=15000":              {map[string]string{"user/max_net_namespaces": "0\n", "user/max_user_namespaces": "900"}, syscall.ENOSPC, false},
		"store that root owns":                       {nil, syscall.EACCES, true},
		"":                                           {map[string]string{"kernel/apparmor_restrict_unprivileged_userns": "1\n"}, syscall.EPERM, true},
	} {
		m := &machine{root: c.root, exe: "/opt/labstar", kernel: 6 << 8, setting: func(name string) string { return c.settings[name] }}
		found := m.causes(c.errno)
		if want == "" {
			if len(found) != 0 {
				t.Errorf("got %v, want none", found)
			}
			continue
		}
		if len(found) != 1 || !strings.Contains(found[0].Remedy, want) || found[0].OK {
			t.Errorf("got %v, want a remedy with %q", found, want)
		}
	}
	old := &machine{kernel: 5<<8 | 4, setting: func(string) string { return "" }}
	if found := old.causes(syscall.ENOSYS); len(found) != 1 || found[0].Name != "kernel" {
		t.Errorf("got %v, want that the kernel is too old", found)
	}
	boxed := &machine{kernel: 6 << 8, container: "docker", setting: func(string) string { return "" }}
	if found := boxed.causes(syscall.EPERM); len(found) != 1 || !strings.Contains(found[0].Remedy, "--security-opt") {
		t.Errorf("got %v, want how to start a container", found)
	}
	if m := thisMachine(); m.kernel < 5<<8 || m.kernel == 0xffff || m.exe == "" {
		t.Errorf("got %+v of this machine", m)
	}
}
