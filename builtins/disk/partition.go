package disk

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/ptable"
	"github.com/labstar/labstar/starlark/schema"
)

// Partition is one part of a disk, as a value of the language.
type Partition struct {
	name    string
	content *schema.Artifact // a tree, a file system, any file, or nil
	fs      string           // of what is made from the tree, or what the file system is; "" for none
	made    bool             // disk_image makes the file system
	fsArgs  []starlark.Tuple
	size    int64 // sizeFit, sizeRest or bytes
	start   int64 // bytes; 0 is after the one before
	kind    kind
	mount   string
	options string
	label   string
	uuid    action.Late
	guid    string
	active  bool
}

const (
	sizeFit  = 0
	sizeRest = -1
)

// The methods of starlark.Value.
func (p *Partition) String() string        { return fmt.Sprintf("partition(name = %q)", p.name) }
func (p *Partition) Type() string          { return "partition" }
func (p *Partition) Freeze()               {}
func (p *Partition) Truth() starlark.Bool  { return true }
func (p *Partition) Hash() (uint32, error) { return starlark.String(p.name).Hash() }

// kind is the type of a partition in both tables.
type kind struct {
	guid ptable.GUID
	mbr  byte
}

var kinds = map[string]kind{
	"esp":       {ptable.ESP, 0xEF},
	"bios_boot": {ptable.BIOSBoot, 0xDA},
	"linux":     {ptable.Linux, 0x83},
	"swap":      {ptable.Swap, 0x82},
	"data":      {ptable.Data, 0x0C},
	"ntfs":      {ptable.Data, 0x07},
	"home":      {ptable.Home, 0x83},
	"lvm":       {ptable.LVM, 0x8E},
	"raid":      {ptable.RAID, 0xFD},
	"xbootldr":  {ptable.XBootLdr, 0xEA},
}

func (k kind) esp() bool { return k.guid == ptable.ESP }

type partitionArgs struct {
	Content *schema.Artifact            `star:"content,optional" doc:"what is in it: a tree, from which the file system fs is made; a file system; any other file; by default nothing"`
	FS      string                      `star:"fs,keyword" default:"\"\"" enum:",ext4,fat,squashfs,erofs,swap" doc:"the file system that is made from the tree, or empty; by default fat in an esp, swap in a swap"`
	Size    starlark.Value              `star:"size,keyword" default:"\"fit\"" doc:"bytes, as an int or as in \"64M\"; \"fit\" is what the content needs, \"rest\" what the other partitions leave"`
	Kind    string                      `star:"type,keyword" default:"\"\"" doc:"\"esp\", \"linux\", \"swap\", \"bios_boot\", \"data\", \"ntfs\", \"home\", \"lvm\", \"raid\", \"xbootldr\", or a GUID; by default by the file system"`
	Mount   string                      `star:"mount,keyword" default:"\"\"" doc:"where the system mounts it, as \"/\" or \"/home\"; it gets a line in /etc/fstab"`
	Options string                      `star:"options,keyword" default:"\"\"" doc:"options of that mount; by default \"defaults\" or what suits the file system"`
	Name    string                      `star:"name,keyword" default:"\"\"" doc:"its name in a GPT; by default by its use"`
	Label   string                      `star:"label,keyword" default:"\"\"" doc:"the file system's label"`
	UUID    action.Late                 `star:"uuid,keyword" default:"\"\"" doc:"the file system's identifier; by default one that comes from the content"`
	GUID    string                      `star:"guid,keyword" default:"\"\"" doc:"the partition's own identifier (PARTUUID); by default one that comes from the content"`
	Free    starlark.Value              `star:"free,keyword,optional" doc:"space that a fitted ext4 or FAT has left"`
	FSArgs  schema.Dict[starlark.Value] `star:"fs_args,keyword,optional" doc:"dict of more arguments of the builtin that makes the file system, as {\"inodes\": 10000}"`
	Start   starlark.Value              `star:"start,keyword,optional" doc:"where it starts on the disk, in bytes; by default after the one before"`
	Active  bool                        `star:"active,keyword" default:"False" doc:"mark it as the one that a BIOS boots; the loader's partition is by itself"`
}

// NewPartition is the builtin `partition`.
var NewPartition = schema.New("partition", `partition describes a part of a disk for disk_image.

	partition(type = "esp", size = "32M")                         # filled by the loader
	partition(type = "bios_boot")                                 # the same, for GRUB on a BIOS
	partition(root, fs = "ext4", mount = "/", size = "256M")      # made from a tree
	partition(squashfs(app, toolchain = t), mount = "/opt")       # a file system as it is
	partition(fs = "swap", size = "128M")
	partition(type = "ntfs", size = "rest", name = "data")        # left empty`, callPartition,
	schema.Returns("a partition"))

