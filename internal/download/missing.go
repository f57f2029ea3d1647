package download

import (
	"context"
	"net/http"
	"time"
)

// Missing reports whether every one of the addresses says that it doesn't have
// the file, asking for no content. A server that can't be reached may have it.
func Missing(ctx context.Context, client *http.Client, urls []string) bool {
	if client == nil {
		client = NewClient()
	}
	ctx, cancel := context.WithTimeout(ctx, DefaultPolicy.Stall)
	defer cancel()
	for _, u := range urls {
		if !missing(ctx, client, u) {
			return false
		}
	}
	return len(urls) > 0
}

func missing(ctx context.Context, client *http.Client, address string) bool {
	for range 2 { // a mirror that is being updated may be wrong once
		req, err := newRequest(ctx, http.MethodHead, address)
		if err != nil {
			return false
		}
		resp, err := client.Do(req)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusGone {
			return false
		}
		if sleep(ctx, 100*time.Millisecond) != nil {
			return false
		}
	}
	return true
}

// newRequest asks for the bytes as they were pinned.
func newRequest(ctx context.Context, method, address string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "labstar (+https://github.com/labstar/labstar)")
	return req, nil
}
