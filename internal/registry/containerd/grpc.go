package containerd

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// The codes of gRPC that matter here.
const (
	notFound      = 5
	alreadyExists = 6
)

// status is an answer of gRPC that is an error.
type status struct {
	code int
	msg  string
}

func (s *status) Error() string {
	return fmt.Sprintf("containerd answered: %s (code %d)", s.msg, s.code)
}

func isCode(err error, code int) bool {
	var s *status
	return errors.As(err, &s) && s.code == code
}

// frame is a message as it goes over the wire: no compression, its length.
func frame(msg []byte) []byte {
	b := make([]byte, 5, 5+len(msg))
	binary.BigEndian.PutUint32(b[1:], uint32(len(msg)))
	return append(b, msg...)
}

// readFrame reads one message; io.EOF is the end of the answer.
func readFrame(r io.Reader) ([]byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if head[0] != 0 || n > 16<<20 {
		return nil, fmt.Errorf("got a malformed message of %d bytes", n)
	}
	msg := make([]byte, n)
	_, err := io.ReadFull(r, msg)
	return msg, err
}

// call begins a call; the body is what is sent.
func (c *Client) call(ctx context.Context, method, lease string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://containerd/"+method, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	req.Header.Set("Containerd-Namespace", c.namespace)
	if lease != "" {
		req.Header.Set("Containerd-Lease", lease)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, c.explain(err)
	}
	if err := statusOf(resp.Header); err != nil { // it failed at once
		resp.Body.Close()
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fmt.Errorf("what answers at %s is no containerd: got HTTP status %s", c.address, resp.Status)
	}
	return resp, nil
}

// statusOf reads how a call ended.
func statusOf(h http.Header) error {
	s := h.Get("Grpc-Status")
	if s == "" || s == "0" {
		return nil
	}
	code, err := strconv.Atoi(s)
	if err != nil {
		return fmt.Errorf("got the status %q", s)
	}
	msg, err := url.PathUnescape(h.Get("Grpc-Message"))
	if err != nil {
		msg = h.Get("Grpc-Message")
	}
	return &status{code, msg}
}

// unary makes a call of one message and one answer.
func (c *Client) unary(ctx context.Context, method, lease string, msg []byte) ([]byte, error) {
	resp, err := c.call(ctx, method, lease, bytes.NewReader(frame(msg)))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := readFrame(resp.Body)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body) // the trailers come after it
	}
	if st := statusOf(resp.Trailer); st != nil {
		return nil, st
	}
	if err != nil {
		return nil, c.explain(err)
	}
	return answer, nil
}
