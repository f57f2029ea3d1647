package kernel

import (
	"time"

	"github.com/labstar/labstar/action"
)

// arch is what building for one architecture takes.
type arch struct {
	src   string // its folder below arch/ in the source
	cross string // before the names of the compiler and the binutils
	image string // the image that a boot loader takes: make's goal, and its file in boot/
}

// archs are the architectures by the name that scripts use. It is kbuild's ARCH
// too, and therefore in the first line of a .config.
var archs = map[string]*arch{
	"x86_64": {src: "x86", image: "bzImage"},
	"arm64":  {src: "arm64", cross: "aarch64-linux-gnu-", image: "Image"},
}

// path is where make leaves the image.
func (a *arch) path() string { return "arch/" + a.src + "/boot/" + a.image }

// makeEnv is the environment of every make in a kernel's source: the
// architecture, and constants for all that would tell when, where and by whom a
// kernel was built.
func makeEnv(name string) map[string]string {
	return map[string]string{
		"ARCH":                   name,
		"CROSS_COMPILE":          archs[name].cross,
		"KBUILD_BUILD_HOST":      "labstar",
		"KBUILD_BUILD_USER":      "labstar",
		"KBUILD_BUILD_VERSION":   "1",
		"KBUILD_BUILD_TIMESTAMP": time.Unix(action.SourceDateEpoch, 0).UTC().Format(time.UnixDate),
		"KCONFIG_NOTIMESTAMP":    "1",
	}
}
