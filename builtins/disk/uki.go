package disk

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/pe"
)

// A unified kernel image is one EFI program: systemd's stub with the kernel, the
// initial file system and the command line in sections of its own.

type ukiParams struct {
	Stub    string      `json:"stub"` // path in the toolchain
	Cmdline action.Late `json:"cmdline"`
	Release string      `json:"release"` // what os-release(5) says, for menus
	Arch    string      `json:"arch"`
}

// uki makes the program of the first entry.
func (im *image) uki() (*action.Artifact, error) {
	e := im.entries[0]
	spec := action.Spec{
		Op: ukiOp, Title: im.a.Name + " unified kernel image",
		Params: ukiParams{
			Stub: fmt.Sprintf(systemdStub, im.efiName()), Cmdline: im.args(e), Arch: im.arch,
			Release: fmt.Sprintf("ID=labstar\nNAME=%q\nPRETTY_NAME=%q\n", e.title, e.title),
		},
		Inputs: []action.Input{
			{Name: "toolchain", Artifact: im.a.Toolchain.Artifact}, {Name: "kernel", Artifact: e.kernel.Artifact},
		},
		Outputs: []action.Output{{Name: "uki.efi", Kind: action.File}},
	}
	if e.initrd != nil {
		spec.Inputs = append(spec.Inputs, action.Input{Name: "initrd", Artifact: e.initrd.Artifact})
	}
	act, err := im.c.Action(spec)
	if err != nil {
		return nil, err
	}
	return act.Output("uki.efi"), nil
}

var ukiOp = &action.Op{Name: "disk/uki", Version: 1, Run: runUKI}

func runUKI(ctx context.Context, env action.Env) error {
	var p ukiParams
	if err := env.Params(&p); err != nil {
		return err
	}
	stub, err := readInTree(ctx, env, env.Input("toolchain").Digest, p.Stub)
	if err != nil {
		return err
	}
	text := func(name, s string) pe.Section {
		return pe.Section{Name: name, Data: strings.NewReader(s), Size: int64(len(s))}
	}
	sections := []pe.Section{text(".osrel", p.Release), text(".cmdline", string(p.Cmdline))}
	// The kernel comes last: it may use the memory behind it while it unpacks itself.
	for _, part := range []struct{ input, section string }{{"initrd", ".initrd"}, {"kernel", ".linux"}} {
		for _, in := range env.Inputs() {
			if in.Name != part.input {
				continue
			}
			b, err := env.OpenBlob(ctx, in.Digest)
			if err != nil {
				return err
			}
			defer func() { _ = b.Close() }()
			sections = append(sections, pe.Section{Name: part.section, Data: b, Size: in.Digest.Size})
		}
	}
	err = writeImage(env, "uki.efi", func(w io.Writer) error { return pe.Add(w, stub, sections) })
	if err != nil {
		return fmt.Errorf("making the unified kernel image: %w", err)
	}
	return nil
}