func callPartition(c *schema.Call, a *partitionArgs) (starlark.Value, error) {
	p := &Partition{
		name: a.Name, content: a.Content, fs: a.FS, mount: a.Mount, options: a.Options,
		label: a.Label, uuid: a.UUID, guid: strings.ToLower(a.GUID), active: a.Active,
	}
	errs := []error{p.setSize(c, a), p.setKind(c, a), p.setContent(c, a), p.setMount(c)}
	if a.GUID != "" {
		if _, err := ptable.ParseGUID(a.GUID); err != nil {
			errs = append(errs, c.ArgErrorf("guid", "%w", err))
		}
	}
	if p.name == "" {
		p.name = p.defaultName(a.Kind)
	}
	if n := len(utf16.Encode([]rune(p.name))); n > 36 {
		errs = append(errs, c.ArgErrorf("name", "got %d characters, want at most 36, the limit of GPT", n))
	}
	return p, errors.Join(errs...)
}

func (p *Partition) setSize(c *schema.Call, a *partitionArgs) error {
	var err error
	switch s, _ := starlark.AsString(a.Size); s {
	case fit:
	case rest:
		p.size = sizeRest
	default:
		if p.size, err = parseSize(a.Size); err != nil {
			err = c.ArgErrorf("size", "%w, \"fit\" or \"rest\"", err)
		}
	}
	if a.Start != nil {
		var e error
		if p.start, e = parseSize(a.Start); e != nil || p.start%ptable.Sector != 0 {
			err = errors.Join(err, c.ArgErrorf("start", "got %s, want bytes, a multiple of %d", a.Start, ptable.Sector))
		}
	}
	return err
}

func (p *Partition) setKind(c *schema.Call, a *partitionArgs) error {
	var ok bool
	switch {
	case a.Kind == "":
		p.kind = kinds[map[string]string{"swap": "swap", "fat": "data", "vfat": "data"}[p.contentFS()]]
		if p.kind == (kind{}) {
			p.kind = kinds["linux"]
		}
	case len(a.Kind) == 36:
		g, err := ptable.ParseGUID(a.Kind)
		if err != nil {
			return c.ArgErrorf("type", "%w", err)
		}
		p.kind = kind{g, 0xDA}
		for _, k := range kinds {
			if k.guid == g {
				p.kind.mbr = k.mbr
			}
		}
	default:
		if p.kind, ok = kinds[strings.ToLower(a.Kind)]; !ok {
			names := slices.Sorted(maps.Keys(kinds))
			e := c.ArgErrorf("type", "got %q, want one of %s, or a GUID", a.Kind, strings.Join(names, ", "))
			if near := schema.Suggest(strings.ToLower(a.Kind), names); near != "" {
				return e.WithHint(fmt.Sprintf("did you mean %q?", near))
			}
			return e
		}
	}
	return nil
}

// contentFS is the file system, given or made.
func (p *Partition) contentFS() string {
	if p.fs == "" && p.content != nil {
		return attrString(p.content, "fs")
	}
	return p.fs
}

// attrString returns an attribute that is a string, or "".
func attrString(a *schema.Artifact, name string) string {
	v, err := a.Attr(name)
	if err != nil || v == nil {
		return ""
	}
	s, _ := starlark.AsString(v)
	return s
}

