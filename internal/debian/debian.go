// Package debian reads a Debian archive: it checks a suite's signed Release
// file, reads the index of packages, and works out which packages a request
// needs.
//
// The chain of trust: the archive keys in keys/ sign InRelease, which names
// every index by SHA-256, which names every .deb by SHA-256. What comes out is
// a set of pins (name, version, SHA-256, size, path in the archive); from then on
// any mirror will do, since nothing but the pinned bytes is accepted.
//
//	rel, err := archive.Release(ctx, "trixie")        // InRelease, verified
//	idx, err := archive.Packages(ctx, rel, "amd64")   // main/binary-amd64/Packages.xz
//	res, err := idx.Resolve([]string{"gcc", "make"})  // the closure, with edges
//
// The formats are those of Debian Policy chapters 5 and 7, deb822(5),
// deb-version(7) and the wiki's DebianRepository/Format.
package debian
