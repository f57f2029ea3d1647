package serve

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// Users are those of an htpasswd file. Passwords have to be hashed with bcrypt
// (`htpasswd -B`), as for other registries: the older hashes are quickly guessed.
type Users struct {
	hashes map[string][]byte

	mu    sync.Mutex
	known map[[sha256.Size]byte]bool // what was right before: bcrypt is slow on purpose
}

// nobody is compared with for a user that there isn't, so that the time does not
// tell which there are.
var nobody = []byte("$2a$10$zek5Rl4TEs34cePlagvv7OL5FJYDbHquTiIVkwnobjkL5cVmfjwPy")

// ReadUsers reads an htpasswd file.
func ReadUsers(r io.Reader) (*Users, error) {
	u := &Users{hashes: map[string][]byte{}, known: map[[sha256.Size]byte]bool{}}
	scan := bufio.NewScanner(r)
	for n := 1; scan.Scan(); n++ {
		line := strings.TrimSpace(scan.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, hash, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, fmt.Errorf("line %d: want USER:HASH, as `htpasswd -B` writes it", n)
		}
		if _, err := bcrypt.Cost([]byte(hash)); err != nil {
			return nil, fmt.Errorf("line %d: the password of %q is not hashed with bcrypt: make it with `htpasswd -B`", n, name)
		}
		u.hashes[name] = []byte(hash)
	}
	if err := scan.Err(); err != nil {
		return nil, err
	}
	if len(u.hashes) == 0 {
		return nil, fmt.Errorf("it names no user: add one with `htpasswd -B FILE USER`")
	}
	return u, nil
}

// Check reports whether the password is the user's.
func (u *Users) Check(name, password string) bool {
	hash, ok := u.hashes[name]
	if !ok {
		_ = bcrypt.CompareHashAndPassword(nobody, []byte(password)) // for its time alone
		return false
	}
	key := sha256.Sum256([]byte(name + "\x00" + password + "\x00" + string(hash)))
	u.mu.Lock()
	right := u.known[key]
	u.mu.Unlock()
	if right {
		return true
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil {
		return false
	}
	u.mu.Lock()
	u.known[key] = true
	u.mu.Unlock()
	return true
}
