package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/format/kconfig"
)

// TestDockerKernel takes the fix out of the example and misspells an option, gets
// the error, and does what it says.
func TestDockerKernel(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "dockerkernel", sharedStore(t))
	l.run("lab.star")
	good := l.read("out/config")

	// plan tells a changed option, and what comes with it.
	l.rewrite("lab.star", func(s string) string {
		return strings.Replace(s, "    options = {", "    options = {\n        \"XFS_FS\": True,", 1)
	})
	plan := l.output("plan")
	for _, want := range []string{`options.XFS_FS: added "y"`, "pulls in: ", "LIBCRC32C=y"} {
		if !strings.Contains(plan, want) {
			t.Errorf("plan lacks %q:\n%s", want, plan)
		}
	}
	l.rewrite("lab.star", func(s string) string { return strings.Replace(s, "XFS_FS", "XFS", 1) })
	if plan = l.output("plan"); !strings.Contains(plan, `(did you mean "XFS_FS"?)`) {
		t.Errorf("plan does not tell that XFS is no option:\n%s", plan)
	}
	l.rewrite("lab.star", func(s string) string { return strings.Replace(s, "        \"XFS\": True,\n", "", 1) })

	block := regexp.MustCompile(`(?s)\n    options = \{.*?\n    \},`)
	l.rewrite("lab.star", func(s string) string { return block.ReplaceAllString(s, "") })
	l.rewrite("docker.config", func(s string) string { return strings.Replace(s, "ADDRTYPE", "ADRTYPE", 1) })
	cmd := l.command("run", "lab.star")
	out, err := cmd.CombinedOutput()
	text := string(out)
	t.Logf("%s", text)
	if err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("got %v, want exit status 1", err)
	}
	for _, want := range []string{
		"lab.star:8:10: kernel options failed: checking kernel options: 19 of 27 did not take effect",
		`NETFILTER_XT_MATCH_ADRTYPE (fragments[0] line 20): this source has no such option (did you mean "NETFILTER_XT_MATCH_ADDRTYPE"?)`,
		"BRIDGE (fragments[0] line 16): got n, want y: it depends on NET (net/Kconfig:",
		"CPUSETS (fragments[0] line 12): got n, want y: it depends on SMP (init/Kconfig:",
		"add these 13, with which conf lets all 27 take effect:",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the error lacks %q", want)
		}
	}

	fix := regexp.MustCompile(`(?s)options = \{.*?\n *\}`).FindString(text)
	if fix == "" {
		t.Fatal("the error has no options to paste")
	}
	l.rewrite("lab.star", func(s string) string {
		return strings.Replace(s, "fragments = [file(\"docker.config\")],", "fragments = [file(\"docker.config\")],\n"+fix+",", 1)
	})
	l.rewrite("docker.config", func(s string) string { return strings.Replace(s, "ADRTYPE", "ADDRTYPE", 1) })
	l.run("lab.star")
	// NETFILTER_XT_MATCH_ADDRTYPE is in the pasted options too, and nothing else differs.
	if fixed := l.read("out/config"); fixed != good {
		t.Error("the configuration with the options that the error proposed is not that of the example")
	}
}

func (l *lab) read(name string) string {
	l.t.Helper()
	b, err := os.ReadFile(filepath.Join(l.dir, name))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}

