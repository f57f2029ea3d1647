package disk

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/ptable"
)

type assembleParams struct {
	Layout layoutSpec     `json:"layout"`
	Table  string         `json:"table"`
	Disk   action.Late    `json:"disk"`
	Parts  []assemblePart `json:"parts"`
	Code   string         `json:"code,omitempty"` // path of what a BIOS runs, in the input "code"
	Core   *corePlace     `json:"core,omitempty"` // of GRUB's second part
}

type assemblePart struct {
	Type   string      `json:"type"`
	MBR    byte        `json:"mbr"`
	GUID   action.Late `json:"guid"`
	Attrs  uint64      `json:"attrs,omitempty"`
	Active bool        `json:"active,omitempty"`
	Hybrid bool        `json:"hybrid,omitempty"`
}

// assemble makes the disk of its partitions.
func (im *image) assemble() (starlark.Value, error) {
	p := assembleParams{Layout: im.layoutSpec(), Table: im.a.Table, Disk: action.Late(im.token("disk"))}
	spec := action.Spec{Op: assembleOp, Title: im.a.Name, Outputs: []action.Output{{Name: "disk.img", Kind: action.File}}}
	bios := im.bios() != ""
	for i, part := range im.a.Partitions {
		if im.files[i] != nil {
			spec.Inputs = append(spec.Inputs, action.Input{Name: p.Layout.Parts[i].Input, Artifact: im.files[i].Artifact})
		}
		ap := assemblePart{Type: part.kind.guid.String(), MBR: part.kind.mbr, Active: part.active, GUID: action.Late(im.partUUID(i))}
		if boots := bios && i == im.esp; boots || part.active {
			ap.Attrs, ap.Active, ap.Hybrid = ptable.LegacyBoot, true, im.a.Table == "hybrid"
		}
		if im.a.Table == "hybrid" && i == im.esp {
			ap.Hybrid = true
		}
		p.Parts = append(p.Parts, ap)
	}
	if bios {
		p.Code = im.mbrCode()
		spec.Inputs = append(spec.Inputs, action.Input{Name: "code", Artifact: im.a.Toolchain.Artifact})
	}
	if im.has("grub") {
		p.Core = &corePlace{Input: "core"}
		if im.core >= 0 {
			p.Core.Input = p.Layout.Parts[im.core].Input
		} else {
			core, err := im.grubCore()
			if err != nil {
				return nil, err
			}
			spec.Inputs = append(spec.Inputs, action.Input{Name: "core", Artifact: core.Artifact})
		}
	}
	spec.Params = p
	act, err := im.c.Action(spec)
	if err != nil {
		return nil, err
	}
	return im.convert(act.Output("disk.img"))
}

var assembleOp = &action.Op{Name: "disk/assemble", Version: 1, Run: runAssemble}

func runAssemble(ctx context.Context, env action.Env) error {
	var p assembleParams
	if err := env.Params(&p); err != nil {
		return err
	}
	where, err := p.Layout.layout(p.Layout.sizesOf(env))
	if err != nil {
		return explainLayout(err)
	}
	t, err := p.table(where)
	if err != nil {
		return err
	}
	if p.Code != "" {
		if t.Code, err = readInTree(ctx, env, env.Input("code").Digest, p.Code); err != nil {
			return err
		}
		if p.Core != nil {
			t.Code, err = grubBoot(t.Code, p.coreStart(where))
		}
		if err != nil {
			return err
		}
		if len(t.Code) > 440 {
			return fmt.Errorf("reading %s of the toolchain: got %d bytes, want at most 440", p.Code, len(t.Code))
		}
	}
	head, tail := t.MBR(), []byte(nil)
	if p.Table != "mbr" {
		head, tail = t.GPT()
	}
	return writeImage(env, "disk.img", func(w io.Writer) error {
		return p.write(ctx, env, where, head, tail, w)
	})
}

func (p *assembleParams) table(where *placed) (*ptable.Table, error) {
	id, err := ptable.ParseGUID(string(p.Disk))
	if err != nil {
		return nil, err
	}
	t := &ptable.Table{ID: id, Sectors: uint64(where.total / ptable.Sector)}
	for i, part := range p.Parts {
		typ, err := ptable.ParseGUID(part.Type)
		if err != nil {
			return nil, err
		}
		var guid ptable.GUID
		if p.Table != "mbr" {
			if guid, err = ptable.ParseGUID(string(part.GUID)); err != nil {
				return nil, err
			}
		}
		sp := where.spans[i]
		t.Parts = append(t.Parts, ptable.Partition{
			Type: typ, ID: guid, Name: p.Layout.Parts[i].Name, Attrs: part.Attrs,
			First: uint64(sp.start / ptable.Sector), Last: uint64((sp.start+sp.size)/ptable.Sector) - 1,
			MBRType: part.MBR, Active: part.Active, Hybrid: part.Hybrid,
		})
	}
	return t, nil
}

func (p *assembleParams) write(ctx context.Context, env action.Env, where *placed, head, tail []byte, w io.Writer) error {
	if _, err := w.Write(head); err != nil {
		return err
	}
	at := int64(len(head))
	if p.Core != nil && p.Core.Input == "core" {
		core, err := p.core(ctx, env, where)
		if err != nil {
			return err
		}
		if _, err := w.Write(core); err != nil {
			return err
		}
		at += int64(len(core))
	}
	for i, part := range p.Layout.Parts {
		sp := where.spans[i]
		if part.Input == "" {
			continue
		}
		if err := writeZeros(w, sp.start-at); err != nil {
			return err
		}
		d := env.Input(part.Input).Digest
		if p.Core != nil && p.Core.Input == part.Input {
			core, err := p.core(ctx, env, where)
			if err != nil {
				return err
			}
			if _, err := w.Write(core); err != nil {
				return err
			}
		} else if err := copyBlob(ctx, env, w, d); err != nil {
			return err
		}
		at = sp.start + d.Size
		env.Progress(at, where.total)
	}
	if err := writeZeros(w, where.total-int64(len(tail))-at); err != nil {
		return err
	}
	_, err := w.Write(tail)
	return err
}

// buffers are what blobs are copied through: a tree has thousands.
var buffers = sync.Pool{New: func() any { return new([len(zeros)]byte) }}

func copyBlob(ctx context.Context, content action.Content, w io.Writer, d action.Digest) error {
	b, err := content.OpenBlob(ctx, d)
	if err != nil {
		return err
	}
	buf := buffers.Get().(*[len(zeros)]byte)
	defer buffers.Put(buf)
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{b}, buf[:])
	if cerr := b.Close(); err == nil {
		err = cerr
	}
	return err
}

// readInTree reads a small file of a tree, through its symlinks.
func readInTree(ctx context.Context, env action.Env, root action.Digest, path string) ([]byte, error) {
	n, _, err := action.NewEdit(env, root).Resolve(ctx, path)
	if err != nil || n.Kind != action.Regular {
		more := ""
		if strings.HasPrefix(path, grubPC) {
			more = `["grub-common", "grub-pc-bin"]`
		}
		return nil, fmt.Errorf("the toolchain has no %q; use disk_tools(%s) of @stdlib//toolchains.star: %w", "/"+path, more, err)
	}
	return readBlob(ctx, env, n.Digest)
}

func readBlob(ctx context.Context, env action.Env, d action.Digest) ([]byte, error) {
	b, err := env.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Close() }()
	return io.ReadAll(b)
}
