package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

const fstabPath = "etc/fstab"

type fstabParams struct {
	Table string      `json:"table"`
	Parts []fstabPart `json:"parts"`
}

// fstabPart is what /etc/fstab must say of a partition.
type fstabPart struct {
	Name    string      `json:"name"`
	Mount   string      `json:"mount,omitempty"`
	FS      string      `json:"fs,omitempty"`
	Options string      `json:"options,omitempty"`
	Label   string      `json:"label,omitempty"`
	UUID    action.Late `json:"uuid,omitempty"`
	GUID    action.Late `json:"guid"`
}

// withFstab lays /etc/fstab into the root tree.
func (im *image) withFstab(tree *schema.Artifact) (*schema.Artifact, error) {
	p := fstabParams{Table: im.a.Table}
	spec := action.Spec{
		Op: fstabOp, Title: im.a.Name + " fstab", Outputs: []action.Output{{Name: "tree", Kind: action.Tree}},
		Inputs: []action.Input{{Name: "tree", Artifact: tree.Artifact}},
	}
	for i, part := range im.a.Partitions {
		f := fstabPart{
			Name: part.name, Mount: part.mount, FS: part.fs, Options: part.options, Label: part.label,
			GUID: action.Late(im.partUUID(i)), UUID: part.uuid,
		}
		if part.made && part.fs != "squashfs" {
			f.UUID = action.Late(im.fsUUID(i))
		}
		p.Parts = append(p.Parts, f)
	}
	spec.Params = p
	act, err := im.c.Action(spec)
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("tree"), "tree", nil), nil
}

var fstabOp = &action.Op{Name: "disk/fstab", Version: 1, Check: true, Run: runFstab}

func runFstab(ctx context.Context, env action.Env) error {
	var p fstabParams
	if err := env.Params(&p); err != nil {
		return err
	}
	e := action.NewEdit(env, env.Input("tree").Digest)
	have, err := readFstab(ctx, env, e)
	if err != nil {
		return err
	}
	lines := parseFstab(have)
	if err := p.check(lines); err != nil {
		return err
	}
	text := have
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	for _, part := range p.Parts {
		if line := part.line(); line != "" && !slices.ContainsFunc(lines, part.named) {
			text += line
		}
	}
	if text != have || have == "" {
		d, err := env.PutBlob([]byte(text))
		if err != nil {
			return err
		}
		node := action.Node{Kind: action.Regular, Digest: d, Attr: action.Attr{Mode: action.ModeFile}}
		if err := e.Put(ctx, fstabPath, node, action.Replace); err != nil {
			return err
		}
	}
	for _, part := range p.Parts {
		if part.Mount != "" {
			if err := e.Mkdir(ctx, part.Mount); err != nil {
				return fmt.Errorf("making the mount point of partition %q: %w", part.Name, err)
			}
		}
	}
	root, err := e.Finish(ctx, env.PutDirectory)
	if err != nil {
		return err
	}
	return env.SetTree("tree", root)
}

func readFstab(ctx context.Context, env action.Env, e *action.Edit) (string, error) {
	n, err := e.Lookup(ctx, fstabPath)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case n.Kind != action.Regular:
		return "", fmt.Errorf("checking /etc/fstab: it is a %s, want a file; leave it out of the tree, and disk_image writes it", n.Kind)
	}
	b, err := env.OpenBlob(ctx, n.Digest)
	if err != nil {
		return "", err
	}
	defer func() { _ = b.Close() }()
	text, err := io.ReadAll(io.LimitReader(b, 1<<20))
	return string(text), err
}

