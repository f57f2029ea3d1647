package debian

import "testing"

func TestLicences(t *testing.T) {
	for text, want := range map[string]string{
		"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+\n\nFiles: a\nLicense: Expat, BSD-3-clause or GPL-2+ with OpenSSL exception\n": "BSD-3-clause\nExpat\nGPL-2+\nGPL-2+-OpenSSL-exception\n",
		"This is free software.\nSee /usr/share/common-licenses/GPL-3.\n":                                                     "GPL-3\n",
		"On Debian: `/usr/share/common-licenses/LGPL-2.1'. This software is provided 'as-is', without any express or implied": "LGPL-2.1\nZlib\n",
		"nothing known":   "",
		"see: gcc-base\n": "see: gcc-base\n",
	} {
		if got := Licences(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func FuzzLicences(f *testing.F) {
	f.Add("Format: x\n\nLicense: GPL-2 with a or\n")
	f.Add("/usr/share/common-licenses/")
	f.Fuzz(func(t *testing.T, s string) { Licences(s) })
}
