package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/labstar/labstar/starlark/schema"
)

// pauses are those between the attempts of one request. What is asked twice is the
// same: an apply, a read, a deletion of one UID.
var pauses = []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second}

// retry repeats a request that failed for reasons that pass. The first request of all
// is not repeated when there is no connection: the user waits for nothing then.
func (c *Cluster) retry(ctx context.Context, request func() error) error {
	for _, pause := range pauses {
		err := request()
		if err == nil || apiStatus(err) != nil {
			c.reached.Store(true)
		}
		if err == nil || ctx.Err() != nil || !passes(err, c.reached.Load()) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
	return request()
}

// passes reports whether the same request may well succeed in a moment.
func passes(err error, reached bool) bool {
	if s := apiStatus(err); s != nil {
		switch s.Code {
		case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusBadGateway:
			return true
		case http.StatusInternalServerError: // a webhook that is just starting; etcd that chooses a leader
			return strings.Contains(s.Message, "failed calling webhook") || strings.Contains(s.Message, "etcdserver")
		}
		return false
	}
	var cert *tls.CertificateVerificationError
	var address *net.DNSError
	return reached && !errors.As(err, &cert) && !errors.As(err, &address)
}

// apiStatus is what the server said, nil if err is not from it.
func apiStatus(err error) *metav1.Status {
	var s apierrors.APIStatus
	if !errors.As(err, &s) {
		return nil
	}
	status := s.Status()
	return &status
}

func forbidden(err error) bool { return apierrors.IsForbidden(err) }

// explain words an error of a request for people, with what to do about it.
func (c *Cluster) explain(err error, doing string) error {
	var kind *noKindError
	if err == nil || errors.Is(err, context.Canceled) || errors.As(err, &kind) {
		return err
	}
	prefix := ""
	if doing != "" {
		prefix = doing + ": "
	}
	switch s := apiStatus(err); {
	case s == nil:
	case s.Code == http.StatusUnauthorized:
		return fmt.Errorf("%s does not take the credentials%s: they may have expired, so log in again, or choose another context with --context (%w)", c, c.ofUser(), err)
	default:
		return fmt.Errorf("%s%w%s", prefix, err, c.remedy(s))
	}
	return fmt.Errorf("%s%w", prefix, c.unreachable(err))
}

// remedy is what to do about what the server said, with what leads there.
func (c *Cluster) remedy(s *metav1.Status) string {
	switch {
	case s.Code == http.StatusForbidden && strings.Contains(s.Message, "exceeded quota"):
		return "; ask for less, raise the ResourceQuota, or remove what is not needed"
	case s.Code == http.StatusForbidden && strings.Contains(s.Message, " cannot "):
		return fmt.Sprintf("; ask for a role that allows it%s, or choose another context with --context", c.ofUser())
	case strings.Contains(s.Message, "failed to create typed patch object") || strings.Contains(s.Message, "failed to convert new object"):
		// Code 500, though it is about the object.
		return "; what the script's own checks let pass is of another version of Kubernetes: name the cluster's with k8s_version"
	case s.Code == http.StatusTooManyRequests || s.Code >= 500:
		return "; the server is in trouble: run the same command again, which goes on where this ended"
	}
	return ""
}

func (c *Cluster) ofUser() string {
	if c.User == "" {
		return ""
	}
	return " of user " + c.User
}

// unreachable words what happened to a connection.
func (c *Cluster) unreachable(err error) error {
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var address *net.DNSError
	var timeout interface{ Timeout() bool }
	why, then := "", "is it running? choose another cluster with --context, or a kubeconfig with KUBECONFIG"
	switch {
	case errors.As(err, &authority):
		why, then = "its certificate is signed by an authority that the kubeconfig does not name", "the kubeconfig may be of another cluster, or older than this one: get a new one"
	case errors.As(err, &host):
		why, then = host.Error(), "use a server address that its certificate names, or set tls-server-name in the kubeconfig"
	case errors.As(err, &invalid):
		why, then = invalid.Error(), "check this machine's clock and the certificates of the cluster"
	case errors.As(err, &verification), errors.As(err, &record):
		why, then = cause(err), "check the server's address in the kubeconfig"
	case errors.As(err, &address):
		why, then = "there is no host "+address.Name, "check the server's address in the kubeconfig, the VPN and the proxy (HTTPS_PROXY)"
	case errors.Is(err, syscall.ECONNREFUSED):
		why = "nothing listens there"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		why, then = "no answer came in time", "check the VPN, the firewall and the proxy (HTTPS_PROXY)"
	case strings.Contains(err.Error(), "getting credentials: "):
		return fmt.Errorf("%w; the kubeconfig%s gets its credentials from that program: install it, or run it by hand to see what is wrong", err, c.ofUser())
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		why, then = "it speaks plain HTTP", "write http:// in the kubeconfig's server address"
	default:
		why = cause(err)
	}
	return &unreachableError{msg: fmt.Sprintf("can't reach the cluster %s: %s; %s", c, why, then), err: err}
}

type unreachableError struct {
	msg string
	err error
}

func (e *unreachableError) Error() string { return e.msg }
func (e *unreachableError) Unwrap() error { return e.err }

// cause is an error without the request that it was of.
func cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

// checkContext tells what speaks against the context before client-go does.
func checkContext(file clientcmdapi.Config, name string) error {
	if name == "" {
		name = file.CurrentContext
	}
	names := slices.Sorted(maps.Keys(file.Contexts))
	switch {
	case len(names) == 0:
		return nil // in a pod there is none and needs to be none
	case name == "":
		return fmt.Errorf("the kubeconfig names no current context: choose one with --context: %s", strings.Join(names, ", "))
	case file.Contexts[name] == nil:
		guess := ""
		if s := schema.Suggest(name, names); s != "" {
			guess = fmt.Sprintf(" (did you mean %q?)", s)
		}
		return fmt.Errorf("the kubeconfig has no context %q%s; it has: %s", name, guess, strings.Join(names, ", "))
	}
	return nil
}

func kubeconfigError(err error) error {
	if clientcmd.IsEmptyConfig(err) {
		return errors.New("there is no kubeconfig: set KUBECONFIG to the file that your cluster gave you, or put it at ~/.kube/config")
	}
	return fmt.Errorf("reading the kubeconfig: %w", err)
}