func (p *Partition) setContent(c *schema.Call, a *partitionArgs) error {
	isTree := p.content != nil && p.content.Kind() == action.Tree
	if p.fs == "" && (isTree || p.content == nil) {
		switch {
		case p.kind.esp():
			p.fs = "fat"
		case p.kind.guid == ptable.Swap:
			p.fs = "swap"
		case isTree:
			return c.ArgErrorf("fs", "got a tree and no file system, want one: say fs = \"ext4\"")
		}
	}
	for _, e := range a.FSArgs {
		p.fsArgs = append(p.fsArgs, starlark.Tuple{starlark.String(e.Key), e.Value})
	}
	if a.Free != nil && a.Free != starlark.None {
		p.fsArgs = append(p.fsArgs, starlark.Tuple{starlark.String("free"), a.Free})
	}
	switch {
	case p.content != nil && !isTree:
		if p.fs != "" || p.label != "" || p.uuid != "" || len(p.fsArgs) > 0 {
			return c.ArgErrorf("content", "got %s with fs, label, uuid, free or fs_args: those are for a file system that is made from a tree", p.content.Type()).
				WithHint("give them where the file system is made")
		}
		p.fs, p.label, p.uuid = attrString(p.content, "fs"), attrString(p.content, "label"), action.Late(attrString(p.content, "uuid"))
	case p.fs != "":
		p.made = true
		if p.fs == "swap" && isTree {
			return c.ArgErrorf("fs", "got a tree and swap, which holds no files")
		}
		if p.size == sizeFit && (p.fs == "swap" || p.content == nil && p.fs != "fat") {
			return c.ArgErrorf("size", "got \"fit\" and no content, want a size")
		}
		if (p.fs == "squashfs" || p.fs == "erofs") && p.content == nil {
			return c.ArgErrorf("content", "got none, and %s can't be written to: want a tree", p.fs)
		}
		if p.fs == "fat" {
			p.fs = "vfat"
		}
	case p.size == sizeFit && p.kind.guid != ptable.BIOSBoot: // a loader fills that
		return c.ArgErrorf("size", "got \"fit\" and no content, want a size")
	}
	if p.kind.esp() && p.fs != "" && p.fs != "vfat" {
		return c.ArgErrorf("fs", "got an EFI system partition with %s, and firmware reads FAT alone: say fs = \"fat\"", p.fs)
	}
	return nil
}

func (p *Partition) setMount(c *schema.Call) error {
	if p.mount == "" {
		return nil
	}
	clean, err := action.CleanPath(p.mount)
	switch {
	case err != nil || !strings.HasPrefix(p.mount, "/") || strings.ContainsAny(p.mount, " \t\n#"):
		return c.ArgErrorf("mount", "got %q, want an absolute path with no spaces, as \"/home\"", p.mount)
	case p.fs == "" || p.fs == "swap":
		return c.ArgErrorf("mount", "got %q for a partition with no file system to mount", p.mount).WithHint("say fs = \"ext4\", or leave mount out")
	case strings.ContainsAny(p.options, " \t\n"):
		return c.ArgErrorf("options", "got %q, want options separated by commas, with no spaces", p.options)
	}
	p.mount = "/" + clean
	return nil
}

func (p *Partition) defaultName(typ string) string {
	switch {
	case p.mount == "/":
		return "root"
	case p.kind.esp():
		return "EFI system"
	case p.mount != "":
		return p.mount[strings.LastIndexByte(p.mount, '/')+1:]
	case p.label != "":
		return p.label
	case typ != "" && len(typ) < 36:
		return typ
	case p.fs != "":
		return p.fs
	}
	return "data"
}

// makeFS calls the builtin that makes the partition's file system.
func (p *Partition) makeFS(c *schema.Call, content *schema.Artifact, size, uuid starlark.Value, toolchain *schema.Artifact, hidden int64) (*schema.Artifact, error) {
	builtin := map[string]*schema.Builtin{"ext4": Ext4, "vfat": Fat, "swap": Swap, "squashfs": Squashfs, "erofs": Erofs}[p.fs]
	kw := slices.Clone(p.fsArgs)
	set := func(name string, v starlark.Value) { kw = append(kw, starlark.Tuple{starlark.String(name), v}) }
	if p.fs != "squashfs" {
		set("uuid", uuid)
		set("label", starlark.String(p.label))
	}
	set("name", starlark.String(p.name))
	var args starlark.Tuple
	switch p.fs {
	case "swap":
		args = starlark.Tuple{size}
	case "squashfs", "erofs":
		if toolchain != nil && !p.hasArg("toolchain") {
			set("toolchain", toolchain)
		}
		args = starlark.Tuple{content}
	default:
		if content != nil {
			args = starlark.Tuple{content}
		}
		set("size", size)
		if p.fs == "vfat" && hidden > 0 {
			set("hidden", starlark.MakeInt64(hidden))
		}
	}
	v, err := starlark.Call(c.Thread(), builtin, args, kw)
	if err != nil {
		return nil, c.Errorf("partition %q: %w", p.name, unwrapEval(err))
	}
	return v.(*schema.Artifact), nil
}

// hasArg reports whether the script gives an argument for the file system.
func (p *Partition) hasArg(name string) bool {
	return slices.ContainsFunc(p.fsArgs, func(t starlark.Tuple) bool { return t[0] == starlark.String(name) })
}

// unwrapEval takes the error of a builtin out of the one that starlark.Call makes,
// whose backtrace would be shown twice.
func unwrapEval(err error) error {
	var eval *starlark.EvalError
	if errors.As(err, &eval) {
		return eval.Unwrap()
	}
	return err
}
