//go:build !linux

package doctor

import "errors"

func kernelRelease() (string, error) { return "", errors.ErrUnsupported }

func kvm() Check {
	return Check{Name: "KVM", Status: Warning, Detail: "is a part of Linux; virtual machines are emulated here"}
}
