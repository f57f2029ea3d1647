package registrytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Tokens starts a registry that wants Bearer tokens before the one at target,
// with its token server at another port. A token is good for the requests that
// its scopes allow, and for so many of them; then it has expired.
type Tokens struct {
	URL      string
	mu       sync.Mutex
	left     map[string]int
	scopes   map[string][]string
	given    int
	Requests int // that a token is good for; set before use
}

// NewTokens wants the user and password where tokens are given, if user is not "".
func NewTokens(t testing.TB, target, user, password string, requests int) *Tokens {
	t.Helper()
	k := &Tokens{left: map[string]int{}, scopes: map[string][]string{}, Requests: requests}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); user != "" && (u != user || p != password) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.given++
		token := fmt.Sprintf("token-%d", k.given)
		k.left[token], k.scopes[token] = k.Requests, r.URL.Query()["scope"]
		_ = json.NewEncoder(w).Encode(map[string]any{"token": token})
	}))
	t.Cleanup(server.Close)
	p := NewProxy(t, target)
	p.Rule(func(r *http.Request) *Fault {
		k.mu.Lock()
		defer k.mu.Unlock()
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if ok && k.left[token] > 0 && allowed(r, k.scopes[token]) {
			k.left[token]--
			return nil
		}
		return &Fault{Status: http.StatusUnauthorized, Header: http.Header{
			"Www-Authenticate": {fmt.Sprintf(`Bearer realm=%q,service="test"`, server.URL+"/token")}}}
	})
	k.URL = p.URL
	return k
}

// Given is how many tokens were given.
func (k *Tokens) Given() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.given
}

// allowed holds a request against scopes like repository:a/b:pull,push.
func allowed(r *http.Request, scopes []string) bool {
	rest := strings.TrimPrefix(r.URL.Path, "/v2/")
	want := "pull"
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		want = "push"
	}
	for _, s := range scopes {
		name, access, _ := strings.Cut(strings.TrimPrefix(s, "repository:"), ":")
		if strings.HasPrefix(rest, name+"/") && slices.Contains(strings.Split(access, ","), want) {
			return true
		}
	}
	return false
}

// Redirecting starts a registry that redirects the reading of blobs to a server
// at another address, as those on S3 do; it reports the headers that came there.
func Redirecting(t testing.TB, target string) (proxy *Proxy, there func() []http.Header) {
	t.Helper()
	var mu sync.Mutex
	var headers []http.Header
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		headers = append(headers, r.Header.Clone())
		mu.Unlock()
		(&Proxy{target: u, client: &http.Transport{}}).pass(w, r, &Fault{}, &Seen{})
	}))
	t.Cleanup(other.Close)
	proxy = NewProxy(t, target)
	proxy.Rule(func(r *http.Request) *Fault {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:") {
			return &Fault{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {other.URL + r.URL.RequestURI()}}}
		}
		return nil
	})
	return proxy, func() []http.Header {
		mu.Lock()
		defer mu.Unlock()
		return headers
	}
}
