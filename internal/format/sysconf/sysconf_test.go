package sysconf

import (
	"fmt"
	"testing"
)

func TestLines(t *testing.T) {
	got := fmt.Sprintf("%q", Lines("# no\n\nu  www 33:33 \"web server\" /var/www -\nd /run/x 0755 a\n"))
	if want := `[["u" "www" "33:33" "web server" "/var/www" "-"] ["d" "/run/x" "0755" "a"]]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if f := []string{"a", "-"}; At(f, 0) != "a" || At(f, 1) != "" || At(f, 2) != "" {
		t.Error("At does not know defaults")
	}
}

func FuzzLines(f *testing.F) {
	f.Add("u a \"b c\"\n\"")
	f.Fuzz(func(t *testing.T, s string) {
		for _, l := range Lines(s) {
			if len(l) == 0 {
				t.Error("a line without fields")
			}
		}
	})
}
