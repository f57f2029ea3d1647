package oci

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/internal/bomtest"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/format/rpmdb/rpmdbtest"
	"github.com/labstar/labstar/internal/lock"
)

// systems are trees with the records of package managers.
func systems(t *testing.T, lab *buildtest.Lab) starlark.StringDict {
	return starlark.StringDict{
		"bookworm": lab.Tree(map[string]buildtest.Node{
			"etc/os-release":      {Target: "../usr/lib/os-release"},
			"usr/lib/os-release":  {Text: "PRETTY_NAME=\"Debian GNU/Linux 12\"\nID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n"},
			"var/lib/dpkg/status": {Text: "Package: old\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"},
		}),
		"upgraded": lab.Tree(map[string]buildtest.Node{"var/lib/dpkg/status": {Text: `Package: libstdc++6
Status: install ok installed
Architecture: amd64
Version: 1:12.2+b1
Description: a library
 of many lines

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 3
`}}),
		"distroless": lab.Tree(map[string]buildtest.Node{
			"var/lib/dpkg/status.d/tzdata":         {Text: "Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\n"},
			"var/lib/dpkg/status.d/tzdata.md5sums": {Text: "no records\n"},
		}),
		"alpine": lab.Tree(map[string]buildtest.Node{
			"etc/os-release":       {Text: "ID=alpine\nVERSION_ID=3.20.1\n"},
			"lib/apk/db/installed": {Text: "C:Q1x\nP:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\nF:lib\nR:ld.so\n\nP:busybox\nV:1.36.1-r29\nA:x86_64\nL:GPL-2.0-only\n"},
		}),
		"fedora": lab.Tree(map[string]buildtest.Node{
			"etc/os-release":                    {Text: "ID=fedora\nVERSION_ID=41\n"},
			"var/lib/rpm":                       {Target: "../../usr/lib/sysimage/rpm"},
			"usr/lib/sysimage/rpm/rpmdb.sqlite": {Text: string(rpmdbtest.Database(t, "rpmdb.sqlite"))},
		}),
		"suse": lab.Tree(map[string]buildtest.Node{"var/lib/rpm/Packages.db": {Text: string(rpmdbtest.Database(t, "Packages.db"))}}),
		"old":  lab.Tree(map[string]buildtest.Node{"var/lib/rpm/Packages": {Text: string(rpmdbtest.Database(t, "Packages"))}}),
	}
}

// rpmPackages are the packages of a database of rpmdbtest in a bill of materials.
func rpmPackages(vendor, distro string) (list []string) {
	const source = "&upstream=lab-tools-1.4~rc1-3.fc41.src.rpm"
	for i := 1; i <= 30; i++ {
		if i != 7 {
			list = append(list, fmt.Sprintf("lab-part%02d %02d.0-3.fc41 GPL-2.0-or-later AND Apache-2.0 pkg:rpm/%slab-part%02d@%02d.0-3.fc41?arch=noarch%s%s", i, i, vendor, i, i, source, distro))
		}
	}
	return append(list, fmt.Sprintf("lab-tools 2:1.4~rc1-3.fc41 GPL-2.0-or-later AND MIT pkg:rpm/%slab-tools@1.4~rc1-3.fc41?arch=noarch&epoch=2%s%s", vendor, source, distro))
}

func TestRPMLicence(t *testing.T) {
	for licence, want := range map[string]string{
		"MIT": "MIT", "GPLv2+ and (LGPLv2+ or MIT)": "GPL-2.0-or-later AND (LGPL-2.0-or-later OR MIT)", "GPL-2.0-or-later AND MIT": "GPL-2.0-or-later AND MIT",
		"BSD and GPLv2+": "BSD and GPLv2+", "GPLv2+ with exceptions": "GPLv2+ with exceptions", "": "",
	} {
		if got := rpmLicence(licence); got != want {
			t.Errorf("%q: got %q, want %q", licence, got, want)
		}
	}
}

// What is in a base that was pulled is listed as the base's: what its topmost layer says.
func TestContentsOfBase(t *testing.T) {
	s := newServer(t)
	for ref, layers := range map[string]string{"debian": "bookworm, upgraded, distroless", "alpine": "alpine", "scratch": "pages", "fedora": "fedora", "suse": "suse", "old": "old"} {
		push(t, s.host, "lab/"+ref+":1", fmt.Sprintf(`i = oci_image([%s], name = "x")`, layers))
	}
	for ref, want := range map[string][]string{
		"debian": {"libstdc++6 1:12.2+b1  pkg:deb/debian/libstdc%2B%2B6@1%3A12.2%2Bb1?arch=amd64&distro=bookworm",
			"tzdata 2024a-0+deb12u1  pkg:deb/debian/tzdata@2024a-0%2Bdeb12u1?arch=all&distro=bookworm"},
		"alpine": {"musl 1.2.5-r0 MIT pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.1",
			"busybox 1.36.1-r29 GPL-2.0-only pkg:apk/alpine/busybox@1.36.1-r29?arch=x86_64&distro=alpine-3.20.1"},
		"fedora":  rpmPackages("fedora/", "&distro=fedora-41"),
		"suse":    rpmPackages("", ""),
		"old":     rpmPackages("", ""),
		"scratch": nil,
	} {
		lab := buildtest.New(t, s.config)
		g, err := locked(t, lab, lock.New(), s.config, fmt.Sprintf(`
below = oci_pull(%q)
above = oci_image([pages], base = below, name = "lab/above:1")
`, s.host+"/lab/"+ref+":1"))
		if err != nil {
			t.Fatal(err)
		}
		for _, image := range []string{"above", "below"} {
			sbom := attr(t, g[image], "sbom")
			spdx, cdx := []byte(lab.Text(attr(t, sbom, "spdx"))), []byte(lab.Text(attr(t, sbom, "cyclonedx")))
			bomtest.SPDX(t, spdx)
			bom := bomtest.CycloneDX(t, cdx)
			var doc spdxDocument
			if err := json.Unmarshal(spdx, &doc); err != nil {
				t.Fatal(err)
			}
			base := doc.Packages[1].ID
			var got, within []string
			for _, p := range doc.Packages[2:] {
				licence := p.Declared
				if licence == spdxNone {
					licence = ""
				}
				got = append(got, fmt.Sprintf("%s %s %s %s", p.Name, p.Version, licence, p.References[0].Locator))
			}
			for _, r := range doc.Relationships {
				if r.Element == base && r.Type == "CONTAINS" {
					within = append(within, r.Related)
				}
			}
			if !slices.Equal(got, want) || len(within) != len(want) {
				t.Errorf("%s of %s: got %q of which the base has %q, want %q", image, ref, got, within, want)
			}
			if n := len(*bom.Components); n != len(want)+1 {
				t.Errorf("%s of %s: CycloneDX has %d components", image, ref, n)
			}
			if d := (*bom.Dependencies)[1]; len(*d.Dependencies) != len(want) || d.Ref != (*bom.Components)[0].BOMRef {
				t.Errorf("%s of %s: CycloneDX has %v in %s", image, ref, *d.Dependencies, d.Ref)
			}
		}
	}
}