func (l *lab) rewrite(name string, f func(string) string) {
	l.t.Helper()
	now := f(l.read(name))
	if err := os.WriteFile(filepath.Join(l.dir, name), []byte(now), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// allProfiles builds every profile, with vm on tinyconfig, and two plain bases,
// for each kernel that Debian has and both architectures.
const allProfiles = `load("@stdlib//toolchains.star", "build_tools")
sources = {
    "6.1": debian_source("linux", suite = "bookworm"),
    "6.12": debian_source("linux"),
    "new": debian_source("linux", suite = "trixie-backports"),
}
seed = {"NET": True, "INET": True, "MODULES": True, "EXT4_FS": "m", "BLOCK": True, "LOCALVERSION": "-lab"}
configs = {}
def make():
    for version, source in sources.items():
        for arch in ["x86_64", "arm64"]:
            def config(name, **kwargs):
                name = "%s-%s-%s" % (version, arch, name)
                configs[name] = kernel_config(source, toolchain = build_tools(arch = arch), arch = arch, name = name, **kwargs)
            for p in ["vm", "pc", "usb_boot", "containers", "kubernetes_node", "nfs_root"]:
                config(p, base = "tinyconfig", profiles = ["vm", p])
            config("none", base = "allnoconfig", options = seed)
            config("def", base = "defconfig")
make()
`

// TestKernelTrees builds all profiles for all kernels, so that every option of
// each takes effect; reads the Kconfig files of those kernels, which must leave no
// line unread; and holds our model of conf against what conf made. Without
// LABSTAR_E2E=full it does so for one kernel.
func TestKernelTrees(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "dockerkernel", sharedStore(t))
	versions := []string{"6.1", "6.12", "new"}
	script := allProfiles
	if os.Getenv("LABSTAR_E2E") != "full" {
		versions = versions[1:2]
		script = regexp.MustCompile(`(?m)^    "(6\.1|new)": .*\n`).ReplaceAllString(script, "")
	}
	if err := os.WriteFile(filepath.Join(l.dir, "lab.star"), []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	l.output("lock")
	l.run("lab.star", "sources", "configs")
	for _, version := range versions {
		source := filepath.Join(l.dir, "out/sources", version)
		for arch, folder := range map[string]string{"x86_64": "x86", "arm64": "arm64"} {
			t.Run(version+"/"+arch, func(t *testing.T) {
				src := kconfigSource(t, l.store, source, folder)
				tree, err := kconfig.Read(src, "Kconfig")
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range tree.Problems {
					t.Errorf("not read: %s", p)
				}
				t.Logf("%d options in %d files", len(tree.Names()), tree.Files)
				def := map[string]string{"x86": "x86_64_defconfig", "arm64": "defconfig"}[folder]
				seed, err := os.ReadFile(filepath.Join(source, "arch", folder, "configs", def))
				if err != nil {
					t.Fatal(err)
				}
				for name, user := range map[string]kconfig.Config{
					"def":  kconfig.ParseConfig(seed),
					"none": {"NET": "y", "INET": "y", "MODULES": "y", "EXT4_FS": "m", "BLOCK": "y", "LOCALVERSION": `"-lab"`},
				} {
					got := kconfig.ParseConfig([]byte(l.read(fmt.Sprintf("out/configs/%s-%s-%s", version, arch, name))))
					m := kconfig.NewModel(tree, user)
					m.NoDefaults, m.Known = name == "none", got
					compareModel(t, name, m, got)
				}
			})
		}
	}
}

// compareModel holds the model's value of every option against conf's.
func compareModel(t *testing.T, name string, m *kconfig.Model, got kconfig.Config) {
	t.Helper()
	wrong := 0
	for _, n := range m.Tree.Names() {
		s := m.Tree.Lookup(n)
		want, set := got[n]
		if !set && s.Type != "bool" && s.Type != "tristate" {
			continue // a .config has no numbers and texts of options that are hidden
		}
		if !set {
			want = "n"
		}
		if !m.Has(kconfig.Want{Name: n, Value: want}) {
			if wrong++; wrong <= 10 {
				t.Logf("%s: %s (%s): the model has %s, conf made %s", name, n, s.Pos(), m.Value(n), want)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%s: the model is wrong about %d options", name, wrong)
	}
}

// kconfigSource reads a kernel's source with the environment and the probes that
// kernel_config recorded for it in the store.
func kconfigSource(t *testing.T, store, source, folder string) kconfig.Source {
	t.Helper()
	makefile, err := os.ReadFile(filepath.Join(source, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, m := range regexp.MustCompile(`(?m)^(?:VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)`).FindAllStringSubmatch(string(makefile), -1) {
		parts = append(parts, m[1])
	}
	recorded, err := filepath.Glob(filepath.Join(store, "trees/*/probes"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range recorded {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "env"))
		if err != nil {
			t.Fatal(err)
		}
		env := kconfig.ParseEnv(text)
		if env["KERNELVERSION"] != strings.Join(parts, ".") || env["SRCARCH"] != folder {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		probes, err := kconfig.ParseProbes(b)
		if err != nil {
			t.Fatal(err)
		}
		return kconfig.Source{
			Open: func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(source, name)) },
			Env:  env, Probes: probes,
		}
	}
	t.Fatalf("the store has no probes of Linux %s for %s", strings.Join(parts, "."), folder)
	return kconfig.Source{}
}

// BenchmarkKernelConfig times a whole `labstar run` in which one option of a kernel
// has changed, on a store that has everything else, and one in which 19 requests
// fail and are explained.
//
//	LABSTAR_E2E=1 go test -bench KernelConfig -benchtime 5x -run - ./examples
func BenchmarkKernelConfig(b *testing.B) {
	if os.Getenv("LABSTAR_E2E") == "" {
		b.Skip("end-to-end benchmark: set LABSTAR_E2E=1")
	}
	store := os.Getenv("LABSTAR_E2E_CACHE")
	if store == "" {
		store = filepath.Join(b.TempDir(), "store")
	}
	for _, failing := range []bool{false, true} {
		b.Run(map[bool]string{false: "check", true: "explanation"}[failing], func(b *testing.B) {
			l := newLab(b, "dockerkernel", store)
			if failing {
				l.rewrite("lab.star", func(s string) string {
					return regexp.MustCompile(`(?s)\n    options = \{.*?\n    \},`).ReplaceAllString(s, "\n    options = {\n    },")
				})
			}
			mark := "options = {"
			run := func() {
				// A suffix that no run had before.
				next := fmt.Sprintf("options = {\"LOCALVERSION\": \"-%d\",", time.Now().UnixNano())
				l.rewrite("lab.star", func(s string) string { return strings.Replace(s, mark, next, 1) })
				mark = next
				out, err := l.command("run", "lab.star").CombinedOutput()
				if (err != nil) != failing {
					b.Fatalf("%v\n%s", err, out)
				}
			}
			run() // what is not in the store yet
			for b.Loop() {
				run()
			}
		})
	}
}
