package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/pattern"
)

// finding is a file of a layer that holds a secret.
type finding struct {
	Path string `json:"path"` // absolute
	What string `json:"what"`
}

// secretsOp looks for secrets in one tree, so that a change in another does not read
// it again. What the script allows is left to oci/config.
var secretsOp = &action.Op{Name: "oci/secrets", Version: 1, Check: true, Run: runSecrets}

// maxSecret is the size of the largest file that is looked into.
const maxSecret = 64 << 10

func runSecrets(ctx context.Context, env action.Env) error {
	findings := []finding{}
	err := action.NewEdit(env, env.Input("tree").Digest).Walk(ctx, func(p string, n action.Node) error {
		if n.Kind != action.Regular || n.Digest.Size < 8 || n.Digest.Size > maxSecret || !suspicious(p) {
			return nil
		}
		b, err := env.OpenBlob(ctx, n.Digest)
		if err != nil {
			return err
		}
		defer b.Close()
		text, err := io.ReadAll(b)
		if err != nil {
			return err
		}
		if what := secretIn(p, text); what != "" {
			findings = append(findings, finding{"/" + p, what})
		}
		return nil
	})
	if err != nil {
		return err
	}
	b, err := json.Marshal(findings)
	if err != nil {
		return err
	}
	return env.WriteFile("findings", b)
}

// keyExtensions are those of files that hold keys; so do files without any.
var keyExtensions = []string{"", ".pem", ".key", ".p8", ".ppk", ".priv", ".rsa", ".asc", ".crt", ".cert"}

// suspicious reports whether a file is worth reading.
func suspicious(p string) bool {
	base := path.Base(p)
	return strings.HasPrefix(base, ".") || slices.Contains(keyExtensions, strings.ToLower(path.Ext(base))) || strings.HasPrefix(base, "id_") ||
		base == "credentials" || base == "auth.json" || strings.HasSuffix(p, ".docker/config.json")
}

// named are secrets that are known by the file's name, and what in it is one.
var named = []struct {
	name   func() *regexp.Regexp
	holds  func() *regexp.Regexp
	secret string
}{
	{pattern.New(`(^|/)\.npmrc$|(^|/)\.yarnrc(\.yml)?$`), pattern.New(`(?m)(_authToken|_auth|_password|npmAuthToken)["']?\s*[=:]\s*["']?[^\s"'$]`), "a token of an npm registry"},
	{pattern.New(`(^|/)\.docker/config\.json$|(^|/)containers/auth\.json$|(^|/)\.dockercfg$`), pattern.New(`"(auth|identitytoken|registrytoken|password)"\s*:\s*"[^"]`), "credentials of an image registry"},
	{pattern.New(`(^|/)\.git-credentials$`), pattern.New(`://[^\s/]*:[^\s/]*@`), "credentials of git"},
	{pattern.New(`(^|/)[._]netrc$`), pattern.New(`\bpassword\s+\S`), "a password for the network"},
	{pattern.New(`(^|/)\.pypirc$`), pattern.New(`(?m)^\s*password\s*[=:]\s*\S`), "a password of a package index"},
	{pattern.New(`(^|/)\.pgpass$`), pattern.New(`(?m)^[^#\s].*:.*:.*:.*:\S`), "a password of a database"},
	{pattern.New(`(^|/)\.aws/credentials$`), pattern.New(`(?i)aws_secret_access_key\s*=\s*\S`), "an access key of AWS"},
	{pattern.New(`(^|/)\.kube/config$`), pattern.New(`(?m)^\s*(token|password|client-key-data)\s*:\s*\S`), "credentials of a cluster"},
	{pattern.New(`(^|/)\.env(\.[a-z0-9_-]+)?$`), pattern.New(`(?m)^\s*(export\s+)?[A-Za-z_][A-Za-z0-9_]*\s*=\s*["']?[^\s"'#]`), "the settings of an environment, which mostly hold passwords"},
}

// examples are endings of .env files that are written to be shared.
var examples = pattern.New(`\.(example|sample|template|dist|defaults)$`)

// privateKey matches the first line of a private key in PEM or of OpenPGP.
var privateKey = pattern.New(`(?m)^\s*-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----\s*$`)

// secretIn says what secret a file holds, "" if it holds none.
func secretIn(p string, text []byte) string {
	if bytes.Contains(text, []byte("PRIVATE KEY")) && privateKey().Match(text) || bytes.HasPrefix(text, []byte("PuTTY-User-Key-File-")) {
		return "a private key"
	}
	for _, s := range named {
		if s.name().MatchString(p) && !examples().MatchString(p) && s.holds().Match(text) {
			return s.secret
		}
	}
	return ""
}

// secrets tells what was found in the layers and is not allowed. A path that is
// allowed and holds none is told too: the list is to stay true.
func (p *configParams) secrets(ctx context.Context, env action.Env) ([]error, error) {
	var errs []error
	allowed := map[string]bool{}
	for _, in := range env.Inputs() {
		if !strings.HasPrefix(in.Name, "secrets[") {
			continue
		}
		var findings []finding
		if err := readJSON(ctx, env, in.Name, &findings); err != nil {
			return nil, err
		}
		layer := strings.Replace(in.Name, "secrets", "layers", 1)
		for _, f := range findings {
			if slices.Contains(p.AllowSecrets, f.Path) {
				allowed[f.Path] = true
				continue
			}
			errs = append(errs, &action.PartError{Part: layer, Err: fmt.Errorf("checking %s for secrets: %q holds %s; leave it out, or say allow_secrets = [%q] if everybody may know it",
				layer, f.Path, f.What, f.Path)})
		}
	}
	for _, path := range p.AllowSecrets {
		if !allowed[path] {
			errs = append(errs, &action.PartError{Part: "allow_secrets", Err: fmt.Errorf("checking allow_secrets: no layer has a secret at %q; leave it out", path)})
		}
	}
	return errs, nil
}
