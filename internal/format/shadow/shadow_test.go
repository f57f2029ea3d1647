package shadow

import (
	"crypto/sha512"
	"strings"
	"testing"

	"github.com/go-crypt/x/crypt"
)

// The vectors of the specification of sha512-crypt, and one of openssl passwd.
func TestSHA512Crypt(t *testing.T) {
	for _, v := range []struct {
		salt, password, want string
		rounds               int
	}{
		{"saltstring", "Hello world!", "svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", 5000},
		{"saltstringsaltst", "Hello world!", "OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.", 10000},
		{"toolongsaltstrin", "This is just a test", "lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0", 5000},
		{"Ab./Ab./Ab./Ab./", "pass word ünïcode that is longer than sixty-four bytes, to pass a block of SHA-512 or so",
			"LMnkKT3jhP/OmJ0slPaTFhhPVcnSE7vP2k1lLoAXjQoB2N6GtNhwW3AnirhjS2YTUjmdZbEi512ovNr0VPldC/", 5000},
	} {
		if got := string(crypt.KeySHACrypt(sha512.New, []byte(v.password), []byte(v.salt), v.rounds)); got != v.want {
			t.Errorf("%q: got %s, want %s", v.password, got, v.want)
		}
	}
}

func TestPasswordSalt(t *testing.T) {
	hash := func(password, use string) string {
		h, err := Hash(password, use)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	a := hash("hunter2", "password of root")
	if a != hash("hunter2", "password of root") {
		t.Error("the same password has two hashes")
	}
	parts := strings.Split(a, "$")
	if len(parts) != 4 || parts[1] != "6" || len(parts[2]) != saltLen || len(parts[3]) != 86 {
		t.Errorf("got %s, want $6$, a salt of %d and 86 characters", a, saltLen)
	}
	for _, other := range []string{hash("hunter2", "password of lab"), hash("hunter3", "password of root")} {
		if strings.Split(other, "$")[2] == parts[2] {
			t.Errorf("%s and %s have the same salt", a, other)
		}
	}
}
