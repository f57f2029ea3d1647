package kconfig_test

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/format/kconfig"
)

var probes = kconfig.Probes{
	`{ gcc -Werror -fstack -c -x c /dev/null; } >/dev/null 2>&1 && echo "y" || echo "n"`: "y",
}

func source(files map[string]string) kconfig.Source {
	return kconfig.Source{
		Open: func(name string) ([]byte, error) {
			text, ok := files[name]
			if !ok {
				return nil, fmt.Errorf("opening %s: %w", name, fs.ErrNotExist)
			}
			return []byte(text), nil
		},
		Env:    map[string]string{"ARCH": "x86_64", "SRCARCH": "x86", "CC": "gcc"},
		Probes: probes,
	}
}

func read(t *testing.T) *kconfig.Tree {
	t.Helper()
	tree, err := kconfig.Read(source(files), "Kconfig")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tree.Problems {
		t.Errorf("not read: %s", p)
	}
	return tree
}

func TestRead(t *testing.T) {
	tree := read(t)
	if n := len(tree.Names()); n != 22 || tree.Files != 6 {
		t.Errorf("got %d options in %d files, want 22 in 6: %v", n, tree.Files, tree.Names())
	}
	nat := tree.Lookup("NAT")
	if nat == nil || nat.Type != "tristate" || nat.HasPrompt() || len(nat.Selectors) != 1 || nat.Selectors[0].Entry.Symbol.Name != "MASQUERADE" ||
		nat.Selectors[0].Pos.String() != "net/Kconfig:23" {
		t.Errorf("NAT: got %+v", nat)
	}
	if f := tree.Lookup("FILTER"); f == nil || len(f.Implied) != 1 || f.Entries[0].Depends[0].Expr.String() != "CONNTRACK=y || (CONNTRACK=m && m)" {
		t.Errorf("FILTER: got %+v", f)
	}
	if s := tree.Lookup("START"); s == nil || s.Type != "hex" || s.Entries[0].Prompts[0].If.String() != "EXPERT" {
		t.Errorf("START: got %+v", s)
	}
	if tree.Modules == nil || tree.Modules.Name != "MODULES" || len(tree.Choices) != 1 || len(tree.Choices[0].Members) != 3 {
		t.Errorf("got modules %v and choices %v", tree.Modules, tree.Choices)
	}
	if tree.Lookup("PPC") != nil {
		t.Error("PPC: got an option, want one that is only mentioned")
	}
}

func TestProblems(t *testing.T) {
	for text, want := range map[string]string{
		"config A\n\tbool \"x\n":         "Kconfig:2: a string without its closing quote",
		"config A\n\tdepends A\n":        "Kconfig:2: got A, want on",
		"if A\n":                         "Kconfig:1: if without its end in this file",
		"endmenu\n":                      "Kconfig:1: endmenu without menu",
		"config A\n\tdepends on (B\n":    "Kconfig:2: no )",
		"config A\n\tdepends on B &&\n":  "the end of the line",
		"nonsense\n":                     `unknown statement "nonsense"`,
		"config A B\n":                   `got "B" at the end`,
		"a = $(a)\nconfig $(a)\n":        "a macro that expands itself",
		"default y\n":                    "default without an option",
		"config A\n\tdef_bool $(shell\n": "no ) after $(",
		"config A\n\tdefault " + strings.Repeat("!", 200): "nested",
	} {
		tree, err := kconfig.Read(source(map[string]string{"Kconfig": text}), "Kconfig")
		if err != nil || len(tree.Problems) == 0 || !strings.Contains(tree.Problems[0].String(), want) {
			t.Errorf("%q: got %v, %v, want %s", text, tree.Problems, err, want)
		}
	}
	if _, err := kconfig.Read(source(map[string]string{"Kconfig": "source \"Kconfig\"\n"}), "Kconfig"); err == nil {
		t.Error("a file that sources itself: got no error")
	}
	if _, err := kconfig.Read(source(map[string]string{"Kconfig": "source \"gone\"\n"}), "Kconfig"); err == nil {
		t.Error("a file that is not there: got no error")
	}
}

