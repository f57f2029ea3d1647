package debian

import (
	"strings"
	"testing"
)

func sign(n int) int { return min(1, max(-1, n)) }

// The table holds the cases of dpkg's own tests (lib/dpkg/t/t-version.c and
// scripts/t/Dpkg_Version.t), and versions that are in Debian.
func TestCompareVersions(t *testing.T) {
	for _, c := range []struct {
		a, op, b string
	}{
		{"0:0-0", "=", "0:0-0"}, {"0:0-00", "=", "0:00-0"}, {"1:2-3", "=", "1:2-3"},
		{"0:a-0", "<", "0:b-0"}, {"0:0-a", "<", "0:0-b"}, {"0:0-0", "<", "1:0-0"}, {"0", "=", "0-0"}, {"0", "=", "0:0"},
		{"1.0-1", ">", "0.9-9"}, {"2.2~rc-4", "<", "2.2-1"}, {"2.2-1", ">", "2.2~rc-4"},
		{"1.0000-1", "=", "1.0-1"}, {"1", "<", "0:2"}, {"0", "<", "0:1.0"}, {"2:2.5", ">", "1:7.5"},
		{"1:0foo", "<", "1:1"}, {"0:0foo", "=", "0foo"}, {"0foo", "=", "0foo"}, {"0foo-0", "=", "0foo"},
		{"0foo", "<", "0foo-1"}, {"1.0.0-1", "<", "1.0.0-1.1"}, {"4.4.3-2", "<", "4.12"},
		{"1.2.3", "=", "1.2.3-0"}, {"1.2.3", "<", "1.2.3-1"}, {"1.2.3", "<", "1.2.4"}, {"1.2.4", ">", "1.2.3"},
		{"1.2.24", ">", "1.2.3"}, {"0.10.0", ">", "0.8.7"}, {"3.2", ">", "2.3"},
		{"1.3.2a", ">", "1.3.2"}, {"0.5.0~git", "<", "0.5.0~git2"}, {"2a", "<", "21"}, {"1.3.2a", "<", "1.3.2b"},
		{"1:1.2.3", ">", "1.2.4"}, {"1:1.2.3", "<", "1:1.2.4"}, {"1.2a+~bCd3", "<", "1.2a++"}, {"1.2a+~bCd3", ">", "1.2a+~"},
		{"5:2", ">", "304-2"}, {"5:2", "<", "304:2"}, {"25:2", ">", "3:2"}, {"1:2:123", ">", "1:2:12"},
		{"1.2-5", "<", "1.2-3-5"}, {"5.10.0", ">", "5.005"}, {"3a9.8", "<", "3.10.2"}, {"3a9.8", ">", "3~10"},
		{"1.4+OOo3.0.0~", "<", "1.4+OOo3.0.0-4"}, {"2.4.7-1", "<", "2.4.7-z"}, {"1.002-1+b2", ">", "1.00"},
		{"~", "<", ""}, {"~~", "<", "~"}, {"~~a", "<", "~"}, {"~", "<", "a"}, {"a", ">", ""}, {"a", "<", "+"},
		{"4:14.2.0-1", ">", "14.2.0-19"}, {"2.41-12+deb13u4", ">", "2.41-12"}, {"1.37.0-6+b3", ">", "1.37.0-6"},
		{"6.12.48-1~bpo12+1", "<", "6.12.48-1"}, {"5.6.4+really5.4.5-1", ">", "5.6.1"}, {"18446744073709551616", ">", "18446744073709551615"},
	} {
		want := map[string]int{"<": -1, "=": 0, ">": 1}[c.op]
		if got := sign(CompareVersions(c.a, c.b)); got != want {
			t.Errorf("got %q %d %q, want %s", c.a, got, c.b, c.op)
		}
		if got := sign(CompareVersions(c.b, c.a)); got != -want {
			t.Errorf("got %q %d %q, want the contrary of %s", c.b, got, c.a, c.op)
		}
	}
}

func TestCheckVersion(t *testing.T) {
	for _, v := range []string{"0", "1:2.3-4", "1.0~rc1+dfsg-2+b1", "2025b-1", "1:2:3"} {
		if err := CheckVersion(v); err != nil {
			t.Errorf("%q: %v", v, err)
		}
	}
	for _, v := range []string{"", "a:1", ":1", "1-", "1 2", "-1", "1_2", "1:-1", "99999999999:1"} {
		if CheckVersion(v) == nil {
			t.Errorf("%q was taken", v)
		}
	}
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("1.0~rc1-1", "1.0-1", "1:0")
	f.Add("1.2a+~bCd3", "~", "")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		ab, ba := sign(CompareVersions(a, b)), sign(CompareVersions(b, a))
		if ab != -ba {
			t.Fatalf("%q, %q: %d and %d", a, b, ab, ba)
		}
		if bc := sign(CompareVersions(b, c)); ab <= 0 && bc <= 0 && CompareVersions(a, c) > 0 {
			t.Fatalf("not transitive: %q, %q, %q", a, b, c)
		}
	})
}

func TestParseRelations(t *testing.T) {
	groups, err := ParseRelations("libc6 (>= 2.38), debconf (>= 0.5) | debconf-2.0,\n perl:any , python3:amd64(<<3.14), x11 (> 1),")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range groups {
		got = append(got, g.String())
	}
	want := "libc6 (>= 2.38), debconf (>= 0.5) | debconf-2.0, perl:any, python3:amd64 (<< 3.14), x11 (>= 1)"
	if s := strings.Join(got, ", "); s != want {
		t.Errorf("got %s\nwant %s", s, want)
	}
	for _, bad := range []string{"a b", "aa (", "aa (1)", "aa (>= )", "aa (>= 1) x", "|", "aa | ", "aa:", "aa (== 1)", "../x", "aa (>= 1 2)"} {
		if g, err := ParseRelations(bad); err == nil {
			t.Errorf("%q was read as %v", bad, g)
		}
	}
}

func FuzzParseRelations(f *testing.F) {
	f.Add("a1 (>= 1) | b2:any, c3 (<< 2~)")
	f.Fuzz(func(t *testing.T, s string) {
		groups, err := ParseRelations(s)
		if err != nil {
			return
		}
		for _, g := range groups {
			again, err := ParseRelations(g.String())
			if err != nil || len(again) != 1 || again[0].String() != g.String() {
				t.Fatalf("%q: %q read again as %v, %v", s, g.String(), again, err)
			}
		}
	})
}
