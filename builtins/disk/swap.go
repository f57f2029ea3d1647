package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"io"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/ptable"
	"github.com/labstar/labstar/starlark/schema"
)

type swapArgs struct {
	Size  starlark.Value `star:"size" doc:"bytes, as an int or as in \"64M\""`
	Label string         `star:"label,keyword" default:"\"\"" doc:"name, at most 15 bytes"`
	UUID  action.Late    `star:"uuid,keyword" default:"\"\"" doc:"identifier; by default one that comes from the other arguments"`
	Name  string         `star:"name,keyword" default:"\"swap\"" doc:"what messages call it"`
}

// Swap is the builtin `swap`.
var Swap = schema.New("swap", `swap makes swap space, as mkswap does.

	disk = disk_image([…, partition(swap("128M"))])`, callSwap,
	schema.Returns("a filesystem (file) with the attributes uuid, label and fs (strings)"))

type swapParams struct {
	Size  action.Late `json:"size"`
	Label string      `json:"label,omitempty"`
	UUID  action.Late `json:"uuid,omitempty"`
}

func callSwap(c *schema.Call, a *swapArgs) (starlark.Value, error) {
	size, errSize := fsSize(c, a.Size)
	var errRest error
	switch {
	case size == "" && errSize == nil:
		errRest = c.ArgErrorf("size", "got \"fit\", want a size: nothing is there that it could fit")
	case len(a.Label) > 15:
		errRest = c.ArgErrorf("label", "got %d bytes, want at most 15", len(a.Label))
	case given(a.UUID):
		if _, err := parseUUID(string(a.UUID)); err != nil {
			errRest = c.ArgErrorf("uuid", "%w", err)
		}
	}
	if err := errors.Join(errSize, errRest); err != nil {
		return nil, err
	}
	return newFilesystem(c, swapOp, a.Name, "swap", a.Label, a.UUID, nil, swapParams{Size: size, Label: a.Label, UUID: a.UUID})
}

var swapOp = &action.Op{Name: "disk/swap", Version: 1, Run: runSwap}

// swapPage is the size of a page on every machine that we make disks for.
const swapPage = 4096

func runSwap(_ context.Context, env action.Env) error {
	var p swapParams
	if err := env.Params(&p); err != nil {
		return err
	}
	size, err := lateBytes(p.Size)
	if err != nil {
		return err
	}
	uuid := newIdentity("swap", p).uuid()
	if p.UUID != "" {
		if uuid, err = parseUUID(string(p.UUID)); err != nil {
			return err
		}
	}
	pages := size / swapPage
	if pages < 10 {
		return errors.New("making swap space: got fewer than 10 pages of 4 KiB, the smallest that Linux takes; raise size")
	}
	head := swapHeader(uint32(pages-1), uuid, p.Label)
	err = writeImage(env, "swap", func(w io.Writer) error {
		if _, err := w.Write(head); err != nil {
			return err
		}
		return writeZeros(w, size-swapPage)
	})
	if err != nil {
		return err
	}
	return env.WriteFile("uuid", []byte(ptable.FormatUUID(uuid)))
}

// swapHeader is the first page: see union swap_header in the kernel's
// include/linux/swap.h.
func swapHeader(lastPage uint32, uuid [16]byte, label string) []byte {
	b := make([]byte, swapPage)
	binary.LittleEndian.PutUint32(b[1024:], 1)
	binary.LittleEndian.PutUint32(b[1028:], lastPage)
	copy(b[1036:], uuid[:])
	copy(b[1052:1067], label)
	copy(b[swapPage-10:], "SWAPSPACE2")
	return b
}

var zeros [256 << 10]byte

func writeZeros(w io.Writer, n int64) error {
	for n > 0 {
		m, err := w.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return err
		}
		n -= int64(m)
	}
	return nil
}
