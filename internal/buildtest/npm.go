package buildtest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/config"
)

// NpmSettings are this machine's settings with an npm registry among them: the
// user's, or else the one that npm itself would ask. Where there is neither, the
// test is skipped.
func NpmSettings(t testing.TB) func(key string) string {
	t.Helper()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(os.Getenv, home)
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Get("npm.registry") != "" {
		return cfg.Get
	}
	out, err := exec.Command("npm", "config", "get", "registry").Output()
	if err != nil {
		t.Skipf("no npm registry is configured, and npm, which would know one, does not run: %v", err)
	}
	return func(key string) string {
		if key == "npm.registry" {
			return strings.TrimSpace(string(out))
		}
		return cfg.Get(key)
	}
}
