package labstar

import (
	"slices"
	"testing"
)

func TestPulled(t *testing.T) {
	before := "# a comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_HZ=100\nCONFIG_OLD=y\n"
	after := "CONFIG_A=y\nCONFIG_B=y\nCONFIG_CRC=m\nCONFIG_HZ=250\n"
	var got []string
	for _, l := range pulled(before, after) {
		if s := l.without([]string{`options.B: added "y"`, "options.OLD: removed"}); s != "" {
			got = append(got, s)
		}
	}
	if want := []string{"pulls in: CRC=m", "changes: HZ=100 -> 250"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if l := pulled(before, before); len(l) != 1 || l[0].without(nil) != "the configuration comes out the same" {
		t.Errorf("got %v", l)
	}
}
