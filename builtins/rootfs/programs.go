package rootfs

import (
	"debug/elf"
	"fmt"

	"github.com/labstar/labstar/internal/format/dynlink"
	"github.com/labstar/labstar/internal/programs"
)

// newPrograms returns what checks the programs of a tree that is to run on a kernel.
func newPrograms(c *composer, k kernelConfig) *programs.Checker {
	p := programs.New(c.env, c.e)
	p.Refuse = func(shown string, o *dynlink.Object) error { return kernelRuns(k, shown, o) }
	p.Words = programs.Words{
		Loader:  "add the C library to contents (its .runtime)",
		Library: "add the tree or the package that has it to contents",
		Link:    "say symlinks = {%q: %q}",
		MuslDir: "say files = {%q: %q}",
	}
	return p
}

// kernelRuns reports a program for another machine than the kernel's.
func kernelRuns(k kernelConfig, shown string, o *dynlink.Object) error {
	machine := k.machine()
	switch {
	case machine == elf.EM_NONE || o.Machine == machine && o.Class == elf.ELFCLASS64:
		return nil
	case machine == elf.EM_X86_64 && o.Machine == elf.EM_386:
		return k.need("IA32_EMULATION", fmt.Sprintf("%q, a 32-bit program,", shown), true)
	case machine == elf.EM_AARCH64 && o.Machine == elf.EM_ARM:
		return k.need("COMPAT", fmt.Sprintf("%q, a 32-bit program,", shown), true)
	}
	return fmt.Errorf("checking program %q: it is for %s, and the kernel is for %s; build it with a toolchain for %s",
		shown, programs.MachineName(o.Machine), programs.MachineName(machine), programs.MachineName(machine))
}
