package examples

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// labstar's registry with TLS by an authority of the lab's own, and with users: skopeo
// gets the image with both and not without one of them; so does labstar pull.
func TestRegistryTLS(t *testing.T) {
	endToEnd(t)
	need(t, "skopeo")
	l := imageLab(t, 1000)
	certs(t, l.dir)
	hash, err := bcrypt.GenerateFromPassword([]byte("open sesame"), bcrypt.MinCost)
	succeed(t, err)
	succeed(t, os.WriteFile(filepath.Join(l.dir, "users"), []byte("mia:"+string(hash)+"\n"), 0o600))
	_, address, told := l.serve("--tls-cert", "lab.crt", "--tls-key", "lab.key", "--htpasswd", "users")
	if !strings.Contains(told, `[host."https://`+address+`"]`) {
		t.Errorf("it tells no mirror by https:\n%s", told)
	}
	ref := address + "/lab/web:1.0"
	trusted, empty := filepath.Join(l.dir, "trusted"), filepath.Join(l.dir, "empty")
	succeed(t, os.Mkdir(trusted, 0o700))
	succeed(t, os.Mkdir(empty, 0o700))
	authority, err := os.ReadFile(filepath.Join(l.dir, "authority.crt"))
	succeed(t, err)
	succeed(t, os.WriteFile(filepath.Join(trusted, "ca.crt"), authority, 0o600))

	got := tool(t, "skopeo", "inspect", "--cert-dir", trusted, "--creds", "mia:open sesame", "--format", "{{.Digest}}", "docker://"+ref)
	if !strings.Contains(told, strings.TrimSpace(got)) {
		t.Errorf("skopeo finds %s, it told\n%s", got, told)
	}
	tool(t, "skopeo", "copy", "--src-cert-dir", trusted, "--src-creds", "mia:open sesame", "docker://"+ref, "oci:"+filepath.Join(l.dir, "copy")+":1.0")
	for want, args := range map[string][]string{
		"certificate signed by unknown authority": {"--cert-dir", empty, "--creds", "mia:open sesame"},
		"unauthorized": {"--cert-dir", trusted, "--creds", "mia:open barley"},
	} {
		out, err := exec.Command("skopeo", append(append([]string{"inspect"}, args...), "docker://"+ref)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("skopeo with %v: got %v, %s, want %q", args, err, out, want)
		}
	}

	pull := func(user string) (string, error) {
		config := t.TempDir()
		succeed(t, os.WriteFile(filepath.Join(config, "config.json"), []byte(`{"auths":{"`+address+`":{"username":"`+user+`","password":"open sesame"}}}`), 0o600))
		cmd := l.command("pull", ref, "-o", "pulled-"+user)
		cmd.Env = append(cmd.Env, "DOCKER_CONFIG="+config, "SSL_CERT_FILE="+filepath.Join(l.dir, "authority.crt"))
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := pull("mia"); err != nil {
		t.Errorf("labstar pull: %v\n%s", err, out)
	}
	tool(t, "skopeo", "inspect", "oci:"+filepath.Join(l.dir, "pulled-mia"))
	if out, err := pull("mallory"); err == nil || !strings.Contains(out, "401") {
		t.Errorf("labstar pull as somebody else: %v\n%s", err, out)
	}
}

// certs writes authority.crt, and lab.crt and lab.key that it vouches for on the
// loopback address.
func certs(t *testing.T, dir string) {
	t.Helper()
	write := func(name, kind string, der []byte) {
		var b bytes.Buffer
		succeed(t, pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}))
		succeed(t, os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600))
	}
	certificate := func(c, parent *x509.Certificate, key, by *ecdsa.PrivateKey) []byte {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
		succeed(t, err)
		return der
	}
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	succeed(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	succeed(t, err)
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "the lab's authority"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	write("authority.crt", "CERTIFICATE", certificate(authority, authority, authorityKey, authorityKey))
	server := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "registry"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	write("lab.crt", "CERTIFICATE", certificate(server, authority, key, authorityKey))
	der, err := x509.MarshalECPrivateKey(key)
	succeed(t, err)
	write("lab.key", "EC PRIVATE KEY", der)
}
