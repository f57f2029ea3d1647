package config

import (
	"strings"
	"testing"
)

func TestSecret(t *testing.T) {
	root, home := t.TempDir(), t.TempDir()
	write(t, home, ".config/labstar/config", "secret.root = pw\nsecret.empty = none\nsecret.gone = nothere\n")
	write(t, home, ".config/labstar/pw", "from the file \r\n")
	write(t, home, ".config/labstar/none", "\n")
	vars := map[string]string{"LABSTAR_SECRET_API_KEY": " as it is\n"}
	c, err := load(func(k string) string { return vars[k] }, home, root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"root": "from the file ", "api-key": " as it is\n"} {
		if got, err := c.Secret(name); err != nil || got != want {
			t.Errorf("%s: got %q (%v), want %q", name, got, err, want)
		}
	}
	for name, want := range map[string]string{
		"empty": "is empty", "gone": "no such file",
		"db": `secret "db" is not given: set LABSTAR_SECRET_DB, or say --secret db=FILE, or write secret.db = FILE into ` + c.Path,
	} {
		if _, err := c.Secret(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
}