func TestModel(t *testing.T) {
	tree := read(t)
	for user, want := range map[string]string{
		"":                                   "64BIT=y KERNEL_GZIP=y HAVE_STACKS=y HZ=250 DEFAULT_ON=y START=0x100 GENERIC_LIB=n",
		"NET=y INET=y":                       "GENERIC_LIB=y INET=y CONNTRACK=n",
		"INET=y":                             "INET=n",
		"NET=y INET=y CONNTRACK=m":           "CONNTRACK=y", // there are no modules
		"MODULES=y NET=y INET=y CONNTRACK=m": "CONNTRACK=m NAT=n",
		"MODULES=y NET=y INET=y CONNTRACK=m MASQUERADE=y":      "MASQUERADE=m NAT=m",
		"MODULES=y NET=y INET=y CONNTRACK=m EXPERT=y FILTER=y": "FILTER=m",
		"NET=y INET=y CONNTRACK=y FILTER=y":                    "FILTER=y", // implied
		"NET=y INET=y CONNTRACK=y OLD_WAY=y":                   "CONNTRACK=n",
		"KERNEL_XZ=y":                                          "KERNEL_XZ=y KERNEL_GZIP=n",
		"KERNEL_LZO=y":                                         "KERNEL_GZIP=y KERNEL_LZO=n",
		"DEFAULT_ON=n":                                         "DEFAULT_ON=y",
		"DEFAULT_ON=n EXPERT=y":                                "DEFAULT_ON=n",
		"HZ=1000 EXPERT=y START=0x10":                          "HZ=1000 START=0x10",
		"NET=y INET=n EXPERT=y CONNTRACK=y":                    "CONNTRACK=n",
	} {
		m := kconfig.NewModel(tree, config(user))
		for name, v := range config(want) {
			if got := m.Value(name); got != v {
				t.Errorf("%s: got %s=%s, want %s", user, name, got, v)
			}
		}
	}
	m := kconfig.NewModel(tree, nil)
	m.NoDefaults, m.Known = true, kconfig.Config{"HAVE_NOTHING": "n"}
	if m.Value("DEFAULT_ON") != "y" || m.Value("64BIT") != "y" || m.Value("MODULES") != "n" {
		t.Errorf("allnoconfig: got DEFAULT_ON=%s 64BIT=%s MODULES=%s", m.Value("DEFAULT_ON"), m.Value("64BIT"), m.Value("MODULES"))
	}
	m = kconfig.NewModel(tree, kconfig.Config{"EXPERT": "y"})
	if m.NoDefaults = true; m.Value("DEFAULT_ON") != "n" {
		t.Error("allnoconfig with EXPERT: got DEFAULT_ON=y, want n")
	}
}

// config reads "A=y B=m".
func config(s string) kconfig.Config {
	return kconfig.ParseConfig([]byte("CONFIG_" + strings.Join(strings.Fields(s), "\nCONFIG_")))
}

// Up to 6.10 a choice whose prompt does not show has nothing on.
func TestHiddenChoice(t *testing.T) {
	text := "config E\n\tbool \"e\"\nchoice\n\tprompt \"c\" if E\nconfig A\n\tbool \"a\"\nendchoice\n"
	for version, want := range map[string]string{"6.1.176": "n", "6.10": "n", "6.11.3": "y", "7.2.6": "y", "": "y"} {
		src := source(map[string]string{"Kconfig": text})
		src.Env["KERNELVERSION"] = version
		tree, err := kconfig.Read(src, "Kconfig")
		if err != nil {
			t.Fatal(err)
		}
		if got := kconfig.NewModel(tree, nil).Value("A"); got != want {
			t.Errorf("Linux %s: got A=%s, want %s", version, got, want)
		}
		if got := kconfig.NewModel(tree, kconfig.Config{"E": "y"}).Value("A"); got != "y" {
			t.Errorf("Linux %s with E: got A=%s, want y", version, got)
		}
	}
}

