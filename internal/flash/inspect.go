package flash

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Device is what the kernel says of a disk.
type Device struct {
	Path       string // /dev/sdb, links followed
	Name       string // sdb
	Vendor     string
	Model      string
	Size       int64 // bytes
	Sector     int64 // of its own, bytes
	USB        bool
	Removable  bool // the medium can be taken out, or the device is on USB or a card
	ReadOnly   bool
	Partitions []Partition
	Uses       []Use
}

// Partition is one of a disk's, as the kernel sees it now.
type Partition struct {
	Name  string // sdb1
	Label string // of the partition table, "" if none
	Size  int64
}

// Use is something that uses a disk.
type Use struct {
	Of   string // sdb1, or dm-0 that lies on it
	What string // "mounted at /mnt", "swap", "part of md0"
	// System is set if this machine would not go on without it.
	System bool
}

// Inspect finds out what is at path.
func Inspect(path string) (*Device, error) { return system{"/sys", "/proc"}.inspect(path) }

// system is where the kernel tells of devices.
type system struct{ sys, proc string }

func (s system) inspect(path string) (*Device, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("looking at the device: %w", err)
	}
	major, minor, err := deviceNumber(real)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.EvalSymlinks(fmt.Sprintf("%s/dev/block/%d:%d", s.sys, major, minor))
	if err != nil {
		return nil, fmt.Errorf("looking at %s: the kernel has no such device: %w", path, err)
	}
	if exists(dir + "/partition") {
		disk := filepath.Base(filepath.Dir(dir))
		return nil, fmt.Errorf("%s is a partition, want the whole device, /dev/%s", path, disk)
	}
	d := &Device{
		Path: real, Name: filepath.Base(dir), Vendor: text(dir + "/device/vendor"), Model: text(dir + "/device/model"),
		Size: number(dir+"/size") * 512, Sector: number(dir + "/queue/logical_block_size"),
		USB: strings.Contains(dir, "/usb"), ReadOnly: text(dir+"/ro") == "1",
	}
	if d.Model == "" {
		d.Model = text(dir + "/device/name") // cards
	}
	if backing := text(dir + "/loop/backing_file"); backing != "" {
		d.Model = "loop device on " + backing
	}
	d.Removable = text(dir+"/removable") == "1" || d.USB || strings.Contains(dir, "/mmc_host/")
	mounts, err := s.mounts()
	if err != nil {
		return nil, err
	}
	d.Uses = append(d.Uses, s.uses(dir, mounts, 0)...)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		part := filepath.Join(dir, e.Name())
		if !exists(part + "/partition") {
			continue
		}
		d.Partitions = append(d.Partitions, Partition{Name: e.Name(), Label: uevent(part, "PARTNAME"), Size: number(part+"/size") * 512})
		d.Uses = append(d.Uses, s.uses(part, mounts, 0)...)
	}
	slices.SortFunc(d.Partitions, func(a, b Partition) int {
		if c := len(a.Name) - len(b.Name); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return d, nil
}

// mount is a mounted file system or a swap space, by device number "8:1" or, where
// the file system has a number of its own (btrfs), by the device's name.
type mount struct {
	number, name, at string
}

func (s system) mounts() ([]mount, error) {
	var list []mount
	b, err := os.ReadFile(s.proc + "/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("reading what is mounted: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 2 {
			continue
		}
		list = append(list, mount{number: f[2], name: base(g[1]), at: unescape(f[4])})
	}
	b, err = os.ReadFile(s.proc + "/swaps")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the swap spaces: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[1] == "partition" {
			list = append(list, mount{name: base(f[0])})
		}
	}
	return list, nil
}

