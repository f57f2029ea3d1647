package config

import (
	"os"
	"path/filepath"
	"strings"
)

// npmFiles are npm's own settings, the weakest first: of the machine, by where npm
// was installed, then of the user.
func npmFiles(env func(string) string, home, root string) []string {
	files := []string{filepath.Join(root, "etc/npmrc"), filepath.Join(root, "usr/etc/npmrc"), filepath.Join(root, "usr/local/etc/npmrc")}
	for _, name := range []string{"npm_config_userconfig", "NPM_CONFIG_USERCONFIG"} {
		if f := env(name); f != "" {
			return append(files, f)
		}
	}
	if home != "" {
		files = append(files, filepath.Join(home, ".npmrc"))
	}
	return files
}

// npmSettings returns what npm's own settings say of registries: "npm.registry", and
// under "npmrc." the registry of a scope ("@SCOPE:registry") and what a registry wants
// to be shown ("//HOST/PATH/:_authToken"). Files that can't be read count for nothing.
func npmSettings(env func(string) string, home, root string) map[string]string {
	found := map[string]string{}
	for _, f := range npmFiles(env, home, root) {
		b, err := os.ReadFile(f)
		if err != nil || len(b) > 1<<20 {
			continue
		}
		for line := range strings.SplitSeq(string(b), "\n") {
			key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			if key = strings.TrimSpace(key); !ok || key == "" || strings.ContainsRune(";#", rune(key[0])) {
				continue
			}
			value = expand(strings.Trim(strings.TrimSpace(value), `"'`), env)
			switch {
			case key == "registry":
				found["npm.registry"] = value
			case key[0] == '@' || strings.HasPrefix(key, "//"):
				found["npmrc."+key] = value
			}
		}
	}
	for _, name := range []string{"NPM_CONFIG_REGISTRY", "npm_config_registry"} {
		if v := env(name); v != "" {
			found["npm.registry"] = v
		}
	}
	return found
}

// expand fills in ${VARIABLE}, and nothing else that has a "$".
func expand(s string, env func(string) string) string {
	before, rest, ok := strings.Cut(s, "${")
	if !ok {
		return s
	}
	name, after, ok := strings.Cut(rest, "}")
	if !ok {
		return s
	}
	return before + env(name) + expand(after, env)
}
