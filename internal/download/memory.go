package download

import (
	"bytes"
	"context"
)

// Bytes fetches a small file into memory: at most max bytes.
func Bytes(ctx context.Context, req Request, max int64) ([]byte, error) {
	var buf *memory
	req.MaxSize = max
	req.Create = func() (Sink, error) { buf = new(memory); return buf, nil }
	if err := Fetch(ctx, req); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

type memory struct{ bytes.Buffer }

func (*memory) Abort() {}
