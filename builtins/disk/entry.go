package disk

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Entry is one thing that a loader offers, as a value of the language.
type Entry struct {
	title          string
	kernel, initrd *schema.Artifact
	cmdline        action.Late
}

// The methods of starlark.Value.
func (e *Entry) String() string        { return fmt.Sprintf("boot_entry(title = %q)", e.title) }
func (e *Entry) Type() string          { return "entry" }
func (e *Entry) Freeze()               {}
func (e *Entry) Truth() starlark.Bool  { return true }
func (e *Entry) Hash() (uint32, error) { return starlark.String(e.title).Hash() }

type entryArgs struct {
	Kernel  *schema.Artifact `star:"kernel" kind:"file" doc:"the kernel"`
	Initrd  *schema.Artifact `star:"initrd,keyword,optional" kind:"file" doc:"its initial file system"`
	Cmdline action.Late      `star:"cmdline,keyword" default:"\"\"" doc:"more words of its command line"`
	Title   string           `star:"title,keyword" default:"\"Linux\"" doc:"what the menu shows"`
}

// BootEntry is the builtin `boot_entry`.
var BootEntry = schema.New("boot_entry", `boot_entry describes one line of a boot loader's menu, for disk_image.

	entries = [boot_entry(linux, title = "Lab"),
	           boot_entry(linux, title = "Lab, single user", cmdline = "single")]`, callEntry, schema.Returns("a boot entry"))

func callEntry(c *schema.Call, a *entryArgs) (starlark.Value, error) {
	if a.Title == "" || strings.ContainsAny(a.Title, "\n\r") {
		return nil, c.ArgErrorf("title", "got %q, want one line of text", a.Title)
	}
	if strings.ContainsAny(string(a.Cmdline), "\n\r") {
		return nil, c.ArgErrorf("cmdline", "got a line break, want words separated by spaces")
	}
	return &Entry{title: a.Title, kernel: a.Kernel, initrd: a.Initrd, cmdline: a.Cmdline}, nil
}

// args is the whole command line of an entry: what the script says, and what is
// missing in it.
func (im *image) args(e *Entry) action.Late {
	words := strings.Fields(string(e.cmdline))
	has := func(prefix string) bool {
		for _, w := range words {
			if strings.HasPrefix(w, prefix) {
				return true
			}
		}
		return false
	}
	var add []string
	if im.root >= 0 && !has("root=") {
		root := im.a.Partitions[im.root]
		add = append(add, "root=PARTUUID="+im.partUUID(im.root))
		if !has("rootfstype=") {
			add = append(add, "rootfstype="+root.fs)
		}
		if !has("rootwait") {
			add = append(add, "rootwait")
		}
		mode := "rw"
		if root.fs == "squashfs" || root.fs == "erofs" {
			mode = "ro"
		}
		if !has("ro") && !has("rw") {
			add = append(add, mode)
		}
	}
	if !has("console=") {
		for _, con := range im.consoles() {
			add = append(add, "console="+con)
		}
	}
	return action.Late(strings.Join(append(add, words...), " "))
}

func (im *image) consoles() []string {
	if im.a.Console != nil {
		return *im.a.Console
	}
	if im.arch == "arm64" {
		return []string{"ttyAMA0"}
	}
	return []string{"ttyS0"}
}
