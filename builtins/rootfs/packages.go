package rootfs

import (
	"context"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/debian"
)

// What maintainer scripts would leave behind, for the packages that most systems
// of this kind have. No script is run: these are the files that they write from
// what the package itself ships. Each is made only where its source is and it is
// not.

// shipped are files that are copied to where programs look for them.
var shipped = map[string]string{
	"etc/ssh/sshd_config": "usr/share/openssh/sshd_config",
}

// pamFiles are those of libpam-runtime, whose templates in /usr/share/pam are
// filled in with passwords in /etc/shadow (pam_unix).
var pamFiles = map[string]string{
	"common-account":                "account required pam_unix.so\n",
	"common-auth":                   "auth required pam_unix.so nullok\n",
	"common-password":               "password required pam_unix.so obscure yescrypt\n",
	"common-session":                "session required pam_unix.so\n",
	"common-session-noninteractive": "session required pam_unix.so\n",
}

func (c *composer) packages(ctx context.Context) error {
	for _, to := range sortedKeys(shipped) {
		if c.there(ctx, to) {
			continue
		}
		n, _, err := c.e.Resolve(ctx, shipped[to])
		if err != nil || n.Kind != action.Regular {
			continue
		}
		if err := c.put(ctx, to, n.Digest, action.Attr{Mode: action.ModeFile}); err != nil {
			return err
		}
	}
	for _, name := range sortedKeys(pamFiles) {
		if !c.there(ctx, "usr/share/pam/"+name) || c.there(ctx, "etc/pam.d/"+name) {
			continue
		}
		if err := c.text(ctx, text{Path: "etc/pam.d/" + name, Text: action.Late(pamFiles[name])}); err != nil {
			return err
		}
	}
	return c.certificates(ctx)
}

func (c *composer) there(ctx context.Context, p string) bool {
	_, _, err := c.e.Resolve(ctx, p)
	return err == nil
}

// certificates makes the one file of all certificate authorities that TLS clients
// read.
func (c *composer) certificates(ctx context.Context) error {
	if c.there(ctx, debian.CertificateBundle) {
		return nil
	}
	bundle, err := debian.Certificates(ctx, c.env, c.e)
	if err != nil || len(bundle) == 0 {
		return err
	}
	return c.text(ctx, text{Path: debian.CertificateBundle, Text: action.Late(bundle)})
}
