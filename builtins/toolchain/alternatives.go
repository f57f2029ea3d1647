package toolchain

import (
	"path"
	"path/filepath"
	"strings"
)

// alternative is a name that several packages can provide and that a
// maintainer script (update-alternatives) would make a link.
type alternative struct {
	link    string   // absolute
	targets []string // the first that is there wins; no directory means that of the link
}

// alternatives are those that builds call by name. The order is that of the
// packages' own priorities.
var alternatives = []alternative{
	{"usr/bin/sh", []string{"dash", "bash"}},
	{"usr/bin/awk", []string{"gawk", "mawk", "original-awk"}},
	{"usr/bin/nawk", []string{"gawk", "mawk", "original-awk"}},
	{"usr/bin/cc", []string{"gcc", "clang", "tcc"}},
	{"usr/bin/c++", []string{"g++", "clang++"}},
	{"usr/bin/c89", []string{"c89-gcc"}},
	{"usr/bin/c99", []string{"c99-gcc"}},
	{"usr/bin/f77", []string{"gfortran"}},
	{"usr/bin/f95", []string{"gfortran"}},
	{"usr/lib/cpp", []string{"../bin/cpp"}},
	{"usr/bin/yacc", []string{"bison.yacc", "byacc"}},
	{"usr/bin/lex", []string{"flex"}},
	{"usr/bin/which", []string{"which.debianutils", "which.gnu"}},
	{"usr/bin/lzma", []string{"xz"}},
	{"usr/bin/unlzma", []string{"unxz"}},
	{"usr/bin/lzcat", []string{"xzcat"}},
	{"usr/bin/nc", []string{"nc.openbsd", "nc.traditional"}},
	{"usr/bin/mt", []string{"mt-gnu"}},
	{"usr/bin/fakeroot", []string{"fakeroot-sysv", "fakeroot-tcp"}},
	{"usr/bin/faked", []string{"faked-sysv", "faked-tcp"}},
	{"usr/bin/rename", []string{"file-rename"}},
	{"usr/sbin/iptables", []string{"iptables-nft", "iptables-legacy"}},
	{"usr/sbin/ip6tables", []string{"ip6tables-nft", "ip6tables-legacy"}},
	{"usr/bin/automake", []string{"automake-1.17", "automake-1.16"}},
	{"usr/bin/aclocal", []string{"aclocal-1.17", "aclocal-1.16"}},
	{"usr/bin/pager", []string{"less", "more"}},
	{"usr/lib/*-linux-gnu*/libblas.so.3", []string{"openblas-pthread/libblas.so.3", "openblas-serial/libblas.so.3", "blas/libblas.so.3"}},
	{"usr/lib/*-linux-gnu*/liblapack.so.3", []string{"openblas-pthread/liblapack.so.3", "openblas-serial/liblapack.so.3", "lapack/liblapack.so.3"}},
}

// alternatives makes the links of the table whose targets are there.
func (m *merge) alternatives() error {
	for _, a := range alternatives {
		links, err := m.expand(a.link)
		if err != nil {
			return err
		}
		for _, link := range links {
			if err := m.choose(link, a.targets); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *merge) choose(link string, targets []string) error {
	for _, t := range targets {
		there, err := m.has(path.Join(path.Dir(link), t))
		if err != nil {
			return err
		}
		if there {
			return m.link(link, t)
		}
	}
	return nil
}

// expand replaces the pattern of a multiarch directory by those that are there.
func (m *merge) expand(link string) ([]string, error) {
	dir, base := path.Split(link)
	if !strings.Contains(dir, "*") {
		return []string{link}, nil
	}
	var links []string
	for _, triplet := range triplets {
		p := "usr/lib/" + triplet
		if ok, err := filepath.Match(dir, p+"/"); err != nil || !ok {
			continue
		}
		if there, err := m.has(p); err != nil {
			return nil, err
		} else if there {
			links = append(links, p+"/"+base)
		}
	}
	return links, nil
}

// triplets are the multiarch directories, by Debian's name of the architecture.
var triplets = map[string]string{
	"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu", "i386": "i386-linux-gnu", "armhf": "arm-linux-gnueabihf",
	"armel": "arm-linux-gnueabi", "ppc64el": "powerpc64le-linux-gnu", "riscv64": "riscv64-linux-gnu", "s390x": "s390x-linux-gnu",
}
