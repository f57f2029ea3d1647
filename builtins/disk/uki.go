package disk

import (
	"github.com/labstar/labstar/action"
)

func (im *image) uki() (*action.Artifact, error) {
	return nil, im.c.ArgErrorf("loader", "uki")
}
