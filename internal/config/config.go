// Package config holds the settings of this machine: where things come from,
// never what is built from them. No key and no output depends on a setting.
//
// A setting has a dotted name. Its value comes from, in this order:
//
//  1. the environment: "debian.mirror" is LABSTAR_DEBIAN_MIRROR;
//  2. the config file, $XDG_CONFIG_HOME/labstar/config or ~/.config/labstar/config:
//     lines `name = value`, comments from "#" at the start of a line;
//  3. for debian.mirror: what the machine's own apt sources name for Debian;
//     for npm.registry: npm's own settings (npm_config_registry, .npmrc).
//
// Known settings:
//
//	debian.mirror         base addresses of Debian mirrors, separated by spaces
//	debian.archive        the same for archives that keep superseded packages
//	debian.ignore-expiry  yes: take suites whose Valid-Until has passed (snapshots)
//	compile.cache         off: commands compile everything, see package compile
//	compile.verify        the share of hits of the compile cache (0 to 1) that are
//	                      compiled all the same and compared
//	oci.mirror            mirrors of image registries, as docker.io=mirror.lan:5000,
//	                      separated by spaces
//	oci.plain-http        hosts of image registries that are spoken to without TLS
//	npm.registry          base addresses of npm registries, separated by spaces
//	debian.keyring        a file of further OpenPGP keys that may sign suites
//	secret.NAME           the file that holds the secret NAME; the environment's
//	                      LABSTAR_SECRET_NAME is the value itself, see Secret
//
// Proxies are those of the environment (HTTPS_PROXY and so on).
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Config is what Load found. It is immutable.
type Config struct {
	env   func(string) string
	file  map[string]string
	found map[string]string // told by the machine
	Path  string            // of the config file, whether it is there or not
}

// Load reads the config file and the machine's own sources. env is os.Getenv;
// home is the user's home folder, "" if there is none.
func Load(env func(string) string, home string) (*Config, error) {
	return load(env, home, "/")
}

func load(env func(string) string, home, root string) (*Config, error) {
	dir := env("XDG_CONFIG_HOME")
	if dir == "" && home != "" {
		dir = filepath.Join(home, ".config")
	}
	c := &Config{env: env, file: map[string]string{}}
	if dir != "" {
		c.Path = filepath.Join(dir, "labstar", "config")
		b, err := os.ReadFile(c.Path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("reading settings: %w", err)
		}
		if c.file, err = parse(c.Path, string(b)); err != nil {
			return nil, err
		}
	}
	c.found = npmSettings(env, home, root)
	if m := aptMirrors(root); len(m) > 0 {
		c.found["debian.mirror"] = strings.Join(m, " ")
	}
	return c, nil
}

// Get returns the setting called key, "" if nobody set it.
func (c *Config) Get(key string) string {
	v, _ := c.Lookup(key)
	return v
}

// Lookup also says where the value comes from, for people.
func (c *Config) Lookup(key string) (value, from string) {
	name := EnvName(key)
	if v := strings.TrimSpace(c.env(name)); v != "" {
		return v, name
	}
	if v := c.file[key]; v != "" {
		return v, c.Path
	}
	if v := c.found[key]; v != "" {
		if strings.HasPrefix(key, "npm") {
			return v, "npm's settings"
		}
		return v, "this machine's apt sources"
	}
	return "", ""
}

// EnvName returns the environment variable of a setting:
// "debian.ignore-expiry" is LABSTAR_DEBIAN_IGNORE_EXPIRY.
func EnvName(key string) string {
	return "LABSTAR_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// parse reads the config file.
func parse(name, text string) (map[string]string, error) {
	settings := map[string]string{}
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" || strings.ContainsAny(key, " \t") {
			return nil, fmt.Errorf("%s:%d: malformed setting: got %.40q, want NAME = VALUE", name, n, line)
		}
		settings[key] = strings.TrimSpace(value)
	}
	return settings, nil
}
