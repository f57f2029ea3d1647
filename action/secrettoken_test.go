package action

import (
	"errors"
	"slices"
	"testing"
)

func TestFillSecrets(t *testing.T) {
	values := map[string]string{"db": "p@ss:1@", "user": "lab"}
	get := func(name string) (string, error) {
		if v, ok := values[name]; ok {
			return v, nil
		}
		return "", errors.New("no " + name)
	}
	text := "postgres://" + SecretToken("user") + ":" + SecretToken("db") + "@db/lab"
	if got := SecretTokens(text); !slices.Equal(got, []string{"user", "db"}) {
		t.Errorf("got %q", got)
	}
	got, err := FillSecrets(text, get)
	if want := "postgres://lab:p@ss:1@@db/lab"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, plain := range []string{"", "a@b", "@labstar-secret:@", "@labstar-secret:Db@"} {
		if got, err := FillSecrets(plain, get); err != nil || got != plain {
			t.Errorf("%q: got %q, %v", plain, got, err)
		}
	}
	if _, err := FillSecrets(SecretToken("other"), get); err == nil || err.Error() != "no other" {
		t.Errorf("got %v", err)
	}
}