// line is the one that is written for a partition, "" for none.
func (p fstabPart) line() string {
	device := "UUID=" + string(p.UUID)
	if p.UUID == "" {
		device = "PARTUUID=" + string(p.GUID)
	}
	options, pass := p.Options, 2
	switch {
	case p.FS == "swap":
		return fmt.Sprintf("%s\tnone\tswap\t%s\t0\t0\n", device, orElse(options, "sw"))
	case p.Mount == "":
		return ""
	case p.FS == "squashfs" || p.FS == "erofs":
		options, pass = orElse(options, "ro"), 0
	case p.FS == "vfat":
		options = orElse(options, "umask=0077")
	case p.Mount == "/":
		pass = 1
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t0\t%d\n", device, p.Mount, p.FS, orElse(options, "defaults"), pass)
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// fstabLine is a line that the tree has.
type fstabLine struct {
	num                    int
	device, mount, fs, opt string
}

func parseFstab(text string) []fstabLine {
	var out []fstabLine
	for i, l := range strings.Split(text, "\n") {
		f := strings.Fields(l)
		if len(f) < 3 || strings.HasPrefix(f[0], "#") {
			continue
		}
		line := fstabLine{num: i + 1, device: unquote(f[0]), mount: f[1], fs: f[2]}
		if len(f) > 3 {
			line.opt = f[3]
		}
		if line.mount != "/" {
			line.mount = strings.TrimSuffix(line.mount, "/")
		}
		out = append(out, line)
	}
	return out
}

// unquote drops the quotes that the value of a tag may have.
func unquote(s string) string { return strings.ReplaceAll(s, `"`, "") }

// optional reports whether the system boots without the line's device.
func (l fstabLine) optional() bool {
	opts := strings.Split(l.opt, ",")
	return slices.Contains(opts, "noauto") || slices.Contains(opts, "nofail")
}

// named reports whether a line is the partition's.
func (p fstabPart) named(l fstabLine) bool {
	if p.FS == "swap" {
		return l.fs == "swap" && (l.device == "UUID="+string(p.UUID) || p.Label != "" && l.device == "LABEL="+p.Label || l.device == "PARTUUID="+string(p.GUID))
	}
	return p.Mount != "" && l.mount == p.Mount
}

// check holds the lines of the tree to the partitions.
func (p *fstabParams) check(lines []fstabLine) error {
	var errs []error
	seen := map[string]int{}
	for _, l := range lines {
		if strings.HasPrefix(l.mount, "/") {
			if first, ok := seen[l.mount]; ok {
				errs = append(errs, fmt.Errorf("checking /etc/fstab: lines %d and %d both mount %s; drop one", first, l.num, l.mount))
			}
			seen[l.mount] = l.num
		}
		errs = append(errs, p.checkLine(l))
	}
	return errors.Join(errs...)
}

func (p *fstabParams) checkLine(l fstabLine) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("checking /etc/fstab: line %d: %s", l.num, fmt.Sprintf(format, args...))
	}
	device, isDevice := p.device(l.device)
	at := slices.IndexFunc(p.Parts, func(x fstabPart) bool { return x.Mount != "" && x.Mount == l.mount })
	switch {
	case at >= 0 && isDevice && device < 0:
		return fail("got device %s for %s, and that is no partition of this disk; partition %q is %s: write %s, or drop the line and disk_image writes it",
			l.device, l.mount, p.Parts[at].Name, p.Parts[at].tags(), p.Parts[at].tag())
	case at >= 0 && isDevice && device != at:
		return fail("got device %s for %s, and that is partition %q; %s is partition %q: write %s, or drop the line",
			l.device, l.mount, p.Parts[device].Name, l.mount, p.Parts[at].Name, p.Parts[at].tag())
	case at < 0 && isDevice && device < 0 && !l.optional() && strings.Contains(l.device, "="):
		return fail("got device %s, and no partition of this disk has that; add the option nofail if it is on another disk", l.device)
	}
	if at < 0 {
		at = device
	}
	if at < 0 || !isDevice && !strings.HasPrefix(l.device, "/dev/") {
		return nil
	}
	if want := p.Parts[at].FS; want != "" && l.fs != want && l.fs != "auto" && (l.fs != "none" || !strings.Contains(l.opt, "bind")) {
		return fail("got type %s for %s, and partition %q is %s: write %s", l.fs, l.mount, p.Parts[at].Name, want, want)
	}
	return nil
}

func (p fstabPart) tag() string {
	if p.UUID != "" {
		return "UUID=" + string(p.UUID)
	}
	return "PARTUUID=" + string(p.GUID)
}

func (p fstabPart) tags() string {
	s := "PARTUUID=" + string(p.GUID)
	if p.UUID != "" {
		s = "UUID=" + string(p.UUID) + ", " + s
	}
	if p.Label != "" {
		s += ", LABEL=" + p.Label
	}
	return s
}

// device finds the partition that a device names, -1 if it is none of this disk;
// ok is false for what names no device of a disk (proc, tmpfs, a server's folder).
func (p *fstabParams) device(s string) (i int, ok bool) {
	tag, value, tagged := strings.Cut(s, "=")
	if tagged {
		i = slices.IndexFunc(p.Parts, func(x fstabPart) bool {
			switch tag {
			case "UUID":
				return x.UUID != "" && strings.EqualFold(value, string(x.UUID))
			case "PARTUUID":
				return strings.EqualFold(value, string(x.GUID))
			case "LABEL":
				return x.Label != "" && value == x.Label
			case "PARTLABEL":
				return p.Table != "mbr" && value == x.Name
			}
			return false
		})
		return i, slices.Contains([]string{"UUID", "PARTUUID", "LABEL", "PARTLABEL"}, tag)
	}
	n, ok := partitionNumber(s)
	if !ok {
		return -1, false
	}
	if n > len(p.Parts) {
		return -1, true
	}
	return n - 1, true
}

// partitionNumber reads the number out of /dev/sda2, /dev/vda2, /dev/nvme0n1p2,
// /dev/mmcblk0p2.
func partitionNumber(s string) (int, bool) {
	name, ok := strings.CutPrefix(s, "/dev/")
	if !ok || strings.Contains(name, "/") {
		return 0, false
	}
	digits := name[len(strings.TrimRight(name, "0123456789")):]
	base := strings.TrimSuffix(name, digits)
	switch {
	case strings.HasPrefix(base, "nvme") || strings.HasPrefix(base, "mmcblk"):
		if !strings.HasSuffix(base, "p") {
			return 0, false
		}
	case !strings.HasPrefix(base, "sd") && !strings.HasPrefix(base, "vd") && !strings.HasPrefix(base, "hd") && !strings.HasPrefix(base, "xvd"):
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n > 0
}
