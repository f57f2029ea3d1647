package docker

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// place is where an engine is, and what said so.
type place struct {
	host string // as in DOCKER_HOST
	by   string // DOCKER_HOST, or which context; "" for the default
	tls  func() (*tls.Config, error)
}

// find tells where the engine is, as the docker command does: DOCKER_HOST, then the
// context of DOCKER_CONTEXT, then the one that `docker context use` chose, then the
// socket of this machine.
func find(getenv func(string) string) (*place, error) {
	dir := getenv("DOCKER_CONFIG")
	if dir == "" {
		dir = filepath.Join(getenv("HOME"), ".docker")
	}
	own := &place{host: getenv("DOCKER_HOST"), by: "DOCKER_HOST", tls: func() (*tls.Config, error) {
		if getenv("DOCKER_TLS_VERIFY") == "" {
			return nil, nil
		}
		if keys := getenv("DOCKER_CERT_PATH"); keys != "" {
			return certificates(keys)
		}
		return certificates(dir)
	}}
	if own.host != "" {
		return own, nil
	}
	own.host, own.by = DefaultHost, ""
	name, by := getenv("DOCKER_CONTEXT"), "DOCKER_CONTEXT"
	if name == "" {
		var config struct {
			CurrentContext string `json:"currentContext"`
		}
		file := filepath.Join(dir, "config.json")
		if err := readJSON(file, &config); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		name, by = config.CurrentContext, file
	}
	if name == "" || name == "default" {
		return own, nil
	}
	return inContext(dir, name, by)
}

// inContext reads a context: contexts/meta has its endpoint and contexts/tls what
// proves who speaks, each in a folder called after the SHA-256 of its name.
func inContext(dir, name, by string) (*place, error) {
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	var meta struct {
		Endpoints map[string]struct {
			Host          string
			SkipTLSVerify bool
		}
	}
	err := readJSON(filepath.Join(dir, "contexts", "meta", id, "meta.json"), &meta)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s names the Docker context %q, and there is none in %s: choose one that `docker context ls` has, or set DOCKER_HOST", by, name, dir)
	}
	if err != nil {
		return nil, err
	}
	p := &place{host: meta.Endpoints["docker"].Host, by: fmt.Sprintf("the Docker context %q", name)}
	if p.host == "" {
		return nil, fmt.Errorf("%s has no endpoint of an engine: choose one that `docker context ls` has, or set DOCKER_HOST", p.by)
	}
	p.tls = func() (*tls.Config, error) {
		keys := filepath.Join(dir, "contexts", "tls", id, "docker")
		skip := meta.Endpoints["docker"].SkipTLSVerify
		if _, err := os.Stat(keys); errors.Is(err, fs.ErrNotExist) {
			if !skip {
				return nil, nil
			}
			keys = ""
		}
		config, err := certificates(keys)
		if err == nil {
			config.InsecureSkipVerify = skip // as the context says
		}
		return config, err
	}
	return p, nil
}

func readJSON(file string, into any) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading Docker's settings: %w", err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("reading Docker's settings: %s: %w", file, err)
	}
	return nil
}

// certificates reads those of ca.pem, and of cert.pem and key.pem, that a folder has.
func certificates(dir string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if dir == "" {
		return config, nil
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err == nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, fmt.Errorf("reading the engine's certificates: %s has none", filepath.Join(dir, "ca.pem"))
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the engine's certificates: %w", err)
	}
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err == nil {
		config.Certificates = []tls.Certificate{pair}
		return config, nil
	}
	if _, certErr := os.Stat(cert); errors.Is(certErr, fs.ErrNotExist) {
		if _, keyErr := os.Stat(key); errors.Is(keyErr, fs.ErrNotExist) {
			return config, nil // who speaks is not asked
		}
	}
	return nil, fmt.Errorf("reading the engine's certificates: %w", err)
}
