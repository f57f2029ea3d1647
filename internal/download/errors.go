package download

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Attempt is what happened with one address.
type Attempt struct {
	URL   string
	Tries int
	Err   error // the last one

	gaveUp bool
	wrong  int // times that the content was wrong
}

// Error says that no address delivered, and of each why not.
type Error struct {
	Attempts []Attempt
	SHA256   [sha256.Size]byte
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "downloading failed at %d of %d addresses:", len(e.Attempts), len(e.Attempts))
	if len(e.Attempts) == 1 {
		b.Reset()
		b.WriteString("downloading failed:")
	}
	for _, a := range e.Attempts {
		fmt.Fprintf(&b, "\n  %s: %v", a.URL, a.Err)
		if a.Tries > 1 {
			fmt.Fprintf(&b, " (tried %d times)", a.Tries)
		}
	}
	return b.String()
}

// NotFound reports whether every address answered that it doesn't have the file.
func (e *Error) NotFound() bool {
	for _, a := range e.Attempts {
		var s *statusError
		if !errors.As(a.Err, &s) || s.code != http.StatusNotFound && s.code != http.StatusGone {
			return false
		}
	}
	return true
}

// IsNotFound reports whether err is an *Error whose addresses all don't have the file.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.NotFound()
}

// note records a failed try and decides whether another makes sense.
func (a *Attempt) note(err error) {
	a.Err = err
	var status *statusError
	var content *contentError
	var permanent *permanentError
	switch {
	case errors.As(err, &status):
		a.gaveUp = !status.transient()
	case errors.As(err, &content):
		// Once may be an accident on the way; a second time is what is there.
		a.wrong++
		a.gaveUp = a.wrong >= 2
	case errors.As(err, &permanent):
		a.gaveUp = true
	}
}

// statusError is an answer other than the content.
type statusError struct {
	code          int
	status, after string
}

func (e *statusError) Error() string { return "got HTTP status " + e.status }

func (e *statusError) transient() bool {
	switch e.code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return e.code >= 500 && e.code != http.StatusNotImplemented
}

// contentError is content of the wrong length or hash.
type contentError struct{ msg string }

func (e *contentError) Error() string { return e.msg }

// permanentError won't go away by trying again.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// localError is a failure on our side: a full disk.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

// retryAfter returns how long the server asked us to wait, 0 if it didn't.
func retryAfter(err error) time.Duration {
	var s *statusError
	if !errors.As(err, &s) || s.after == "" {
		return 0
	}
	if n, err := strconv.Atoi(s.after); err == nil && n >= 0 {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(s.after); err == nil {
		return max(0, time.Until(t))
	}
	return 0
}
