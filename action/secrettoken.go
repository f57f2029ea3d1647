package action

import (
	"regexp"
	"strings"
	"sync"
)

// A secret's token stands for its value in a file that is built and delivered later: a
// manifest, say. The store has the token only; what delivers the file fills the value in.
//
//	@labstar-secret:NAME@
//
// No base64 text has an "@", so a value of a Kubernetes Secret's data that holds a token
// is text that is still to be encoded.
const secretTokenPrefix = "@labstar-secret:"

var secretToken = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`@labstar-secret:([a-z][a-z0-9_-]{0,63})@`) })

// SecretToken returns the token of the secret.
func SecretToken(name string) string { return secretTokenPrefix + name + "@" }

// SecretTokens returns the names of the secrets whose tokens are in text, in order of
// appearance.
func SecretTokens(text string) []string {
	if !strings.Contains(text, secretTokenPrefix) {
		return nil
	}
	var names []string
	for _, m := range secretToken().FindAllStringSubmatch(text, -1) {
		names = append(names, m[1])
	}
	return names
}

// FillSecrets replaces the tokens in text by what value gives for the secrets' names.
func FillSecrets(text string, value func(name string) (string, error)) (string, error) {
	if !strings.Contains(text, secretTokenPrefix) {
		return text, nil
	}
	var first error
	out := secretToken().ReplaceAllStringFunc(text, func(token string) string {
		v, err := value(strings.TrimSuffix(strings.TrimPrefix(token, secretTokenPrefix), "@"))
		if err != nil && first == nil {
			first = err
		}
		return v
	})
	return out, first
}