func TestWhy(t *testing.T) {
	tree := read(t)
	for _, tc := range []struct{ asked, name, want, why string }{
		{"BRIDGE=y NET=y", "BRIDGE", "y", "it depends on CONNTRACK (net/Kconfig:26; off, depends on INET (net/Kconfig:15; off))"},
		{"MODULES=y NET=y INET=y CONNTRACK=m BRIDGE=y", "BRIDGE", "y", "it can be a module only, since it depends on CONNTRACK (net/Kconfig:26; a module)"},
		{"NET=y INET=y OLD_WAY=y CONNTRACK=y", "CONNTRACK", "y", "it depends on !OLD_WAY (net/Kconfig:15; OLD_WAY is on)"},
		{"MODULES=y NET=y INET=y CONNTRACK=y FILTER=m", "FILTER", "m", "it can't be asked for now (only with EXPERT (net/Kconfig:8)), and is implied by CONNTRACK (net/Kconfig:16)"},
		{"NET=y INET=y CONNTRACK=n FILTER=y", "FILTER", "y", "it depends on CONNTRACK=y || (CONNTRACK=m && m) (net/Kconfig:11; CONNTRACK is off)"},
		{"NAT=y", "NAT", "y", "it has no prompt (net/Kconfig:17), so it can't be asked for; selected by MASQUERADE (net/Kconfig:23)"},
		{"NET=y GENERIC_LIB=n", "GENERIC_LIB", "n", "selected by NET (net/Kconfig:3)"},
		{"KERNEL_XZ=y KERNEL_GZIP=y", "KERNEL_XZ", "y", "of a choice (arch/x86/Kconfig:19) only one can be on, and KERNEL_GZIP is, since it is asked for too"},
		{"KERNEL_GZIP=n KERNEL_XZ=n", "KERNEL_GZIP", "n", "one of a choice (arch/x86/Kconfig:19) must be on: ask for another one of KERNEL_XZ, KERNEL_LZO"},
		{"HZ=5000", "HZ", "5000", "its range is 100 to 1000 (arch/x86/Kconfig:32)"},
		{"HZ=y", "HZ", "y", "it is an int (arch/x86/Kconfig:30): want a number"},
		{"START=4096", "START", "4096", `it is a hex (arch/x86/Kconfig:34): want a string like "0x1000"`},
		{"EXPERT=m", "EXPERT", "m", "it is a bool (arch/x86/Kconfig:12), which can't be a module: want True"},
		{"NET=y INET=y BRIDGE=m CONNTRACK=m", "CONNTRACK", "m", "MODULES is off (arch/x86/Kconfig:5), so nothing can be a module"},
		{"DEFAULT_ON=n", "DEFAULT_ON", "n", "it can't be asked for now (only with EXPERT (arch/x86/Kconfig:41)), and is y by default (arch/x86/Kconfig:42)"},
		{"NET=y ONLY_PPC=y", "ONLY_PPC", "y", "it depends on PPC (net/Kconfig:30; not an option of this architecture)"},
		{"NO=y", "NO", "y", "this source has no such option"},
	} {
		m := kconfig.NewModel(tree, config(tc.asked))
		got := kconfig.Config{}
		for _, n := range tree.Names() {
			got[n] = m.Value(n)
		}
		if why := m.Why(tc.name, tc.want, got, config(tc.asked)); why != tc.why {
			t.Errorf("%s of %s:\ngot  %s\nwant %s", tc.name, tc.asked, why, tc.why)
		}
	}
}

func TestSolve(t *testing.T) {
	tree := read(t)
	for asked, want := range map[string]string{
		"BRIDGE=y":                          "CONNTRACK=y INET=y NET=y",
		"NET=y INET=y":                      "",
		"NAT=y":                             "CONNTRACK=y INET=y MASQUERADE=y NET=y",
		"BRIDGE=m":                          "CONNTRACK=m INET=y MODULES=y NET=y",
		"BRIDGE=y OLD_WAY=y":                "none", // OLD_WAY is asked for
		"FILTER=y":                          "CONNTRACK=y INET=y NET=y",
		"GENERIC_LIB=y":                     "NET=y",
		"KERNEL_XZ=y KERNEL_GZIP=y":         "none",
		"DEFAULT_ON=n":                      "EXPERT=y",
		"START=0x10":                        "EXPERT=y",
		"ONLY_PPC=y":                        "none",
		"MASQUERADE=y BRIDGE=y CONNTRACK=y": "INET=y NET=y",
	} {
		m := kconfig.NewModel(tree, config(asked))
		var wants []kconfig.Want
		for n, v := range config(asked) {
			wants = append(wants, kconfig.Want{Name: n, Value: v})
		}
		slices.SortFunc(wants, func(a, b kconfig.Want) int { return strings.Compare(a.Name, b.Name) })
		sets := m.Solve(wants, config(asked))
		got := "none"
		if len(sets) > 0 {
			var parts []string
			for _, n := range sets[0].Names() {
				parts = append(parts, n+"="+sets[0][n])
			}
			got = strings.Join(parts, " ")
			for _, w := range wants {
				if !m.With(sets[0]).Has(w) {
					t.Errorf("%s: %s does not give %s", asked, got, w.Name)
				}
			}
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", asked, got, want)
		}
	}
}

