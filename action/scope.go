package action

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"path"
	"sync"
)

// Scope is one evaluation of a script: it makes the actions and knows the
// tokens that were given out. It is safe for use by several goroutines.
type Scope struct {
	mu     sync.Mutex
	tokens map[string]Ref // by token id

	blocks    map[string]string // token id by each block of its digits, see byPiece
	unindexed []string          // token ids that are not in blocks yet

	places FindPlaces // nil if there is none
}

// NewScope returns an empty scope.
func NewScope() *Scope { return &Scope{tokens: map[string]Ref{}, blocks: map[string]string{}} }

// Action makes an action. The error is for the user: a token in the parameters
// that is damaged or foreign.
func (s *Scope) Action(spec Spec) (*Action, error) {
	params, err := Canonical(spec.Params)
	if err != nil {
		return nil, fmt.Errorf("encoding parameters of %s: %w", spec.Op.Name, err)
	}
	refs, err := s.Refs(string(params))
	if err != nil {
		return nil, err
	}
	a := &Action{
		Op: spec.Op, Params: params, Inputs: spec.Inputs, Refs: refs, Outputs: spec.Outputs,
		Title: spec.Title, Site: spec.Site, Special: &none, scope: s,
	}
	if spec.Fixed != [32]byte{} || spec.Quick || spec.Secrets != nil || spec.Parts != nil || spec.Component != nil {
		a.Special = &Special{Fixed: spec.Fixed, Quick: spec.Quick, Secrets: spec.Secrets, Parts: spec.Parts, Component: spec.Component}
	}
	a.definition = a.define()
	a.bind()
	return a, nil
}

// local is all that a local file is made of, in one piece: there may be a hundred
// thousand of them.
type local struct {
	action   Action
	source   Source
	output   [1]Output
	artifact Artifact
}

// Source makes the artifact of content that exists already.
func (s *Scope) Source(src Source, title string, site []Frame) *Artifact {
	l := &local{source: src, output: [1]Output{{Name: path.Base(src.Path), Kind: src.Kind}}}
	l.action = Action{Source: &l.source, Title: title, Site: site, Special: &none, scope: s, Outputs: l.output[:]}
	l.action.definition = l.action.define()
	l.artifact.Action = &l.action
	return &l.artifact
}

// Canonical encodes parameters: JSON with sorted keys and nothing escaped that
// need not be.
func Canonical(v any) ([]byte, error) {
	e := encoders.Get().(*encoder)
	e.Reset()
	if err := e.json.Encode(v); err != nil {
		return nil, err // with an encoder that failed nothing more is encoded
	}
	b := bytes.Clone(bytes.TrimSuffix(e.Bytes(), []byte("\n")))
	if e.Cap() <= 1<<16 {
		encoders.Put(e)
	}
	return b, nil
}

type encoder struct {
	bytes.Buffer
	json *json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.json = json.NewEncoder(&e.Buffer)
	e.json.SetEscapeHTML(false)
	return e
}}

// define computes the definition digest: a hash over length-prefixed fields.
func (a *Action) define() Digest {
	w := newFieldHash()
	defer w.free()
	switch {
	case a.Source != nil:
		// The name counts: it is the artifact's name inside the sandbox.
		w.str("source")
		w.str(a.Outputs[0].Name)
		w.num(int64(a.Source.Kind))
		w.digest(a.Source.Digest)
	case a.Fixed != [32]byte{}:
		w.str("fixed")
		w.str(a.Outputs[0].Name)
		w.bytes(a.Fixed[:])
	default:
		w.str("action")
		w.num(FormatVersion)
		w.str(a.Op.Name)
		w.num(int64(a.Op.Version))
		// Tokens in Params are made from their artifacts' definitions, so they
		// need not be counted again.
		w.bytes(a.Params)
		w.num(int64(len(a.Inputs)))
		for _, in := range a.Inputs {
			w.str(in.Name)
			w.digest(in.Artifact.Action.definition)
			w.num(int64(in.Artifact.Index))
		}
		w.num(int64(len(a.Outputs)))
		for _, o := range a.Outputs {
			w.str(o.Name)
			w.num(int64(o.Kind))
		}
	}
	return Of(w.b)
}

// fieldHash gathers length-prefixed fields to be hashed, in a buffer that is
// used again: a graph has a hundred thousand of them.
type fieldHash struct{ b []byte }

var fieldHashes = sync.Pool{New: func() any { return &fieldHash{b: make([]byte, 0, 1024)} }}

func newFieldHash() *fieldHash { return fieldHashes.Get().(*fieldHash) }

func (w *fieldHash) free() {
	if cap(w.b) <= 1<<16 {
		w.b = w.b[:0]
		fieldHashes.Put(w)
	}
}

func (w *fieldHash) num(v int64) { w.b = binary.LittleEndian.AppendUint64(w.b, uint64(v)) }

func (w *fieldHash) bytes(b []byte) {
	w.num(int64(len(b)))
	w.b = append(w.b, b...)
}

func (w *fieldHash) str(s string) {
	w.num(int64(len(s)))
	w.b = append(w.b, s...)
}

func (w *fieldHash) digest(d Digest) {
	w.b = append(w.b, d.Hash[:]...)
	w.num(d.Size)
}
