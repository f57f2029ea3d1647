package containerd

import (
	"errors"
	"maps"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"google.golang.org/protobuf/encoding/protowire"
)

// The messages, by the field numbers of containerd's api/services/*/v1/*.proto.

func text(b []byte, field protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), s)
}

func number(b []byte, field protowire.Number, n int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(n))
}

func nested(b []byte, field protowire.Number, msg []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), msg)
}

func labelsOf(b []byte, field protowire.Number, labels map[string]string) []byte {
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		b = nested(b, field, text(text(nil, 1, k), 2, labels[k]))
	}
	return b
}

// leaseRequest is leases.CreateRequest, of a lease that ends by itself.
func leaseRequest(id string) []byte {
	return labelsOf(text(nil, 1, id), 3, map[string]string{"containerd.io/gc.expire": time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)})
}

// deleteLease is leases.DeleteRequest.
func deleteLease(id string) []byte { return text(nil, 1, id) }

// imageRequest is images.CreateImageRequest and UpdateImageRequest.
func imageRequest(name string, d v1.Descriptor) []byte {
	target := number(text(text(nil, 1, string(d.MediaType)), 2, d.Digest.String()), 3, d.Size)
	return nested(nil, 1, nested(text(nil, 1, name), 3, target))
}

// What a content.WriteContentRequest wants.
const (
	actStat   = 0
	actWrite  = 1
	actCommit = 2
)

// writeRequest is content.WriteContentRequest.
func writeRequest(action int64, ref string, d v1.Descriptor, offset int64, data []byte, labels map[string]string) []byte {
	b := number(nil, 1, action)
	b = text(b, 2, ref)
	b = number(b, 3, d.Size)
	b = text(b, 4, d.Digest.String())
	b = number(b, 5, offset)
	if len(data) > 0 {
		b = nested(b, 6, data)
	}
	return labelsOf(b, 7, labels)
}

// writeOffset reads the offset of a content.WriteContentResponse.
func writeOffset(b []byte) (int64, error) {
	offset := int64(0)
	for len(b) > 0 {
		field, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return 0, errors.New("got a malformed answer")
		}
		b = b[n:]
		if field == 4 && typ == protowire.VarintType {
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return 0, errors.New("got a malformed answer")
			}
			offset, b = int64(v), b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(field, typ, b); n < 0 {
			return 0, errors.New("got a malformed answer")
		}
		b = b[n:]
	}
	return offset, nil
}
