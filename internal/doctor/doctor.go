// Package doctor finds out what this machine can and cannot do for labstar, by
// trying it, and says what to do about what it cannot.
//
//	for _, c := range doctor.Examine(ctx, doctor.Options{Store: dir, Mirror: url, Sandbox: check}) {
//		fmt.Println(c.Status, c.Name, c.Detail, c.Remedy)
//	}
package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/labstar/labstar/internal/sandbox"
)

// Status says how a check ended.
type Status string

// How a check ends.
const (
	OK      Status = "ok"
	Warning Status = "warning" // something optional is missing, or soon will
	Failed  Status = "failed"  // builds need it
)

// Check is one thing that was tried.
type Check struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Remedy string `json:"remedy,omitempty"` // what to do; several lines where that takes several steps
}

// Options say what to look at.
type Options struct {
	Store  string // the store's folder; need not exist yet
	Mirror string // URL of the Debian mirror
	// Sandbox tries the sandbox, with its files in the folder dir.
	Sandbox func(ctx context.Context, dir string) []sandbox.Finding
	// Client makes the requests; nil is http.DefaultClient.
	Client *http.Client
}

// Examine makes all checks, in a fixed order. It takes at most some seconds.
func Examine(ctx context.Context, o Options) []Check {
	at := existing(o.Store)
	checks := []Check{platform()}
	if o.Sandbox != nil {
		checks = append(checks, isolation(ctx, o, at)...)
	}
	checks = append(checks, writable(o.Store, at))
	checks = append(checks, space(o.Store, at)...)
	return append(checks, mirror(ctx, o), kvm())
}

// Healthy reports whether nothing failed that builds need.
func Healthy(checks []Check) bool {
	for _, c := range checks {
		if c.Status == Failed {
			return false
		}
	}
	return true
}

// isolation tells what the sandbox found: that it works, or what forbids it (user
// namespaces, AppArmor, an unsuitable file system) and how to allow it.
func isolation(ctx context.Context, o Options, dir string) []Check {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var checks []Check
	for _, f := range o.Sandbox(ctx, dir) {
		c := Check{Name: f.Name, Status: OK, Detail: f.Detail, Remedy: f.Remedy}
		if !f.OK {
			c.Status = Failed
		}
		checks = append(checks, c)
	}
	return checks
}

// mirror asks for the smallest file that every Debian mirror has.
func mirror(ctx context.Context, o Options) Check {
	c := Check{Name: "mirror", Detail: o.Mirror}
	remedy := "check the connection and a proxy (HTTPS_PROXY), or name another mirror: LABSTAR_DEBIAN_MIRROR=URL; builds whose inputs are in the store need none"
	client := o.Client
	if client == nil {
		client = http.DefaultClient
	}
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	url := strings.TrimSuffix(o.Mirror, "/") + "/dists/stable/InRelease"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		c.Status, c.Detail, c.Remedy = Failed, err.Error(), remedy
		return c
	}
	start := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		c.Status, c.Detail, c.Remedy = Warning, err.Error(), remedy
		return c
	}
	defer resp.Body.Close()
	head := make([]byte, 64)
	n, err := io.ReadFull(resp.Body, head)
	switch {
	case resp.StatusCode != http.StatusOK:
		c.Status, c.Detail, c.Remedy = Warning, fmt.Sprintf("%s answers %s", url, resp.Status), remedy
	case err != nil || !strings.HasPrefix(string(head[:n]), "-----BEGIN PGP SIGNED MESSAGE-----"):
		c.Status, c.Detail, c.Remedy = Warning, url+" is not a signed Release file", remedy
	default:
		c.Status = OK
		c.Detail = fmt.Sprintf("%s answers in %d ms", o.Mirror, time.Since(start).Milliseconds())
	}
	return c
}

// existing returns what exists of the way to dir.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// writable creates and removes a file in the folder, or in what exists of the
// way to it.
func writable(dir, at string) Check {
	c := Check{Name: "store", Status: OK, Detail: dir}
	f, err := os.CreateTemp(at, ".labstar-doctor-*")
	if err == nil {
		_ = f.Close() // nothing was written
		err = os.Remove(f.Name())
	}
	if err != nil {
		c.Status = Failed
		c.Detail = fmt.Sprintf("%s can't be written: %v", dir, err)
		c.Remedy = "choose another folder: labstar --cache DIR, or LABSTAR_CACHE=DIR"
	}
	return c
}

func platform() Check {
	c := Check{Name: "system", Status: OK, Detail: fmt.Sprintf("%s/%s, %d cores", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())}
	release, err := kernelRelease()
	if err != nil {
		c.Status = Warning
		c.Remedy = "commands can't be run in the sandbox on this system; everything else works. Use Linux, or a Linux VM, for builds that compile"
		return c
	}
	c.Detail = "Linux " + release + ", " + runtime.GOARCH + fmt.Sprintf(", %d cores", runtime.NumCPU())
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n == 2 && (major < 5 || major == 5 && minor < 12) {
		c.Status = Failed
		c.Remedy = "the sandbox needs Linux 5.12 or newer (overlay mounts without root): install a newer kernel; on Debian 11: apt install linux-image-amd64/bullseye-backports"
	}
	return c
}
