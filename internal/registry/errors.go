package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Error is what went wrong with a registry, and what the user can do.
type Error struct {
	Doing  string // as "uploading sha256:… to registry.lan/web"; "" if the caller says it
	Status int    // of HTTP; 0 if there was no answer
	Codes  []Code // that the registry gave
	Text   string // what the answer said otherwise
	Cause  error
	Hint   string

	after time.Duration // that the registry asks to wait
}

// Code is one error in an answer, as the distribution specification has them.
type Code struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
	Detail  any    `json:"detail,omitempty"`
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Doing != "" {
		b.WriteString(e.Doing + ": ")
	}
	switch {
	case e.Status != 0:
		fmt.Fprintf(&b, "got HTTP status %d %s", e.Status, http.StatusText(e.Status))
		for i, c := range e.Codes {
			sep := ": "
			if i > 0 {
				sep = "; "
			}
			b.WriteString(sep + c.Code)
			if c.Message != "" {
				b.WriteString(" (" + c.Message + ")")
			}
		}
		if len(e.Codes) == 0 && e.Text != "" {
			b.WriteString(": " + e.Text)
		}
	case e.Cause != nil:
		b.WriteString(e.Cause.Error())
	}
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Cause }

func (e *Error) has(code string) bool {
	for _, c := range e.Codes {
		if c.Code == code {
			return true
		}
	}
	return false
}

// IsNotFound reports whether err says that the registry doesn't have it.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// statusError makes an answer that is none that was wanted an error.
func (h *host) statusError(c call, resp *http.Response, body []byte) *Error {
	e := &Error{Status: resp.StatusCode, after: retryAfter(resp.Header.Get("Retry-After"))}
	var codes struct{ Errors []Code }
	if json.Unmarshal(body, &codes) == nil {
		e.Codes = codes.Errors
	}
	if text := strings.TrimSpace(string(body)); len(e.Codes) == 0 && !strings.HasPrefix(text, "<") {
		e.Text, _, _ = strings.Cut(text, "\n")
		if len(e.Text) > 200 {
			e.Text = e.Text[:200]
		}
	}
	server := h.reg.RegistryStr()
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		e.Hint = fmt.Sprintf("log in with `docker login %s` or `podman login %s`, as a user who may do this", server, server)
	case http.StatusRequestEntityTooLarge:
		e.Hint = fmt.Sprintf("a proxy before %s takes no body of %d bytes: raise its limit (nginx: client_max_body_size 0)", server, c.size)
	case http.StatusTooManyRequests:
		e.Hint = server + " asks for fewer requests: run it again later, or log in if it limits those who aren't"
	}
	if resp.StatusCode >= 500 {
		e.Hint = "the registry failed: run it again later; what is there is not sent again"
	}
	return e
}

// retryAfter reads the header, in seconds or as a date.
func retryAfter(s string) time.Duration {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}

// explain adds what to do about an error below HTTP.
func (h *host) explain(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	server := h.reg.RegistryStr()
	e = &Error{Cause: err}
	var unknown x509.UnknownAuthorityError
	var wrongName x509.HostnameError
	var dns *net.DNSError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown), errors.As(err, &wrongName):
		e.Hint = fmt.Sprintf("add the authority of %s to this machine's (or name its file in SSL_CERT_FILE), or say --insecure", server)
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		e.Hint = fmt.Sprintf("%s speaks plain HTTP: say --plain-http if that is right", server)
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Hint = fmt.Sprintf("nothing listens at %s: start the registry, or correct the name", server)
	case errors.As(err, &dns):
		e.Hint = fmt.Sprintf("correct the registry's name %s, or this machine's name service", server)
	case errors.Is(err, errStalled), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		e.Hint = "run it again: it goes on where it stopped"
	}
	return e
}

// transient reports whether another try makes sense.
func transient(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Status {
	case 0:
		var unknown x509.UnknownAuthorityError
		var wrongName x509.HostnameError
		var record tls.RecordHeaderError
		var dns *net.DNSError
		return !errors.As(err, &unknown) && !errors.As(err, &wrongName) && !errors.As(err, &record) &&
			!errors.Is(err, http.ErrSchemeMismatch) && !(errors.As(err, &dns) && dns.IsNotFound)
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return e.Status >= 500
}
