package kconfig

import (
	"fmt"
	"strings"
)

// Need is an option without which something does not run on a kernel.
type Need struct {
	// Option is what must be on; with several, joined by "|", one of them.
	Option string
	// By is who needs it, for messages: "udhcpc", "the console ttyS0".
	By string
	// BuiltIn is set where a module comes too late, or there is none that could
	// be loaded.
	BuiltIn bool
}

// Check reports a need that the configuration does not meet, ending with what to
// add to the call of kernel_config.
func (c Config) Check(n Need) error {
	options := strings.Split(n.Option, "|")
	module := ""
	for _, o := range options {
		switch v := c.Get(o); {
		case v == "y", v == "m" && !n.BuiltIn:
			return nil
		case v == "m":
			module = o
		}
	}
	if module != "" {
		return fmt.Errorf("checking kernel: %s%s is a module, and %s needs it built in; add options = {%q: True} to kernel_config",
			Prefix, module, n.By, module)
	}
	off := make([]string, len(options))
	for i, o := range options {
		off[i] = Prefix + o
	}
	are := " is off"
	if len(off) > 1 {
		are = " are off"
	}
	it := "it"
	if len(off) > 1 {
		it = "one of them"
	}
	return fmt.Errorf("checking kernel: %s%s, and %s needs %s; add options = {%q: True} to kernel_config",
		strings.Join(off, " and "), are, n.By, it, options[0])
}

// Console returns what a kernel needs for the terminal tty ("ttyS0", "tty1",
// "hvc0") to be a console; ok is false for one that is not known.
func Console(tty string) (n Need, ok bool) {
	name := strings.TrimRight(tty, "0123456789")
	option, ok := map[string]string{
		"tty":    "VT_CONSOLE",
		"ttyS":   "SERIAL_8250_CONSOLE",
		"ttyAMA": "SERIAL_AMBA_PL011_CONSOLE",
		"hvc":    "VIRTIO_CONSOLE",
		"ttyUSB": "USB_SERIAL_CONSOLE",
	}[name]
	if tty == "console" || tty == "null" {
		return Need{}, false
	}
	return Need{Option: option, By: "the console " + tty, BuiltIn: true}, ok
}
