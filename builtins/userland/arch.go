package userland

// arch is what compiling for one architecture takes.
type arch struct {
	triplet string // GNU's name of the system
	cross   string // before the names of the compiler and the binutils
	glibc   string // the dynamic linker of glibc, absolute
	musl    string // that of musl
}

// archs are the architectures by the name that scripts use.
var archs = map[string]*arch{
	"x86_64": {triplet: "x86_64-linux-gnu", glibc: "/lib64/ld-linux-x86-64.so.2", musl: "/lib/ld-musl-x86_64.so.1"},
	"arm64": {
		triplet: "aarch64-linux-gnu", cross: "aarch64-linux-gnu-",
		glibc: "/lib/ld-linux-aarch64.so.1", musl: "/lib/ld-musl-aarch64.so.1",
	},
}

// buildTriplet is the system on which the toolchains run.
const buildTriplet = "x86_64-linux-gnu"
