package toolchain

import (
	"crypto/md5" //nolint:gosec // dpkg's own records are of it
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/labstar/labstar/action"
)

// records writes what dpkg keeps of installed packages: a paragraph for each in
// status, and below info the list of its files and their MD5 sums.
type records struct {
	*merge
	perPackage bool // status.d/NAME instead of status
	status     strings.Builder
}

const dpkgFolder = "var/lib/dpkg/"

func (r *records) write() error {
	trees := map[string]action.Digest{}
	for _, in := range r.env.Inputs() {
		if in.Kind == action.Tree {
			trees[in.Name] = in.Digest
		}
	}
	for _, in := range r.env.Inputs() {
		name, ok := strings.CutPrefix(in.Name, infoInput)
		if !ok {
			continue
		}
		info, err := r.info(in)
		if err != nil {
			return err
		}
		if err := r.add(name, info, trees[name]); err != nil {
			return fmt.Errorf("recording package %s: %w", name, err)
		}
	}
	if r.perPackage {
		return nil
	}
	// dpkg wants this one too, though it may be empty.
	return firstOf(r.put(dpkgFolder+"available", nil), r.put(dpkgFolder+"status", []byte(r.status.String())))
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *records) add(name string, info packageInfo, root action.Digest) error {
	files := map[string]action.Node{}
	list := "/.\n"
	err := action.NewEdit(r.env, root).Walk(r.ctx, func(p string, n action.Node) error {
		if p != "" {
			list += "/" + p + "\n"
			files[p] = n
		}
		return nil
	})
	if err != nil {
		return err
	}
	paragraph, err := r.paragraph(info, files)
	if err != nil {
		return err
	}
	sums := presentSums(info.MD5Sums, files)
	if r.perPackage {
		return firstOf(r.put(dpkgFolder+"status.d/"+name, []byte(paragraph)), r.put(dpkgFolder+"status.d/"+name+".md5sums", []byte(sums)))
	}
	r.status.WriteString(paragraph + "\n")
	base := dpkgFolder + "info/" + name
	if controlField(info.Control, "Multi-Arch") == "same" {
		base += ":" + controlField(info.Control, "Architecture")
	}
	if err := firstOf(r.put(base+".list", []byte(list)), r.put(base+".md5sums", []byte(sums))); err != nil || info.Conffiles == "" {
		return err
	}
	return r.put(base+".conffiles", []byte(info.Conffiles))
}

// paragraph is the package's control file with what dpkg adds to it.
func (r *records) paragraph(info packageInfo, files map[string]action.Node) (string, error) {
	head, rest, _ := strings.Cut(strings.TrimRight(info.Control, "\n"), "\n")
	text := head + "\nStatus: install ok installed\n" + rest + "\n"
	conffiles := ""
	for line := range strings.Lines(info.Conffiles) {
		f := strings.Fields(line)
		if len(f) == 0 { // "remove-on-upgrade FILE" has two
			continue
		}
		n, ok := files[strings.TrimPrefix(f[len(f)-1], "/")]
		if !ok || n.Kind != action.Regular {
			continue
		}
		b, err := r.content(n.Digest)
		if err != nil {
			return "", err
		}
		sum := md5.Sum(b) //nolint:gosec // see above
		conffiles += "\n " + f[len(f)-1] + " " + hex.EncodeToString(sum[:])
	}
	if conffiles != "" {
		text += "Conffiles:" + conffiles + "\n"
	}
	return text, nil
}

// presentSums drops the lines of files that were left out, and tells the others
// where they are with /usr merged.
func presentSums(sums string, files map[string]action.Node) string {
	var b strings.Builder
	for line := range strings.Lines(sums) {
		sum, p, ok := strings.Cut(strings.TrimRight(line, "\n"), "  ")
		if !ok {
			continue
		}
		if _, there := files[p]; !there {
			p = "usr/" + p
		}
		if _, there := files[p]; there {
			b.WriteString(sum + "  " + p + "\n")
		}
	}
	return b.String()
}

// controlField returns a field of one line.
func controlField(control, name string) string {
	for line := range strings.Lines(control) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
