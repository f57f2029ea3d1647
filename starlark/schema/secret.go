package schema

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
)

// Secret is a secret as a value of the language: its name, never its value. A
// builtin that takes one makes an action with Spec.Secrets, which derives from
// the value what may be seen.
type Secret struct {
	Name string
	Site []action.Frame // of the call that named it
}

// String is how the script names it, and an invisible mark (U+2060, a word joiner):
// a string that was made with it is no argument, see checkSecrets.
func (s *Secret) String() string { return fmt.Sprintf("secret(%q)", s.Name) + secretMark }

const secretMark = "\u2060"

// checkSecrets reports a secret in a string: what it stands for is nowhere in the
// evaluation, so the string would say secret("x") for ever.
func (u *unpacker) checkSecrets(at *path, s string) bool {
	end := strings.Index(s, `")`+secretMark)
	if end < 0 {
		return false
	}
	start := strings.LastIndex(s[:end], `secret("`)
	if start < 0 {
		return false
	}
	e := u.fail(at, "got a string with %s in it: its value is never known to the script", s[start:end+2])
	e.Hint = "give the secret itself, to an argument that takes one; the texts of a Kubernetes Secret take lists, as [\"user:\", secret(\"x\")]"
	return true
}

// Type returns "secret".
func (s *Secret) Type() string { return "secret" }

// Freeze does nothing: a secret is immutable.
func (s *Secret) Freeze() {}

// Truth is true.
func (s *Secret) Truth() starlark.Bool { return true }

// Hash comes from the name.
func (s *Secret) Hash() (uint32, error) { return starlark.String(s.Name).Hash() }

// ValidSecretName reports whether s can name a secret: lower-case letters,
// digits, '-' and '_', starting with a letter.
func ValidSecretName(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}
