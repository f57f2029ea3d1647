package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/debian"
	"github.com/labstar/labstar/internal/format/rpmdb"
)

// contentsParams is what oci/contents is told of a pulled image, besides its layers.
type contentsParams struct {
	Layers int    `json:"layers"`
	PURL   string `json:"purl"`
}

// contentsOp lists the packages of a pulled image, as its package managers have noted
// them in there: dpkg (also one file a package, as in distroless images), apk and rpm.
var contentsOp = &action.Op{Name: "oci/contents", Version: 2, Run: runContents}

// newContents makes the action that lists the packages of a pulled image.
func newContents(make makeAction, image *action.Action) (*action.Artifact, error) {
	layers, err := layersOf(make, image)
	if err != nil {
		return nil, err
	}
	s := action.Spec{
		Op: contentsOp, Title: "packages of " + image.Component.Name, Params: contentsParams{Layers: len(layers), PURL: image.Component.PURL},
		Outputs: []action.Output{{Name: "packages", Kind: action.File}},
	}
	for i, l := range layers {
		s.Inputs = append(s.Inputs, action.Input{Name: fmt.Sprintf("base[%d]", i), Artifact: l.tree},
			action.Input{Name: fmt.Sprintf("descriptor%d", i), Artifact: l.descriptor})
	}
	act, err := make(s)
	if err != nil {
		return nil, err
	}
	return act.Output("packages"), nil
}

func runContents(ctx context.Context, env action.Env) error {
	var p contentsParams
	if err := env.Params(&p); err != nil {
		return err
	}
	system := contents{ctx: ctx, env: env, tree: action.NewEdit(env, action.Digest{}), in: p.PURL}
	for i := range p.Layers {
		if err := layBase(ctx, env, system.tree, i); err != nil {
			return fmt.Errorf("laying layer %d: %w", i, err)
		}
	}
	if err := errors.Join(system.release(), system.dpkg(), system.apk(), system.rpm()); err != nil {
		return err
	}
	b, err := json.Marshal(system.parts)
	if err != nil {
		return err
	}
	return env.WriteFile("packages", b)
}

// contents is a pulled image that is looked into.
type contents struct {
	ctx    context.Context
	env    action.Env
	tree   *action.Edit
	in     string            // the image's package URL
	system map[string]string // what os-release says
	parts  []part
}

// maxRecords is the size of a package manager's notes, in bytes; a whole Debian has 10 MB.
const maxRecords = 256 << 20

// read returns a regular file's content; nil if there is none.
func (c *contents) read(p string) ([]byte, error) {
	n, err := c.tree.Lookup(c.ctx, p)
	if errors.Is(err, fs.ErrNotExist) || err == nil && n.Kind != action.Regular {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if n.Digest.Size > maxRecords {
		return nil, fmt.Errorf("reading %s of the image: got %d bytes, want at most %d", p, n.Digest.Size, maxRecords)
	}
	b, err := c.env.OpenBlob(c.ctx, n.Digest)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// release reads os-release(5): /etc/os-release is a link to the first, or a file.
func (c *contents) release() error {
	c.system = map[string]string{}
	for _, p := range []string{"usr/lib/os-release", "etc/os-release"} {
		b, err := c.read(p)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
				c.system[k] = strings.Trim(v, `"'`)
			}
		}
		if b != nil {
			return nil
		}
	}
	return nil
}

