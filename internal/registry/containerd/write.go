package containerd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/labstar/labstar/action"
)

// writing is a blob on its way.
type writing struct {
	d      v1.Descriptor
	labels map[string]string
	blob   action.Blob
	told   func(done int64)
}

// piece is how much goes in a message, in bytes; containerd takes 16 MiB.
const piece = 1 << 20

// write streams a blob, from where an earlier one was cut.
func (c *Client) write(ctx context.Context, lease string, w *writing) error {
	r, body := io.Pipe()
	defer func() { _ = r.Close() }() // never fails
	ref := "labstar-" + w.d.Digest.String()
	go func() { // the answer begins when containerd has read this
		if _, err := body.Write(frame(writeRequest(actStat, ref, w.d, 0, nil, nil))); err != nil {
			body.CloseWithError(err)
		}
	}()
	resp, err := c.call(ctx, "containerd.services.content.v1.Content/Write", lease, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	first, err := readFrame(resp.Body)
	if err != nil {
		return c.ended(resp.Trailer, err)
	}
	offset, err := writeOffset(first)
	if err != nil {
		return err
	}
	if offset > w.d.Size {
		return fmt.Errorf("containerd has %d bytes of it, want at most %d: remove what was begun with `ctr content abort`", offset, w.d.Size)
	}
	sent := make(chan error, 1)
	go func() { sent <- w.send(body, ref, offset) }()
	for {
		msg, err := readFrame(resp.Body)
		if err != nil {
			r.CloseWithError(errors.New("containerd has ended the transfer"))
			if e := c.ended(resp.Trailer, err); e != nil {
				return e
			}
			return <-sent
		}
		if n, err := writeOffset(msg); err == nil {
			w.told(n)
		}
	}
}

// ended tells how a call ended: nil if well.
func (c *Client) ended(trailer http.Header, err error) error {
	if st := statusOf(trailer); st != nil {
		return st
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return c.explain(err)
}

// send writes the messages: the content in pieces, and that it is whole.
func (w *writing) send(to *io.PipeWriter, ref string, offset int64) error {
	buf := make([]byte, piece)
	for offset < w.d.Size {
		n, err := w.blob.ReadAt(buf[:min(piece, w.d.Size-offset)], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			to.CloseWithError(err)
			return err
		}
		if _, err := to.Write(frame(writeRequest(actWrite, ref, w.d, offset, buf[:n], nil))); err != nil {
			return err
		}
		offset += int64(n)
	}
	if _, err := to.Write(frame(writeRequest(actCommit, ref, w.d, offset, nil, w.labels))); err != nil {
		return err
	}
	return to.Close()
}
