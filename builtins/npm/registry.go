package npm

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/labstar/labstar/internal/download"
)

// plain is shared, so that connections are used again.
var plain = sync.OnceValue(download.NewClient)

// client is one that shows the user's credentials to the registries they are for.
func client(setting func(string) string) *http.Client {
	c := *plain()
	c.Transport = authorizing{c.Transport, setting}
	return &c
}

// authorizing adds what .npmrc has for an address, also after a redirect.
type authorizing struct {
	next    http.RoundTripper
	setting func(string) string
}

func (a authorizing) RoundTrip(r *http.Request) (*http.Response, error) {
	if h := authorization(r.URL, a.setting); h != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", h)
	}
	return a.next.RoundTrip(r)
}

// authorization looks for the settings "//HOST/PATH/:_authToken" and its like, the
// longest path first.
func authorization(u *url.URL, setting func(string) string) string {
	for at := "//" + u.Host + u.Path; len(at) > 2; {
		i := strings.LastIndexByte(at, '/')
		if i < 2 {
			break
		}
		at = at[:i]
		get := func(key string) string { return setting("npmrc." + at + "/:" + key) }
		if t := get("_authToken"); t != "" {
			return "Bearer " + t
		}
		if t := get("_auth"); t != "" {
			return "Basic " + t
		}
		if user := get("username"); user != "" {
			password, err := base64.StdEncoding.DecodeString(get("_password"))
			if err == nil {
				return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+string(password)))
			}
		}
	}
	return ""
}
