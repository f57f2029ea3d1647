// Package shadow hashes passwords as /etc/shadow has them.
//
//	hash, err := shadow.Hash("hunter2", "password of root") // "$6$…"
package shadow

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"fmt"

	"github.com/go-crypt/x/crypt"
)

// The work of sha512-crypt, the default of crypt(5), and of the salt's derivation.
const (
	cryptRounds = 5000
	saltRounds  = 10000
	saltLen     = 16 // characters, the most that sha512-crypt takes
)

// Hash hashes a password as crypt(5) describes under "$6$" (sha512-crypt). The salt comes
// from the password and its use, so that the same one gives the same bytes and two
// users with one password have different hashes. It is derived as slowly as the
// hash: a salt from a fast function would let a thief of the file guess at the
// salt instead.
func Hash(password, use string) (string, error) {
	raw, err := pbkdf2.Key(sha512.New, password, []byte("labstar "+use), saltRounds, saltLen)
	if err != nil {
		return "", fmt.Errorf("deriving salt: %w", err)
	}
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	salt := make([]byte, saltLen)
	for i, b := range raw {
		salt[i] = alphabet[b&63]
	}
	return "$6$" + string(salt) + "$" + string(crypt.KeySHACrypt(sha512.New, []byte(password), salt, cryptRounds)), nil
}
