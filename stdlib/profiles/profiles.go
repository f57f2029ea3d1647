// Package profiles holds the kernel profiles: named sets of kernel options, kept
// as text that is meant to be read and edited. NAME.config is the profile NAME.
//
// A line is one in the syntax of a .config, with conditions in braces where it
// does not hold for every kernel:
//
//	CONFIG_VIRTIO_BLK=y
//	CONFIG_SERIAL_AMBA_PL011=y  {arm64}
//	CONFIG_MEMCG_SWAP=y         {until 6.0}
//	CONFIG_HID_SUPPORT=y        {if present, x86_64}
//
// "from V" is the first version that has the option, "until V" the last one;
// "x86_64" and "arm64" are architectures. A line whose conditions don't hold is
// as if it were not there. "if present" marks an option that a kernel may lack: it
// is asked for where it exists. "use NAME" on a line by itself takes in another
// profile. What follows a "#" is a comment; the comment that a file begins with
// says what the profile is for, and is the profile's entry in the reference.
package profiles

import "embed"

// FS holds the profiles.
//
//go:embed *.config
var FS embed.FS
