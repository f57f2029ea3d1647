package oci

import (
	"slices"
	"strings"

	"github.com/labstar/labstar/internal/format/deb"
	"github.com/labstar/labstar/internal/pattern"
)

// spdxNames are SPDX's names of licences that Debian calls otherwise.
var spdxNames = map[string]string{
	"Expat": "MIT", "GPL-1": "GPL-1.0-only", "GPL-1+": "GPL-1.0-or-later", "GPL-2": "GPL-2.0-only", "GPL-2+": "GPL-2.0-or-later",
	"GPL-2.0": "GPL-2.0-only", "GPL-2.0+": "GPL-2.0-or-later", "GPL-3": "GPL-3.0-only", "GPL-3+": "GPL-3.0-or-later", "GPL-3.0": "GPL-3.0-only",
	"GPL-3.0+": "GPL-3.0-or-later", "LGPL-2": "LGPL-2.0-only", "LGPL-2+": "LGPL-2.0-or-later", "LGPL-2.0": "LGPL-2.0-only", "LGPL-2.0+": "LGPL-2.0-or-later",
	"LGPL-2.1": "LGPL-2.1-only", "LGPL-2.1+": "LGPL-2.1-or-later", "LGPL-3": "LGPL-3.0-only", "LGPL-3+": "LGPL-3.0-or-later",
	"AGPL-3": "AGPL-3.0-only", "AGPL-3+": "AGPL-3.0-or-later", "GFDL-1.2": "GFDL-1.2-only", "GFDL-1.2+": "GFDL-1.2-or-later",
	"GFDL-1.3": "GFDL-1.3-only", "GFDL-1.3+": "GFDL-1.3-or-later", "BSD-2-clause": "BSD-2-Clause", "BSD-3-clause": "BSD-3-Clause",
	"BSD-4-clause": "BSD-4-Clause", "Apache-2": "Apache-2.0", "Artistic": "Artistic-1.0-Perl", "Artistic-2": "Artistic-2.0",
	"CC0": "CC0-1.0", "MPL-1.1": "MPL-1.1", "MPL-2": "MPL-2.0", "ZLIB": "Zlib", "zlib": "Zlib", "PSF-2": "PSF-2.0", "Python": "PSF-2.0", "OFL-1.1": "OFL-1.1",
}

// rpmNames are SPDX's names of licences as packages of rpm had them before 2022, where
// they meant one.
var rpmNames = map[string]string{
	"ASL 2.0": "Apache-2.0", "Boost": "BSL-1.0", "GPLv2": "GPL-2.0-only", "GPLv2+": "GPL-2.0-or-later", "GPLv3": "GPL-3.0-only", "GPLv3+": "GPL-3.0-or-later",
	"LGPLv2": "LGPL-2.0-only", "LGPLv2+": "LGPL-2.0-or-later", "LGPLv2.1": "LGPL-2.1-only", "LGPLv2.1+": "LGPL-2.1-or-later", "LGPLv3": "LGPL-3.0-only",
	"LGPLv3+": "LGPL-3.0-or-later", "AGPLv3": "AGPL-3.0-only", "AGPLv3+": "AGPL-3.0-or-later", "MPLv1.1": "MPL-1.1", "MPLv2.0": "MPL-2.0", "zlib": "Zlib", "CC0": "CC0-1.0",
	"OpenLDAP": "OLDAP-2.8", "Unicode": "Unicode-DFS-2016",
}

// rpmLicence is what a package of rpm says of its licence, in SPDX's names if it has them
// all. The older ones are joined by "and" and "or".
func rpmLicence(s string) string {
	var out strings.Builder
	for rest := s; ; {
		i, word := len(rest), ""
		for _, w := range []string{" and ", " or "} {
			if at := strings.Index(rest, w); at >= 0 && at < i {
				i, word = at, w
			}
		}
		name := strings.TrimSpace(rest[:i])
		open, end := strings.Repeat("(", strings.Count(name, "(")), strings.Repeat(")", strings.Count(name, ")"))
		name = strings.Trim(name, "()")
		if mapped, ok := rpmNames[name]; ok {
			name = mapped
		} else if !isExpression(name) {
			return s
		}
		out.WriteString(open + name + end + strings.ToUpper(word))
		if word == "" {
			return out.String()
		}
		rest = rest[i+len(word):]
	}
}

// same are names that SPDX has as they are.
var same = strings.Fields(`0BSD AFL-2.1 AFL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-1.1 Apache-2.0 Artistic-2.0 BlueOak-1.0.0 BSD-2-Clause BSD-3-Clause
	BSD-4-Clause BSL-1.0 CC-BY-3.0 CC-BY-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC0-1.0 curl EPL-1.0 EPL-2.0 FSFAP FSFUL FSFULLR FTL GPL-2.0-only GPL-2.0-or-later
	GPL-3.0-only GPL-3.0-or-later HPND ICU ISC LGPL-2.0-only LGPL-2.0-or-later LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0-only LGPL-3.0-or-later Libpng MIT MIT-0 MPL-1.1 MPL-2.0 NCSA OFL-1.1
	OLDAP-2.8 OpenSSL PostgreSQL PSF-2.0 Python-2.0 TCL Unicode-3.0 Unicode-DFS-2016 Unlicense UPL-1.0 Vim W3C WTFPL X11 Zlib ZPL-2.1`)

var notID = pattern.New(`[^A-Za-z0-9.-]+`)

// spdxExpression makes an SPDX licence expression of lines with licences, "" if there
// are none. Each holds for a part of the component, so they are joined by AND. A
// line that is an expression of SPDX's own is kept; what SPDX has no name for becomes
// a LicenseRef, which is returned with its name.
func spdxExpression(lines string) (expression string, refs map[string]string) {
	refs = map[string]string{}
	var list []string
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		name := line
		switch mapped, ok := spdxNames[line]; {
		case ok:
			name = mapped
		case slices.Contains(same, line):
		case isExpression(line):
			name = line
			if strings.Contains(line, " OR ") && !strings.HasPrefix(line, "(") {
				name = "(" + line + ")"
			}
		default:
			name = "LicenseRef-" + strings.Trim(notID().ReplaceAllString(line, "-"), "-")
			refs[name] = line
		}
		if !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return strings.Join(list, " AND "), refs
}

// isExpression reports whether a licence is an expression of names that SPDX has, as
// npm's packages write it.
func isExpression(s string) bool {
	for _, w := range strings.Fields(strings.NewReplacer("(", " ", ")", " ").Replace(s)) {
		if w != "AND" && w != "OR" && !slices.Contains(same, w) {
			return false
		}
	}
	return strings.TrimSpace(s) != ""
}

// followLicences fills in the licences of packages whose copyright file is a link to
// that of another, which is among the parts too.
func followLicences(parts []part) {
	for i := range parts {
		for range 4 { // a chain of links ends somewhere
			other, ok := strings.CutPrefix(strings.TrimSpace(string(parts[i].Licence)), deb.CopyrightOf)
			if !ok {
				break
			}
			parts[i].Licence = ""
			for _, p := range parts {
				if p.Name == other && p.Kind == parts[i].Kind {
					parts[i].Licence = p.Licence
				}
			}
		}
		if strings.HasPrefix(string(parts[i].Licence), deb.CopyrightOf) {
			parts[i].Licence = ""
		}
	}
}