// base is the kernel's name of a device, given a path that may be a link.
func base(path string) string {
	if !strings.HasPrefix(path, "/dev/") {
		return ""
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return filepath.Base(path)
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	for _, r := range []struct{ code, text string }{{`\040`, " "}, {`\011`, "\t"}, {`\012`, "\n"}, {`\134`, `\`}} {
		s = strings.ReplaceAll(s, r.code, r.text)
	}
	return s
}

// own are the mount points without which the machine does not go on.
var own = []string{"/", "/boot", "/boot/efi", "/efi", "/usr", "/var", "/home", "/etc", "/opt", "/nix", "/gnu"}

// uses returns what uses the disk or partition of a folder in /sys, and what lies on
// it: LVM, RAID, encryption.
func (s system) uses(dir string, mounts []mount, depth int) []Use {
	var list []Use
	name, num := filepath.Base(dir), text(dir+"/dev")
	seen := map[string]bool{}
	for _, m := range mounts {
		if m.number != num && m.name != name || seen[m.at] {
			continue
		}
		seen[m.at] = true
		u := Use{Of: name, What: "mounted at " + m.at, System: slices.Contains(own, m.at)}
		if m.at == "" {
			u.What = "used as swap space"
		}
		list = append(list, u)
	}
	holders, err := os.ReadDir(dir + "/holders")
	if err != nil || depth > 8 {
		return list
	}
	for _, h := range holders {
		above, err := filepath.EvalSymlinks(filepath.Join(dir, "holders", h.Name()))
		if err != nil {
			continue
		}
		list = append(list, Use{Of: name, What: "part of " + h.Name() + more(above)})
		list = append(list, s.uses(above, mounts, depth+1)...)
	}
	return list
}

// more is the name that a mapped device has for people.
func more(dir string) string {
	if n := text(dir + "/dm/name"); n != "" {
		return " (" + n + ")"
	}
	return ""
}

// Refuse returns why an image of some bytes is not written to the device, nil if
// nothing speaks against it. One that is not removable is refused unless forced is
// its name.
func (d *Device) Refuse(image int64, forced string) error {
	for _, u := range d.Uses {
		if u.System {
			return fmt.Errorf("%s is this machine's own disk: %s is %s", d.Path, u.Of, u.What)
		}
	}
	if len(d.Uses) > 0 {
		var list []string
		for _, u := range d.Uses {
			list = append(list, u.Of+" is "+u.What)
		}
		return fmt.Errorf("%s is in use: %s; unmount it, or let go of it, first", d.Path, strings.Join(list, ", "))
	}
	switch {
	case d.ReadOnly:
		return fmt.Errorf("%s can't be written: it is read-only (has the card or the stick a switch?)", d.Path)
	case d.Size == 0:
		return fmt.Errorf("%s has no medium in it", d.Path)
	case d.Size < image:
		return fmt.Errorf("%s is too small: it has %d bytes, and the image %d", d.Path, d.Size, image)
	case d.Sector > sector:
		return fmt.Errorf("%s has sectors of %d bytes, and the image is made for sectors of %d", d.Path, d.Sector, sector)
	case forced != "" && forced != d.Name:
		return fmt.Errorf("--force names %s, and the device is %s", forced, d.Name)
	case !d.Removable && forced != d.Name:
		return fmt.Errorf("%s is no removable device; if it is the right one all the same, name it again: --force %s", d.Path, d.Name)
	}
	return nil
}

// String tells what it is: "SanDisk Ultra, USB".
func (d *Device) String() string {
	parts := []string{strings.TrimSpace(d.Vendor + " " + d.Model)}
	if parts[0] == "" {
		parts[0] = "unnamed device"
	}
	if d.USB {
		parts = append(parts, "USB")
	}
	if !d.Removable {
		parts = append(parts, "not removable")
	}
	return strings.Join(parts, ", ")
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// text reads a file of /sys, "" if it is not there.
func text(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func number(path string) int64 {
	n, err := strconv.ParseInt(text(path), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// uevent returns a value of a device's uevent file.
func uevent(dir, key string) string {
	for line := range strings.Lines(text(dir + "/uevent")) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+"="); ok {
			return v
		}
	}
	return ""
}