// dpkg reads /var/lib/dpkg/status, and status.d where each package has a file.
func (c *contents) dpkg() error {
	files := []string{"var/lib/dpkg/status"}
	err := c.tree.Walk(c.ctx, func(p string, n action.Node) error {
		if name, ok := strings.CutPrefix(p, "var/lib/dpkg/status.d/"); ok && n.Kind == action.Regular && !strings.HasSuffix(name, ".md5sums") {
			files = append(files, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range files {
		b, err := c.read(p)
		if err != nil {
			return err
		}
		for r := debian.NewStanzaReader(bytes.NewReader(b), p, "Package", "Version", "Architecture", "Status"); ; {
			if err := r.Next(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return fmt.Errorf("reading dpkg's records in the image: %w", err)
			}
			if r.Has(3) && !strings.HasSuffix(r.String(3), " installed") {
				continue // removed, its settings kept
			}
			c.add("deb", "debian", r.String(0), r.String(1), r.String(2), "", "")
		}
	}
	return nil
}

// apk reads its database: paragraphs of lines that begin with a letter and a colon.
func (c *contents) apk() error {
	for _, p := range []string{"lib/apk/db/installed", "usr/lib/apk/db/installed"} {
		b, err := c.read(p)
		if err != nil {
			return err
		}
		for paragraph := range strings.SplitSeq(string(b), "\n\n") {
			has := map[string]string{}
			for line := range strings.Lines(paragraph) {
				if k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":"); ok {
					has[k] = v
				}
			}
			if has["P"] != "" {
				c.add("apk", "alpine", has["P"], has["V"], has["A"], "", has["L"])
			}
		}
	}
	return nil
}

// rpmFolders are where the database of rpm is: by rpm itself, in Fedora and SUSE, and in
// systems that are images themselves. Some are links to others.
var rpmFolders = []string{"var/lib/rpm/", "usr/lib/sysimage/rpm/", "usr/share/rpm/"}

// rpm reads the first database that there is.
func (c *contents) rpm() error {
	for _, folder := range rpmFolders {
		for _, name := range rpmdb.Files {
			db, err := c.read(folder + name)
			if err != nil {
				return err
			}
			if len(db) == 0 {
				continue
			}
			journal, err := c.read(folder + name + rpmdb.Journal)
			if err != nil {
				return err
			}
			list, err := rpmdb.Read(db, journal)
			if err != nil {
				return fmt.Errorf("reading /%s%s of the image: %w", folder, name, err)
			}
			for _, p := range list {
				c.addRPM(p)
			}
			return nil
		}
	}
	return nil
}

// addRPM adds a package; in its URL the epoch is no part of the version, which in rpm's
// own words it is.
func (c *contents) addRPM(p rpmdb.Package) {
	version, more := p.Version+"-"+p.Release, ""
	if p.Epoch != 0 {
		more = fmt.Sprintf("&epoch=%d", p.Epoch)
	}
	if p.Source != "" {
		more += "&upstream=" + reserved.Replace(p.Source)
	}
	c.add("rpm", "", p.Name, version, p.Arch, more, rpmLicence(p.Licence))
	if p.Epoch != 0 {
		c.parts[len(c.parts)-1].Version = fmt.Sprintf("%d:%s", p.Epoch, version)
	}
}

// reserved escapes what a package URL reserves.
var reserved = strings.NewReplacer("%", "%25", "+", "%2B", ":", "%3A", "/", "%2F", "@", "%40", "?", "%3F", "&", "%26", "#", "%23", " ", "%20")

// add adds a package; more are qualifiers of its URL.
func (c *contents) add(kind, vendor, name, version, arch, more, licence string) {
	if id := c.system["ID"]; id != "" {
		vendor = id
	}
	url := "pkg:" + kind + "/"
	if vendor != "" {
		url += reserved.Replace(vendor) + "/"
	}
	url += fmt.Sprintf("%s@%s?arch=%s", reserved.Replace(name), reserved.Replace(version), reserved.Replace(arch))
	url += more
	if distro := c.system["VERSION_CODENAME"]; distro != "" {
		url += "&distro=" + reserved.Replace(distro)
	} else if c.system["VERSION_ID"] != "" {
		url += "&distro=" + reserved.Replace(vendor+"-"+c.system["VERSION_ID"])
	}
	c.parts = append(c.parts, part{Kind: kind, Name: name, Version: version, PURL: url, Role: contained, In: c.in, Licence: action.Late(licence)})
}
