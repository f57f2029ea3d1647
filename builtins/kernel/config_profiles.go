package kernel

import (
	"bufio"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/labstar/labstar/internal/format/kconfig"
	"github.com/labstar/labstar/starlark/schema"
	"github.com/labstar/labstar/stdlib/profiles"
)

const profileExt = ".config"

// profileNames lists the profiles, sorted.
func profileNames() []string {
	files, err := fs.Glob(profiles.FS, "*"+profileExt)
	if err != nil {
		panic(err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), profileExt)
	}
	return files
}

// profileText returns the text of a profile.
func profileText(name string) (string, error) {
	b, err := fs.ReadFile(profiles.FS, name+profileExt)
	return string(b), err
}

// profilesDoc lists the profiles with the first lines of their files.
func profilesDoc() string {
	var b strings.Builder
	for _, name := range profileNames() {
		text, err := profileText(name)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, "- `%s`:", name)
		for line := range strings.Lines(text) {
			rest, ok := strings.CutPrefix(line, "#")
			if !ok || strings.TrimSpace(rest) == "" {
				break
			}
			b.WriteString(" " + strings.TrimSpace(rest))
		}
		b.WriteString("\n")
	}
	return b.String()
}

// readProfiles returns the texts of the profiles asked for, and of those they
// use, by name.
func readProfiles(c *schema.Call, names []string) (map[string]string, error) {
	texts := map[string]string{}
	for i, name := range names {
		if !slices.Contains(profileNames(), name) {
			err := c.ArgErrorf(fmt.Sprintf("profiles[%d]", i), "got %q, want one of %s", name, strings.Join(profileNames(), ", "))
			if s := schema.Suggest(name, profileNames()); s != "" {
				err = c.ArgErrorf(fmt.Sprintf("profiles[%d]", i), "got %q, want a profile (did you mean %q?)", name, s)
			}
			return nil, err
		}
		if err := addProfile(texts, name); err != nil {
			return nil, c.Errorf("reading profile %s: %w", name, err)
		}
	}
	return texts, nil
}

func addProfile(texts map[string]string, name string) error {
	if _, ok := texts[name]; ok {
		return nil
	}
	text, err := profileText(name)
	if err != nil {
		return err
	}
	texts[name] = text
	lines, err := parseProfile(name, text)
	for _, l := range lines {
		if l.use != "" && err == nil {
			err = addProfile(texts, l.use)
		}
	}
	return err
}

// profileLine is one line of a profile.
type profileLine struct {
	use         string // another profile, or
	name, value string
	from, until version // zero if not limited
	archs       []string
	maybe       bool
}

// parseProfile reads the format that package stdlib/profiles describes.
func parseProfile(name, text string) ([]profileLine, error) {
	var lines []profileLine
	n := 0
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		n++
		l, err := parseProfileLine(s.Text())
		if err != nil {
			return nil, fmt.Errorf("profile %s, line %d: %w", name, n, err)
		}
		if l.name != "" || l.use != "" {
			lines = append(lines, l)
		}
	}
	return lines, nil
}

func parseProfileLine(line string) (l profileLine, err error) {
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "# "+kconfig.Prefix) {
		line, _, _ = strings.Cut(line, "#")
	}
	line, conditions, _ := strings.Cut(line, "{")
	line = strings.TrimSpace(line)
	if line == "" {
		return l, nil
	}
	if use, ok := strings.CutPrefix(line, "use "); ok {
		return profileLine{use: strings.TrimSpace(use)}, nil
	}
	list, err := kconfig.ParseFragment([]byte(line))
	if err != nil || len(list) != 1 {
		return l, fmt.Errorf("got %q, want CONFIG_NAME=value", line)
	}
	l.name, l.value = list[0].Name, list[0].Value
	for cond := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(conditions), "}"), ",") {
		word, arg, _ := strings.Cut(strings.TrimSpace(cond), " ")
		switch {
		case word == "":
		case word == "if" && arg == "present":
			l.maybe = true
		case word == "from":
			l.from, err = parseVersion(arg)
		case word == "until":
			l.until, err = parseVersion(arg)
		case archs[word] != nil:
			l.archs = append(l.archs, word)
		default:
			err = fmt.Errorf("got the condition %q, want from, until, if present or an architecture", cond)
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

// holds reports whether a line is for a kernel of that version and architecture.
func (l profileLine) holds(v version, arch string) bool {
	return l.use == "" && (len(l.archs) == 0 || slices.Contains(l.archs, arch)) &&
		(l.from == version{} || !v.less(l.from)) && (l.until == version{} || !l.until.less(v))
}

// version is that of a kernel: 6.12.
type version struct{ major, minor int }

func (v version) less(w version) bool {
	return v.major < w.major || v.major == w.major && v.minor < w.minor
}

func (v version) String() string { return fmt.Sprintf("%d.%d", v.major, v.minor) }

func parseVersion(s string) (v version, err error) {
	major, minor, _ := strings.Cut(strings.TrimSpace(s), ".")
	if v.major, err = strconv.Atoi(major); err == nil {
		v.minor, err = strconv.Atoi(minor)
	}
	if err != nil {
		return version{}, fmt.Errorf("got the version %q, want one like 6.12", s)
	}
	return v, nil
}
