//go:build linux

package compile

import (
	"fmt"
	"strings"
	"time"

	"github.com/labstar/labstar/action"
	"golang.org/x/sys/unix"
)

// maxHashed is the size in bytes of the largest written file that a compilation may read.
const maxHashed = 256 << 20

// content returns the digest of the file at a place, and when it last changed
// (zero for what is immutable).
func (v *view) content(p place) (d action.Digest, changed time.Time, err error) {
	if p.kind != action.Regular {
		return d, changed, fmt.Errorf("%s is no regular file", p.path)
	}
	if p.area != written {
		return p.digest, changed, nil
	}
	if h, ok := v.read[p.path]; ok {
		return h.digest, h.changed, nil
	}
	f, rel := v.hostOf(p)
	st, ok := v.stats[p.path] // of when it was found
	if !ok {
		return d, changed, fmt.Errorf("%s was found by another request", p.path)
	}
	id, stable := stateOf(&st)
	changed = time.Unix(max(st.Ctim.Sec, st.Mtim.Sec), 0)
	if c := time.Unix(st.Ctim.Unix()); c.After(changed) {
		changed = c
	}
	h, known := v.files[p.path]
	if !known || h.id != id || !h.stable {
		b, err := v.readWritten(f, rel)
		if err != nil {
			return d, changed, err
		}
		h = hashed{id: id, stable: stable, digest: action.Of(b)}
	}
	h.changed = changed
	v.files[p.path], v.read[p.path] = h, h
	return h.digest, changed, nil
}

// hostOf returns where a file that the build wrote is on the host.
func (v *view) hostOf(p place) (f int, rel string) {
	if rel, ok := strings.CutPrefix(p.path, "/tmp/"); ok {
		return v.tmp, rel
	}
	return v.build, strings.TrimPrefix(p.path, action.BuildDir+"/")
}

// readWritten reads a file that the build wrote.
func (v *view) readWritten(f int, rel string) ([]byte, error) {
	fd, err := openBelow(f, rel, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > maxHashed {
		return nil, fmt.Errorf("reading %s: no regular file of at most %d bytes", rel, maxHashed)
	}
	b := make([]byte, st.Size+1)
	n := 0
	for {
		k, err := unix.Read(fd, b[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n += k; k == 0 || n == len(b) {
			return b[:min(n, int(st.Size))], nil
		}
	}
}

// text reads the file at a place, whose content has the digest d.
func (v *view) text(p place, d action.Digest) ([]byte, error) {
	if p.area != written {
		return readBlob(v.ctx, v.st, d)
	}
	b, err := v.readWritten(v.hostOf(p))
	if err == nil && action.Of(b) != d {
		err = fmt.Errorf("%s changes", p.path)
	}
	return b, err
}
