package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Secret returns the value of a secret: that of LABSTAR_SECRET_NAME, or what is in
// the file that the setting secret.NAME names, relative to the config file's
// folder, without a line break at its end.
func (c *Config) Secret(name string) (string, error) {
	if v := c.env(EnvName("secret." + name)); v != "" {
		return v, nil
	}
	file := c.file["secret."+name]
	if file == "" {
		return "", fmt.Errorf("secret %q is not given: set %s, or say --secret %[1]s=FILE, or write secret.%[1]s = FILE into %[3]s",
			name, EnvName("secret."+name), c.Path)
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(filepath.Dir(c.Path), file)
	}
	return SecretFile(name, file)
}

// maxSecret bounds a secret's file: a larger one is hardly meant.
const maxSecret = 64 << 10

// SecretFile reads the file of a secret.
func SecretFile(name, file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading secret %q: %w", name, err)
	}
	if len(b) > maxSecret {
		return "", fmt.Errorf("reading secret %q: got %s with %d bytes, want at most %d", name, file, len(b), maxSecret)
	}
	value := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if value == "" {
		return "", fmt.Errorf("reading secret %q: %s is empty", name, file)
	}
	return value, nil
}