func TestSolveAlternatives(t *testing.T) {
	text := "config A\n\tbool \"a\"\nconfig B\n\tbool \"b\"\nconfig C\n\tbool \"c\"\n\tdepends on A || B\n"
	tree, err := kconfig.ReadText([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	sets := kconfig.NewModel(tree, kconfig.Config{"C": "y"}).Solve([]kconfig.Want{{Name: "C", Value: "y"}}, nil)
	if len(sets) != 2 || !maps.Equal(sets[0], kconfig.Config{"A": "y"}) || !maps.Equal(sets[1], kconfig.Config{"B": "y"}) {
		t.Errorf("got %v, want A=y or B=y", sets)
	}
}

func TestParseConfig(t *testing.T) {
	c := kconfig.ParseConfig([]byte("#\n# made\nCONFIG_A=y\n# CONFIG_HTTPD is not set\nCONFIG_PORT=80\nCONFIG_FLAGS=\"-Os\"\n"))
	for name, want := range map[string]string{"HTTPD": "n", "A": "y", "PORT": "80", "FLAGS": `"-Os"`, "NEVER_HEARD": "n"} {
		if got := c.Get(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	for name, v := range c {
		if back := kconfig.ParseConfig([]byte(kconfig.Line(name, v))); back[name] != v {
			t.Errorf("%s=%s comes back as %v", name, v, back)
		}
	}
}

func TestParseFragment(t *testing.T) {
	list, err := kconfig.ParseFragment([]byte("# a comment\nCONFIG_A=y\n\nUSB=y\n# CONFIG_B is not set\n"))
	if len(list) != 2 || list[0] != (kconfig.Assignment{Name: "A", Value: "y", Line: 2}) || list[1] != (kconfig.Assignment{Name: "B", Value: "n", Line: 5}) {
		t.Errorf("got %v", list)
	}
	if err == nil || !strings.Contains(err.Error(), `line 4: got "USB=y", want CONFIG_NAME=value`) {
		t.Errorf("got %v", err)
	}
	for _, tc := range []struct {
		a, b string
		same bool
	}{{"y", "y", true}, {"0x10", "16", true}, {"10", "0x10", false}, {`"a"`, `"b"`, false}, {"y", "m", false}} {
		if kconfig.SameValue(tc.a, tc.b) != tc.same {
			t.Errorf("%s and %s: want same %v", tc.a, tc.b, tc.same)
		}
	}
}

func TestParseEnv(t *testing.T) {
	env := kconfig.ParseEnv([]byte("export A='one'\nexport B='it'\"'\"'s two\nlines'\nexport C=\"a \\\"b\"\ndeclare -x D='d'\nexport -x E=\"e\"\nexport F\n"))
	for k, want := range map[string]string{"A": "one", "B": "it's two\nlines", "C": `a "b`, "E": "e", "F": ""} {
		if env[k] != want {
			t.Errorf("%s: got %q, want %q", k, env[k], want)
		}
	}
}

func TestParseProbes(t *testing.T) {
	b := "\x02\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00lsa\nb\n\n\n"
	p, err := kconfig.ParseProbes([]byte(b))
	if err != nil || p["ls"] != "a b" {
		t.Errorf("got %q, %v", p, err)
	}
	for _, bad := range []string{b[:5], b[:14]} {
		if _, err := kconfig.ParseProbes([]byte(bad)); err == nil {
			t.Errorf("%q: got no error", bad)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range files {
		f.Add([]byte(text))
	}
	f.Add([]byte("config A\n\tdepends on ((((((!A\n"))
	f.Add([]byte("a=$(b)\nb=$(a)$(a)\nconfig $(a)\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, err := kconfig.ReadText(b)
		if err != nil {
			return
		}
		m := kconfig.NewModel(tree, kconfig.ParseConfig(b))
		for i, name := range tree.Names() {
			if i > 20 {
				return
			}
			_ = m.Value(name)
			_ = m.Why(name, "y", kconfig.ParseConfig(b), nil)
			_ = m.Solve([]kconfig.Want{{Name: name, Value: "y"}}, nil)
		}
	})
}
