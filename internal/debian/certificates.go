package debian

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/labstar/labstar/action"
)

// CertificateBundle is where TLS clients look for the certificate authorities.
const CertificateBundle = "etc/ssl/certs/ca-certificates.crt"

// Certificates returns the one file of all certificate authorities of the package
// ca-certificates, as update-ca-certificates makes it; empty if e has none.
func Certificates(ctx context.Context, content action.Content, e *action.Edit) ([]byte, error) {
	const folder = "usr/share/ca-certificates"
	if _, err := e.Lookup(ctx, folder); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var bundle []byte
	err := e.Walk(ctx, func(p string, n action.Node) error {
		switch {
		case n.Kind == action.Dir && p != "" && p != folder && !strings.HasPrefix(folder, p+"/") && !strings.HasPrefix(p, folder+"/"):
			return fs.SkipDir
		case n.Kind != action.Regular || path.Ext(p) != ".crt" || !strings.HasPrefix(p, folder+"/"):
			return nil
		}
		b, err := content.OpenBlob(ctx, n.Digest)
		if err != nil {
			return err
		}
		defer b.Close()
		text, err := io.ReadAll(b)
		bundle = append(bundle, text...)
		if len(text) > 0 && text[len(text)-1] != '\n' {
			bundle = append(bundle, '\n')
		}
		return err
	})
	return bundle, err
}
