package k8s

import (
	"regexp"
	"strings"
	"sync"
)

// The grammar of an image reference (distribution/reference), without digest.
var (
	component = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
	domain    = `(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*(?::[0-9]+)?`
	reference = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:` + domain + `/)?` + component + `(?:/` + component + `)*(?::[\w][\w.-]{0,127})?$`)
	})
)

func isDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// image checks a reference. Of one with a late digest the name is checked.
func (a at) image(s string) {
	name, sum, hasDigest := strings.Cut(s, "@")
	switch {
	case a.c.late(s):
		// A token starts with "@" itself, so NAME@TOKEN has two. Of anything else
		// too little is known.
		if !strings.HasPrefix(sum, "@") {
			return
		}
	case hasDigest && !isDigest(sum):
		a.fail("", "got the digest %q, want sha256: and 64 hexadecimal digits", clip(sum))
		return
	}
	if reference().MatchString(name) {
		return
	}
	if low := strings.ToLower(name); low != name && reference().MatchString(low) {
		a.fail("", "got the image %q, want lower case (did you mean %q?)", clip(name), low)
		return
	}
	a.fail("", "got the image %q, want [REGISTRY/]NAME[:TAG][@DIGEST]", clip(name))
}
