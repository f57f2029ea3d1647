package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// auth is the transport that proves who asks: it sends a request as it is until
// the registry answers 401, and from then on as the registry's challenge said, by
// Basic, or by a Bearer token for what the request is about. A token that
// has expired is asked for anew and the request made once more. Nothing is
// ever told to another host than the registry: what a redirect leads to gets no
// Authorization.
//
// go-containerregistry's own transport is not used since it can't send a body
// again after a 401, and refuses token servers at private addresses, which are
// what a lab has.
type auth struct {
	host *host
	next http.RoundTripper

	mu     sync.Mutex
	c      *challenge // of the last 401; nil is none so far
	creds  *authn.AuthConfig
	tokens map[string]token // by the scopes
}

type token struct {
	value string
	until time.Time // zero if it wasn't told
}

type scopesKey struct{}

func withScopes(ctx context.Context, scopes []string) context.Context {
	return context.WithValue(ctx, scopesKey{}, scopes)
}

// RoundTrip implements http.RoundTripper.
func (a *auth) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != a.host.reg.RegistryStr() {
		return a.next.RoundTrip(req)
	}
	used, err := a.authorization(req.Context(), "")
	if err != nil {
		return nil, closing(req, err)
	}
	resp, err := a.next.RoundTrip(with(req, used))
	// Others may use a token up while this request is on its way.
	for range 3 {
		if err != nil || resp.StatusCode != http.StatusUnauthorized || !a.challenged(resp) {
			return resp, err
		}
		fresh, err := a.authorization(req.Context(), used)
		if err != nil {
			resp.Body.Close()
			return nil, err
		}
		if fresh == "" || fresh == used {
			return resp, nil // that was all we have
		}
		again, err := anew(req, fresh)
		if err != nil {
			return resp, nil //nolint:nilerr // the 401 tells more
		}
		resp.Body.Close()
		used = fresh
		if resp, err = a.next.RoundTrip(again); err != nil {
			return nil, err
		}
	}
	return resp, err
}

// challenged notes what a 401 asks for, and reports whether we can answer.
func (a *auth) challenged(resp *http.Response) bool {
	c := parseChallenges(resp.Header.Values("WWW-Authenticate"))
	if c == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.c = c
	return true
}

// anew is the request again, with its body from the start.
func anew(req *http.Request, authorization string) (*http.Request, error) {
	r := with(req, authorization)
	if req.Body == nil || req.Body == http.NoBody {
		return r, nil
	}
	if req.GetBody == nil {
		return nil, errors.New("the body can't be sent again")
	}
	var err error
	r.Body, err = req.GetBody()
	return r, err
}

// closing closes the body of a request that isn't made, as a transport has to.
func closing(req *http.Request, err error) error {
	if req.Body != nil {
		req.Body.Close()
	}
	return err
}

func with(req *http.Request, authorization string) *http.Request {
	r := req.Clone(req.Context())
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return r
}

// authorization is the header for a request, "" for none; refused is one that
// the registry takes no more.
func (a *auth) authorization(ctx context.Context, refused string) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock() // one asks for a token, the others take it
	if a.c == nil {
		return "", nil
	}
	creds, err := a.credentials(ctx)
	if err != nil {
		return "", err
	}
	if a.c.scheme == "basic" {
		return basic(creds), nil
	}
	if creds.RegistryToken != "" {
		return "Bearer " + creds.RegistryToken, nil
	}
	scopes, _ := ctx.Value(scopesKey{}).([]string)
	if s := a.c.params["scope"]; s != "" && len(scopes) == 0 {
		scopes = []string{s}
	}
	key := strings.Join(scopes, " ")
	if t, ok := a.tokens[key]; ok && "Bearer "+t.value != refused && (t.until.IsZero() || time.Now().Before(t.until)) {
		return "Bearer " + t.value, nil
	}
	t, err := a.ask(ctx, creds, scopes)
	if err != nil {
		return "", err
	}
	if a.tokens == nil {
		a.tokens = map[string]token{}
	}
	a.tokens[key] = t
	return "Bearer " + t.value, nil
}

// credentials are the user's for this registry, looked up once.
func (a *auth) credentials(ctx context.Context) (*authn.AuthConfig, error) {
	if a.creds != nil {
		return a.creds, nil
	}
	found, err := authn.Resolve(ctx, a.host.client.opts.Keychain, a.host.reg)
	if err != nil {
		return nil, fmt.Errorf("reading the credentials for %s: %w", a.host.reg.RegistryStr(), err)
	}
	if a.creds, err = authn.Authorization(ctx, found); err != nil {
		return nil, fmt.Errorf("reading the credentials for %s: %w", a.host.reg.RegistryStr(), err)
	}
	return a.creds, nil
}

