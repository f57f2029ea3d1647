package disk

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/vdisk"
)

type convertParams struct {
	Format string `json:"format"`
}

// convert makes the format that the script asks for.
func (im *image) convert(raw *action.Artifact) (starlark.Value, error) {
	if im.a.Format == "raw" {
		return im.value(raw), nil
	}
	name := convertedName(im.a.Format)
	act, err := im.c.Action(action.Spec{
		Op: convertOp, Title: im.a.Name + " " + im.a.Format, Params: convertParams{im.a.Format},
		Inputs:  []action.Input{{Name: "raw", Artifact: raw}},
		Outputs: []action.Output{{Name: name, Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	return im.value(act.Output(name)), nil
}

// convertedName is the output's name, with what such files end in.
func convertedName(format string) string {
	if format == "qcow2" {
		return "disk.qcow2"
	}
	return "disk.vmdk"
}

var convertOp = &action.Op{Name: "disk/convert", Version: 1, Run: runConvert}

func runConvert(ctx context.Context, env action.Env) error {
	var p convertParams
	if err := env.Params(&p); err != nil {
		return err
	}
	d := env.Input("raw").Digest
	b, err := env.OpenBlob(ctx, d)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	id := binary.LittleEndian.Uint32(d.Hash[:])
	return writeImage(env, convertedName(p.Format), func(w io.Writer) error {
		switch p.Format {
		case "qcow2":
			return vdisk.QCOW2(w, b, d.Size)
		case "vmdk":
			return vdisk.VMDK(w, b, d.Size, id)
		case "vmdk-stream":
			return vdisk.StreamVMDK(w, b, d.Size, id)
		}
		return fmt.Errorf("got the format %q", p.Format)
	})
}
