package rootfs

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// keyTypes are those that OpenSSH and dropbear take.
var keyTypes = []string{
	"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
	"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
}

// publicKey reports why a line is none of authorized_keys(5): options, a type, the
// key in base64, a comment. The key itself starts with its type.
func publicKey(line string) error {
	if strings.Contains(line, "PRIVATE KEY") {
		return errors.New("got a private key, want the public one (the file whose name ends in .pub)")
	}
	fields := strings.Fields(line)
	for i, typ := range fields {
		for _, known := range keyTypes {
			if typ != known {
				continue
			}
			if i+1 == len(fields) {
				return fmt.Errorf("got %q and no key after it", typ)
			}
			raw, err := base64.StdEncoding.DecodeString(fields[i+1])
			if err != nil || len(raw) < 4 {
				return fmt.Errorf("got a damaged key %q: it is not base64", short(fields[i+1]))
			}
			if n := int(binary.BigEndian.Uint32(raw)); n > len(raw)-4 || string(raw[4:4+n]) != typ {
				return fmt.Errorf("got a damaged key %q: it is none of type %s", short(fields[i+1]), typ)
			}
			return nil
		}
	}
	return fmt.Errorf("got %q, want a public key, as \"ssh-ed25519 AAAA…\"", short(line))
}

func short(s string) string {
	if len(s) > 24 {
		return s[:24] + "…"
	}
	return s
}
