package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// suites are the code names and aliases whose entries name a Debian mirror: it
// then has the other suites too.
var suites = []string{"bullseye", "bookworm", "trixie", "forky", "duke", "sid",
	"stable", "oldstable", "oldoldstable", "testing", "unstable"}

// aptMirrors returns the Debian mirrors that the apt sources below root name,
// in order, each once. Files that can't be read count for nothing.
func aptMirrors(root string) []string {
	dir := filepath.Join(root, "etc/apt")
	files := []string{filepath.Join(dir, "sources.list")}
	// Glob fails on a malformed pattern only.
	parts, _ := filepath.Glob(filepath.Join(dir, "sources.list.d", "*"))
	files = append(files, parts...)
	var mirrors []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil || len(b) > 1<<20 {
			continue
		}
		var entries []aptEntry
		switch filepath.Ext(f) {
		case ".sources":
			entries = parseDeb822(string(b))
		case ".list":
			entries = parseOneLine(string(b))
		}
		for _, e := range entries {
			for _, u := range e.uris {
				if u = strings.TrimRight(u, "/"); e.isDebian() && isMirror(u) && !slices.Contains(mirrors, u) {
					mirrors = append(mirrors, u)
				}
			}
		}
	}
	return mirrors
}

// aptEntry is one source, see sources.list(5).
type aptEntry struct {
	uris, suites, components []string
}

// isDebian reports whether the entry is for one of Debian's own suites.
func (e aptEntry) isDebian() bool {
	if !slices.Contains(e.components, "main") {
		return false
	}
	return slices.ContainsFunc(e.suites, func(s string) bool { return slices.Contains(suites, s) })
}

// isMirror reports whether u looks like the base of a mirror of the main
// archive, not of the security one or of a third party.
func isMirror(u string) bool {
	return (strings.HasPrefix(u, "http://") || strings.HasPrefix(u, "https://") || strings.HasPrefix(u, "file:///")) &&
		strings.HasSuffix(u, "/debian")
}

// parseOneLine reads lines "deb [options] URI SUITE COMPONENT…".
func parseOneLine(text string) []aptEntry {
	var list []aptEntry
	for line := range strings.SplitSeq(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		if open, rest, ok := strings.Cut(line, "["); ok {
			_, after, closed := strings.Cut(rest, "]")
			if !closed {
				continue
			}
			line = open + " " + after
		}
		f := strings.Fields(line)
		if len(f) >= 4 && (f[0] == "deb" || f[0] == "deb-src") {
			list = append(list, aptEntry{f[1:2], f[2:3], f[3:]})
		}
	}
	return list
}

// parseDeb822 reads paragraphs of Types, URIs, Suites, Components, Enabled.
func parseDeb822(text string) []aptEntry {
	var list []aptEntry
	for para := range strings.SplitSeq(strings.ReplaceAll(text, "\r", ""), "\n\n") {
		fields := map[string][]string{}
		key := ""
		for line := range strings.SplitSeq(para, "\n") {
			if strings.HasPrefix(line, "#") {
				continue
			}
			if line != "" && (line[0] == ' ' || line[0] == '\t') {
				fields[key] = append(fields[key], strings.Fields(line)...)
				continue
			}
			k, v, _ := strings.Cut(line, ":")
			key = strings.ToLower(k)
			fields[key] = strings.Fields(v)
		}
		if off := fields["enabled"]; len(off) > 0 && slices.Contains([]string{"no", "false", "without", "off", "disable"}, strings.ToLower(off[0])) {
			continue
		}
		if len(fields["types"]) > 0 {
			list = append(list, aptEntry{fields["uris"], fields["suites"], fields["components"]})
		}
	}
	return list
}
