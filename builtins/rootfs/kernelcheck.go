package rootfs

import (
	"context"
	"debug/elf"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/kconfig"
	"github.com/labstar/labstar/starlark/schema"
)

// kernelConfig is the configuration of the kernel that is to run a tree. The zero
// value is of no kernel: it needs nothing.
type kernelConfig struct {
	config kconfig.Config
	arch   string
}

// kernelInput adds the kernel's configuration to an action, and returns its
// architecture. The kernel itself need not be compiled for it.
func kernelInput(c *schema.Call, k *schema.Artifact, spec *action.Spec) (arch string, err error) {
	if k == nil {
		return "", nil
	}
	config := k
	if k.Type() != "kernel_config" {
		v, err := k.Attr("config")
		part, ok := v.(*schema.Artifact)
		if err != nil || !ok {
			return "", c.ArgErrorf("kernel", "got a kernel without the attribute config")
		}
		config = part
	}
	spec.Inputs = append(spec.Inputs, action.Input{Name: "kernel", Artifact: config.Artifact})
	if v, err := k.Attr("arch"); err == nil {
		if s, ok := v.(starlark.String); ok {
			arch = string(s)
		}
	}
	return arch, nil
}

func (c *composer) kernel(ctx context.Context, arch string) (kernelConfig, error) {
	in, ok := c.input("kernel")
	if !ok {
		return kernelConfig{}, nil
	}
	b, err := readAll(ctx, c.env, in.Digest)
	return kernelConfig{config: kconfig.ParseConfig(b), arch: arch}, err
}

func (k kernelConfig) machine() elf.Machine {
	if k.config == nil {
		return elf.EM_NONE
	}
	switch k.arch {
	case "x86_64":
		return elf.EM_X86_64
	case "arm64":
		return elf.EM_AARCH64
	}
	return elf.EM_NONE
}

func (k kernelConfig) need(option, by string, builtIn bool) error {
	if k.config == nil {
		return nil
	}
	return k.config.Check(kconfig.Need{Option: option, By: by, BuiltIn: builtIn})
}

// kernelNeeds are what the parts of a system need of its kernel.
func (s *survey) kernelNeeds(k kernelConfig) []error {
	if k.config == nil {
		return nil
	}
	var errs []error
	add := func(option, by string, builtIn bool) { errs = append(errs, k.need(option, by, builtIn)) }
	if s.elf != "" {
		add("BINFMT_ELF", fmt.Sprintf("%q, a program,", s.elf), true)
	}
	if s.script != "" {
		add("BINFMT_SCRIPT", fmt.Sprintf("%q, a script,", s.script), true)
	}
	if s.booted {
		for _, o := range []string{"PROC_FS", "SYSFS", "DEVTMPFS", "TMPFS"} {
			add(o, "/etc/init.d/mounts", true)
		}
		add("NET", "/etc/init.d/network", true)
		add("INET", "/etc/init.d/network", true)
	}
	if by := s.udhcpc; by != "" {
		err := k.need("PACKET", by, !s.packet)
		if err != nil && k.config.Get("PACKET") == "m" {
			err = fmt.Errorf("%w, or the kernel's .modules to contents", err)
		}
		errs = append(errs, err)
	}
	if s.keymap {
		add("VT", "the key map", true)
	}
	for _, tty := range s.consoles {
		if n, ok := kconfig.Console(tty); ok {
			errs = append(errs, k.config.Check(n))
		}
	}
	for _, by := range s.proc {
		add("IKCONFIG_PROC", fmt.Sprintf("%q, which reads /proc/config.gz,", by), false)
	}
	if s.login != "" {
		add("MULTIUSER", s.login, true)
	}
	if s.sshd != nil {
		add("UNIX98_PTYS", s.sshd.what(), true)
		add("INET", s.sshd.what(), true)
	}
	return unjoined(errs)
}

// unjoined drops what is nil, and what is said already.
func unjoined(errs []error) []error {
	var out []error
	seen := map[string]bool{}
	for _, err := range errs {
		if err == nil {
			continue
		}
		// The same option is asked for once, by the first who needs it.
		key, _, _ := strings.Cut(err.Error(), ", and ")
		if !seen[key] {
			seen[key] = true
			out = append(out, err)
		}
	}
	return out
}
