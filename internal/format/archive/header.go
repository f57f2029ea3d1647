package archive

import (
	"archive/tar"
	"time"

	"github.com/labstar/labstar/action"
)

var tarTypes = map[action.Kind]byte{
	action.Regular: tar.TypeReg, action.Dir: tar.TypeDir, action.Symlink: tar.TypeSymlink,
	action.Char: tar.TypeChar, action.Block: tar.TypeBlock, action.Fifo: tar.TypeFifo,
}

// TarHeader is the entry of a node in a tar that is written: PAX, whose records are there
// only where the plain header can't hold a value. Its time is that of all trees.
func TarHeader(name string, n action.Node) *tar.Header {
	h := &tar.Header{
		Typeflag: tarTypes[n.Kind], Name: name, Linkname: n.Target, Mode: int64(n.Attr.Mode),
		Uid: int(n.Attr.UID), Gid: int(n.Attr.GID), ModTime: time.Unix(action.SourceDateEpoch, 0).UTC(), Format: tar.FormatPAX,
		Devmajor: int64(n.Major), Devminor: int64(n.Minor),
	}
	switch n.Kind {
	case action.Dir:
		h.Name += "/"
	case action.Regular:
		h.Size = n.Digest.Size
	}
	for _, x := range n.Attr.Xattrs {
		if h.PAXRecords == nil {
			h.PAXRecords = map[string]string{}
		}
		h.PAXRecords[xattrPrefix+x.Name] = string(x.Value)
	}
	return h
}
