package kconfig_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/format/kconfig"
)

const dotConfig = `#
# Automatically generated make config: don't edit
#
CONFIG_HAVE_DOT_CONFIG=y
# CONFIG_HTTPD is not set
CONFIG_FEATURE_HTTPD_PORT_DEFAULT=80
CONFIG_EXTRA_CFLAGS="-Os"
CONFIG_MD5SUM=y
`

// As in busybox 1.37 (networking/Config.in, shell/Config.in), shortened.
const configIn = `menu "Networking Utilities"

config HTTPD
	bool "httpd (32 kb)"
	default y
	help
	HTTP server.
config is a word that help text may start with
config FEATURE_HTTPD_CGI
	bool "Support Common Gateway Interface"
	default y
	depends on HTTPD && !NOMMU
	help
	Scripts.

config FEATURE_MD5
	bool # hidden
	depends on (MD5SUM || \
		SHA1SUM)
config ADDUSER
	bool "adduser"
	select LONG_OPTS
config LONG_OPTS
	bool "long options"
endmenu
if SHELL_ASH || SHELL_HUSH
config SH_MATH
	bool "math"
endif # shells
config PORT
	int "port"
	range 1 65535
`

func TestParseConfig(t *testing.T) {
	c := kconfig.ParseConfig([]byte(dotConfig))
	for name, want := range map[string]string{"HTTPD": "n", "MD5SUM": "y", "FEATURE_HTTPD_PORT_DEFAULT": "80", "EXTRA_CFLAGS": `"-Os"`, "NEVER_HEARD": "n"} {
		if got := c.Get(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	if len(c) != 5 {
		t.Errorf("got %d options, want 5: %v", len(c), c.Names())
	}
	for name, v := range c {
		if back := kconfig.ParseConfig([]byte(kconfig.Line(name, v))); back[name] != v {
			t.Errorf("%s=%s comes back as %v", name, v, back)
		}
	}
}

func TestParseOptions(t *testing.T) {
	o := kconfig.ParseOptions([]byte(configIn))
	if got := o["FEATURE_HTTPD_CGI"]; got == nil || got.Type != "bool" || !slices.Equal(got.Depends, []string{"HTTPD && !NOMMU"}) {
		t.Errorf("FEATURE_HTTPD_CGI: got %+v", got)
	}
	if got := o["SH_MATH"]; got == nil || !slices.Equal(got.Depends, []string{"SHELL_ASH || SHELL_HUSH"}) {
		t.Errorf("SH_MATH: got %+v", got)
	}
	if got := o["PORT"]; got == nil || got.Type != "int" || len(got.Depends) != 0 {
		t.Errorf("PORT: got %+v", got)
	}
	if got := o["HTTPD"]; got == nil || got.Prompt != "httpd (32 kb)" {
		t.Errorf("HTTPD: got %+v", got)
	}
	if o["is"] != nil || len(o) != 7 {
		t.Errorf("got %d options, want 7", len(o))
	}
}

func TestExplain(t *testing.T) {
	o := kconfig.ParseOptions([]byte(configIn))
	c := kconfig.ParseConfig([]byte("CONFIG_ADDUSER=y\nCONFIG_LONG_OPTS=y\nCONFIG_NOMMU=y\n"))
	for _, tc := range []struct{ name, want, why string }{
		{"FEATURE_HTTPD_CGI", "y", "it depends on HTTPD && !NOMMU, and HTTPD is off, NOMMU is on"},
		{"SH_MATH", "y", "it depends on SHELL_ASH || SHELL_HUSH, and SHELL_ASH is off, SHELL_HUSH is off"},
		{"LONG_OPTS", "n", "ADDUSER selects it"},
		{"PORT", "99999", ""},
		{"UNKNOWN", "y", ""},
	} {
		if got := o.Explain(tc.name, tc.want, c); got != tc.why {
			t.Errorf("%s=%s: got %q, want %q", tc.name, tc.want, got, tc.why)
		}
	}
	if got := o.Explain("FEATURE_MD5", "y", kconfig.Config{"MD5SUM": "y"}); !strings.Contains(got, "no prompt") {
		t.Errorf("FEATURE_MD5: got %q", got)
	}
}

func TestEval(t *testing.T) {
	c := kconfig.Config{"A": "y", "M": "m", "N": "n", "S": `"x"`}
	for expr, want := range map[string]bool{
		"A": true, "M": true, "N": false, "!N": true, "A && N": false, "A || N": true, "!(A && !N)": false,
		"A=y": true, "M=m": true, "M!=y": true, `S="x"`: true, `S="y"`: false, "N || A && !B": true,
	} {
		if got := kconfig.Eval(expr, c); got != want {
			t.Errorf("%s: got %v, want %v", expr, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(dotConfig))
	f.Add([]byte(configIn))
	f.Add([]byte("config A\n\tdepends on ((((((!A\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := kconfig.ParseConfig(b)
		for name, o := range kconfig.ParseOptions(b) {
			if !kconfig.ValidName(name) {
				t.Fatalf("invalid name %q", name)
			}
			_ = kconfig.Options{name: o}.Explain(name, "y", c)
		}
	})
}
