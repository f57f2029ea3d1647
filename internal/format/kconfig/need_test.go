package kconfig

import (
	"slices"
	"testing"
)

func TestNeed(t *testing.T) {
	c := ParseConfig([]byte("CONFIG_PACKET=m\nCONFIG_VT=y\nCONFIG_VT_CONSOLE=y\n# CONFIG_UNIX is not set\n"))
	for _, v := range []struct {
		need Need
		want string
	}{
		{Need{Option: "PACKET", By: "udhcpc"}, ""},
		{Need{Option: "UNIX|VT", By: "x"}, ""},
		{Need{Option: "PACKET", By: "udhcpc", BuiltIn: true},
			`checking kernel: CONFIG_PACKET is a module, and udhcpc needs it built in; add options = {"PACKET": True} to kernel_config`},
		{Need{Option: "UNIX", By: "dropbear"},
			`checking kernel: CONFIG_UNIX is off, and dropbear needs it; add options = {"UNIX": True} to kernel_config`},
		{Need{Option: "RD_ZSTD|RD_XZ", By: "an initramfs"},
			`checking kernel: CONFIG_RD_ZSTD and CONFIG_RD_XZ are off, and an initramfs needs one of them; add options = {"RD_ZSTD": True} to kernel_config`},
	} {
		got := ""
		if err := c.Check(v.need); err != nil {
			got = err.Error()
		}
		if got != v.want {
			t.Errorf("got  %s\nwant %s", got, v.want)
		}
	}
	for tty, want := range map[string]string{"ttyS0": "SERIAL_8250_CONSOLE", "tty1": "VT_CONSOLE", "ttyAMA0": "SERIAL_AMBA_PL011_CONSOLE", "hvc0": "VIRTIO_CONSOLE"} {
		n, ok := Console(tty)
		if !ok || n.Option != want {
			t.Errorf("%s: got %+v, want %s", tty, n, want)
		}
	}
	if n, ok := Console("console"); ok {
		t.Errorf("got %+v for the kernel's own console", n)
	}
}

func TestRootDevice(t *testing.T) {
	c := ParseConfig([]byte("CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_BLK=m\nCONFIG_EXT4_FS=m\n"))
	var got []string
	check := func(loaded func(string) bool) {
		got = nil
		drivers := RootDevice("/dev/vda2")
		fs, ok := FileSystem("ext4")
		if !ok {
			t.Error("ext4 is not known")
		}
		for _, d := range append(drivers, fs) {
			if err := c.CheckDriver(d, loaded); err != nil {
				got = append(got, err.Error())
			}
		}
	}
	check(nil)
	want := []string{
		`checking kernel: CONFIG_VIRTIO_BLK is a module, and the root device /dev/vda2 needs it built in; add options = {"VIRTIO_BLK": True} to kernel_config`,
		`checking kernel: CONFIG_EXT4_FS is a module, and the root file system ext4 needs it built in; add options = {"EXT4_FS": True} to kernel_config`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	check(func(m string) bool { return m == "virtio_blk" || m == "ext4" })
	if len(got) > 0 {
		t.Errorf("got %q with the modules loaded", got)
	}
	if RootDevice("UUID=1234") != nil || RootDevice("/dev/sda1") == nil {
		t.Error("got a driver for a UUID, or none for a disk")
	}
	if _, ok := FileSystem("zfs"); ok {
		t.Error("zfs is known")
	}
}
