package disk

import (
	"context"
	"fmt"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/ptable"
)

// What a disk and its partitions are known by comes from what the script puts into
// them, before anything (an fstab, a command line) names it.

type identifyParams struct {
	Table string         `json:"table"`
	Parts []identifyPart `json:"parts"`
	Disk  string         `json:"disk,omitempty"` // if it is given
}

type identifyPart struct {
	Name  string `json:"name"`
	FS    string `json:"fs,omitempty"`
	Label string `json:"label,omitempty"`
	Size  int64  `json:"size,omitempty"`
	GUID  string `json:"guid,omitempty"` // if it is given
}

func (im *image) identify() error {
	p := identifyParams{Table: im.a.Table, Disk: im.a.UUID}
	spec := action.Spec{Op: identifyOp, Title: im.a.Name + " identifiers", Outputs: []action.Output{{Name: "disk", Kind: action.File}}}
	for i, part := range im.a.Partitions {
		p.Parts = append(p.Parts, identifyPart{Name: part.name, FS: part.fs, Label: part.label, Size: part.size, GUID: part.guid})
		if part.content != nil {
			spec.Inputs = append(spec.Inputs, action.Input{Name: fmt.Sprintf("p%d", i), Artifact: part.content.Artifact})
		}
		for _, o := range []string{"guid", "uuid"} {
			spec.Outputs = append(spec.Outputs, action.Output{Name: fmt.Sprintf("%s%d", o, i), Kind: action.File})
		}
	}
	for i, e := range im.entries {
		spec.Inputs = append(spec.Inputs, action.Input{Name: fmt.Sprintf("kernel%d", i), Artifact: e.kernel.Artifact})
		if e.initrd != nil {
			spec.Inputs = append(spec.Inputs, action.Input{Name: fmt.Sprintf("initrd%d", i), Artifact: e.initrd.Artifact})
		}
	}
	spec.Params = p
	var err error
	im.ids, err = im.c.Action(spec)
	return err
}

var identifyOp = &action.Op{Name: "disk/identify", Version: 1, Check: true, Run: runIdentify}

func runIdentify(_ context.Context, env action.Env) error {
	var p identifyParams
	if err := env.Params(&p); err != nil {
		return err
	}
	var digests []action.Digest
	for _, in := range env.Inputs() {
		digests = append(digests, in.Digest)
	}
	id := newIdentity("disk", p, digests...)
	disk := ptable.HashGUID(id[:])
	if p.Disk != "" {
		var err error
		if disk, err = ptable.ParseGUID(p.Disk); err != nil {
			return err
		}
	}
	if err := env.WriteFile("disk", []byte(disk.String())); err != nil {
		return err
	}
	for i, part := range p.Parts {
		sub := id.sub(fmt.Sprintf("partition %d", i))
		guid := ptable.HashGUID(sub[:]).String()
		switch {
		case p.Table == "mbr":
			guid = fmt.Sprintf("%08x-%02x", disk.MBR(), i+1)
		case part.GUID != "":
			guid = part.GUID
		}
		fs := sub.sub("file system")
		uuid := ptable.FormatUUID(fs.uuid())
		if part.FS == "vfat" {
			uuid = formatSerial(fs.serial())
		}
		if err := env.WriteFile(fmt.Sprintf("guid%d", i), []byte(guid)); err != nil {
			return err
		}
		if err := env.WriteFile(fmt.Sprintf("uuid%d", i), []byte(uuid)); err != nil {
			return err
		}
	}
	return nil
}
