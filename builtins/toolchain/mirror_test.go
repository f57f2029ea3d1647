package toolchain

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/labstar/labstar/internal/lock"
)

// mirror is a small Debian archive with a signing key of its own, served from
// memory.
type mirror struct {
	t       testing.TB
	key     *openpgp.Entity
	keyring string
	url     string

	mu       sync.Mutex
	files    map[string][]byte
	packages map[string]string // paragraphs, by name
	sources  []string
	asked    int
}

func newMirror(t testing.TB) *mirror {
	t.Helper()
	key, err := openpgp.NewEntity("test archive", "", "archive@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	if err != nil {
		t.Fatal(err)
	}
	m := &mirror{t: t, key: key, keyring: filepath.Join(t.TempDir(), "keys.gpg"), files: map[string][]byte{},
		packages: map[string]string{}}
	var b bytes.Buffer
	if err := key.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.keyring, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	m.url = s.URL + "/debian"
	return m
}

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	p := strings.TrimPrefix(r.URL.Path, "/debian/")
	b, ok := m.files[p]
	m.asked++
	m.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

// requests is the number of requests so far.
func (m *mirror) requests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// get is the configuration that names m.
func (m *mirror) get(key string) string {
	return map[string]string{"debian.mirror": m.url, "debian.keyring": m.keyring}[key]
}

// deb puts a package into the pool. Files are path, content pairs; a content
// of "-> x" is a symlink.
func (m *mirror) deb(name, version, fields string, files ...string) {
	m.t.Helper()
	b := debFile(m.t, files...)
	path := fmt.Sprintf("pool/%s_%s_amd64.deb", name, strings.ReplaceAll(version, ":", "%3a"))
	path = strings.ReplaceAll(path, "%3a", ".")
	m.files[path] = b
	if fields != "" {
		fields += "\n"
	}
	m.packages[name] = fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nFilename: %s\nSize: %d\nSHA256: %x\n%s\n",
		name, version, path, len(b), sha256.Sum256(b), fields)
}

// source puts a source package of the files given, name and content, into the pool.
func (m *mirror) source(name, version string, files map[string][]byte) {
	p := fmt.Sprintf("Package: %s\nVersion: %s\nFormat: 3.0 (quilt)\nDirectory: pool/src\nChecksums-Sha256:\n", name, version)
	for f, b := range files {
		m.files["pool/src/"+f] = b
		p += fmt.Sprintf(" %x %d %s\n", sha256.Sum256(b), len(b), f)
	}
	m.sources = append(m.sources, p+"\n")
}

// publish writes and signs the indexes.
func (m *mirror) publish() {
	m.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	var index strings.Builder
	for _, p := range m.packages {
		index.WriteString(p)
	}
	release := "Origin: Debian\nSuite: stable\nCodename: trixie\nDate: " + time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC") +
		"\nArchitectures: all amd64\nComponents: main\nSHA256:\n"
	for name, text := range map[string]string{"main/binary-amd64/Packages": index.String(), "main/source/Sources": strings.Join(m.sources, "")} {
		m.files["dists/trixie/"+name] = []byte(text)
		release += fmt.Sprintf(" %x %d %s\n", sha256.Sum256([]byte(text)), len(text), name)
	}
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, m.key.PrivateKey, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := w.Write([]byte(release)); err != nil {
		m.t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.files["dists/trixie/InRelease"] = b.Bytes()
}

func tarOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i+1 < len(files); i += 2 {
		h := &tar.Header{Name: files[i], Mode: 0o755, Typeflag: tar.TypeReg, Size: int64(len(files[i+1]))}
		if target, ok := strings.CutPrefix(files[i+1], "-> "); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, target, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(files[i+1])); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func debFile(t testing.TB, files ...string) []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range []struct {
		name string
		body []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar", tarOf(t, "./control", "Package: x\n")}, {"data.tar", tarOf(t, files...)}} {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.body))
		b.Write(m.body)
		if len(m.body)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func (m *mirror) env() lock.Env { return lock.Env{Config: m.get} }