func basic(c *authn.AuthConfig) string {
	switch {
	case c.Username != "" && c.Password != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
	case c.Auth != "":
		return "Basic " + c.Auth
	}
	return ""
}

// ask gets a token from the server that the challenge names.
func (a *auth) ask(ctx context.Context, creds *authn.AuthConfig, scopes []string) (token, error) {
	realm, err := url.Parse(a.c.params["realm"])
	if err != nil || realm.Host == "" {
		return token{}, fmt.Errorf("malformed challenge: got the realm %q", a.c.params["realm"])
	}
	if realm.Scheme != "https" && (realm.Scheme != "http" || a.host.scheme != "http") {
		return token{}, fmt.Errorf("refusing to ask %s for a token: it is not by https", realm.Redacted())
	}
	q := url.Values{"scope": scopes}
	if s := a.c.params["service"]; s != "" {
		q.Set("service", s)
	}
	var req *http.Request
	if creds.IdentityToken != "" {
		q.Set("scope", strings.Join(scopes, " "))
		q.Set("grant_type", "refresh_token")
		q.Set("refresh_token", creds.IdentityToken)
		q.Set("client_id", userAgent)
		req, err = http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(q.Encode()))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	} else {
		for k, v := range realm.Query() {
			q[k] = append(q[k], v...)
		}
		realm.RawQuery = q.Encode()
		req, err = http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
		if b := basic(creds); err == nil && b != "" {
			req.Header.Set("Authorization", b)
		}
	}
	if err != nil {
		return token{}, err
	}
	client := &http.Client{Transport: a.next, CheckRedirect: checkRedirect, Timeout: a.host.client.opts.Policy.Stall}
	resp, err := client.Do(req)
	if err != nil {
		return token{}, fmt.Errorf("asking %s for a token: %w", realm.Host, bare(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256<<10))
	if err != nil {
		return token{}, fmt.Errorf("asking %s for a token: %w", realm.Host, err)
	}
	if resp.StatusCode != http.StatusOK {
		e := a.host.statusError(call{}, resp, body)
		e.Doing = fmt.Sprintf("asking %s for a token", realm.Host)
		return token{}, e
	}
	return readToken(realm.Host, body)
}

func readToken(from string, body []byte) (token, error) {
	var t struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"` // seconds; 60 if it isn't told
	}
	if err := json.Unmarshal(body, &t); err != nil {
		return token{}, fmt.Errorf("reading the token of %s: %w", from, err)
	}
	if t.Token == "" {
		t.Token = t.AccessToken
	}
	if t.Token == "" {
		return token{}, fmt.Errorf("%s gave no token", from)
	}
	out := token{value: t.Token}
	if t.ExpiresIn > 0 {
		// Ahead of time, so that no large body is sent in vain.
		out.until = time.Now().Add(time.Duration(t.ExpiresIn) * time.Second * 4 / 5)
	}
	return out, nil
}

// challenge is what a 401 asks for.
type challenge struct {
	scheme string // basic or bearer
	params map[string]string
}

// parseChallenges returns the first challenge that we can answer, nil if there
// is none.
func parseChallenges(headers []string) *challenge {
	for _, h := range headers {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(h), " ")
		scheme = strings.ToLower(scheme)
		if !slices.Contains([]string{"basic", "bearer"}, scheme) {
			continue
		}
		if params, err := parseParams(rest); err == nil {
			return &challenge{scheme, params}
		}
	}
	return nil
}

// parseParams reads realm="https://…",service="x", values quoted or not.
func parseParams(s string) (map[string]string, error) {
	params := map[string]string{}
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return params, nil
		}
		k, rest, ok := strings.Cut(s, "=")
		if !ok {
			return nil, errors.New("malformed challenge")
		}
		rest = strings.TrimLeft(rest, " \t")
		var v strings.Builder
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			i := 0
			for ; i < len(quoted) && quoted[i] != '"'; i++ {
				if quoted[i] == '\\' && i+1 < len(quoted) {
					i++
				}
				v.WriteByte(quoted[i])
			}
			if i == len(quoted) {
				return nil, errors.New("malformed challenge")
			}
			rest = quoted[i+1:]
		} else {
			value, after, _ := strings.Cut(rest, ",")
			v.WriteString(strings.TrimSpace(value))
			rest = after
		}
		params[strings.ToLower(strings.TrimSpace(k))] = v.String()
		s = rest
	}
}
