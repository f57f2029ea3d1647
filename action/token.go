package action

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Late is a string that may hold tokens. A builtin uses it for the parameters
// in which it allows them.
type Late string

// RefKind says what a token stands for.
type RefKind uint8

// The kinds of tokens.
const (
	// Path stands for the artifact's place in the sandbox.
	Path RefKind = iota + 1
	// Text stands for the content of the artifact, a small file.
	Text
)

// Ref is what a token stands for.
type Ref struct {
	Kind     RefKind
	Artifact *Artifact
}

// A token is plain ASCII that neither JSON nor a shell changes:
//
//	@labstar.<p|t>.<40 hex digits>.token@
const (
	tokenPrefix = "@labstar."
	tokenSuffix = ".token@"
	tokenIDLen  = 2 + 40 // "p." and the hex digits
	tokenLen    = len(tokenPrefix) + tokenIDLen + len(tokenSuffix)
)

// Token returns the token of the artifact, for use inside a string.
func (a *Artifact) Token(k RefKind) string {
	w := newFieldHash()
	defer w.free()
	w.str("token")
	w.num(int64(k))
	w.digest(a.Action.definition)
	w.num(int64(a.Index))
	sum := sha256.Sum256(w.b)
	var text [tokenLen]byte
	b := append(text[:0], tokenPrefix...)
	if k == Text {
		b = append(b, "t."...)
	} else {
		b = append(b, "p."...)
	}
	b = hex.AppendEncode(b, sum[:20])
	token := string(append(b, tokenSuffix...))
	id := token[len(tokenPrefix) : len(tokenPrefix)+tokenIDLen]
	s := a.Action.scope
	s.mu.Lock()
	if _, ok := s.tokens[id]; !ok {
		s.tokens[id] = Ref{Kind: k, Artifact: a}
		s.unindexed = append(s.unindexed, id)
	}
	s.mu.Unlock()
	return token
}

// MayHoldToken reports whether s could hold a token or a part of one. It is
// cheap, for strings that mostly don't.
func MayHoldToken(s string) bool { return strings.IndexByte(s, '@') >= 0 || len(s) >= 16 }

// Refs returns what the tokens in text stand for, each once, in order of
// appearance. A damaged token (cut, or in other case) is a *TokenError.
func (s *Scope) Refs(text string) ([]Ref, error) {
	var refs []Ref
	var rest strings.Builder
	seen := map[string]bool(nil)
	for tail := text; ; {
		i := strings.Index(tail, tokenPrefix)
		if i < 0 || len(tail)-i < tokenLen {
			rest.WriteString(tail)
			break
		}
		token := tail[i : i+tokenLen]
		id := token[len(tokenPrefix) : len(tokenPrefix)+tokenIDLen]
		s.mu.Lock()
		ref, ok := s.tokens[id]
		s.mu.Unlock()
		if !ok || !strings.HasSuffix(token, tokenSuffix) {
			return nil, s.damaged(token)
		}
		if !seen[id] {
			if seen == nil {
				seen = map[string]bool{}
			}
			seen[id] = true
			refs = append(refs, ref)
		}
		rest.WriteString(tail[:i])
		rest.WriteByte('\n') // keeps what stood on both sides apart
		tail = tail[i+tokenLen:]
	}
	if err := s.checkRest(rest.String()); err != nil {
		return nil, err
	}
	return refs, nil
}

// checkRest looks for pieces of tokens in what is left of a string once the
// whole ones are out.
func (s *Scope) checkRest(rest string) error {
	s.mu.Lock()
	none := len(s.tokens) == 0
	s.mu.Unlock()
	if none {
		return nil
	}
	lower := strings.ToLower(rest)
	for _, mark := range []string{tokenPrefix, tokenSuffix} {
		if i := strings.Index(lower, mark); i >= 0 {
			return s.damaged(rest[max(0, i-tokenIDLen):min(len(rest), i+tokenLen)])
		}
	}
	// A slice out of the middle: a run of hex digits that some token has.
	for i := 0; i < len(lower); {
		j := i
		for j < len(lower) && isHex(lower[j]) {
			j++
		}
		if start := i - 2; j-i >= 6 && start >= 0 && (lower[start:i] == "t." || lower[start:i] == "p.") {
			// image.digest[7:19], the usual way to shorten a digest, cuts here.
			if ref, ok := s.byPiece(lower[start:j]); ok {
				return &TokenError{Got: rest[start:j], Ref: &ref}
			}
		}
		if j-i >= 16 && j-i <= 40 {
			if ref, ok := s.byPiece(lower[i:j]); ok {
				return &TokenError{Got: rest[i:j], Ref: &ref}
			}
		}
		i = j + 1
	}
	return nil
}

func isHex(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }

// damaged makes the error for a piece of text that looks like a token but is
// none, naming the artifact as far as its digits tell.
func (s *Scope) damaged(piece string) error {
	lower := strings.ToLower(piece)
	for i := 0; i < len(lower); {
		j := i
		for j < len(lower) && isHex(lower[j]) {
			j++
		}
		if j-i >= 8 {
			if ref, ok := s.byPiece(lower[i:j]); ok {
				return &TokenError{Got: piece, Ref: &ref}
			}
		}
		i = j + 1
	}
	return &TokenError{Got: piece}
}

// byPiece finds the token that has the hex digits in its id. Whatever is at
// least 15 digits long holds one of the id's five aligned blocks of 8, by which
// the tokens are indexed, once a piece is looked for; shorter ones are compared
// with each.
func (s *Scope) byPiece(digits string) (Ref, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(digits) < 2*tokenBlock-1 {
		for id, ref := range s.tokens {
			if strings.Contains(id, digits) {
				return ref, true
			}
		}
		return Ref{}, false
	}
	for _, id := range s.unindexed {
		for i := 2; i < len(id); i += tokenBlock {
			s.blocks[id[i:i+tokenBlock]] = id
		}
	}
	s.unindexed = nil
	for i := 0; i+tokenBlock <= len(digits); i++ {
		if id, ok := s.blocks[digits[i:i+tokenBlock]]; ok && strings.Contains(id, digits) {
			return s.tokens[id], true
		}
	}
	return Ref{}, false
}

// tokenBlock is how many hex digits of an id are indexed together.
const tokenBlock = 8

// TokenError is a late-bound string that was cut or changed.
type TokenError struct {
	Got string // the piece
	Ref *Ref   // what it stood for, if that can be told
}

func (e *TokenError) Error() string {
	of := "an artifact"
	if e.Ref != nil {
		of = e.Ref.Artifact.Describe()
	}
	return fmt.Sprintf("damaged late-bound string: it stands for %s and is known only after the build; "+
		"it can be concatenated and formatted, not sliced, split or changed in case", of)
}

// Substitute replaces every token in text by what value gives for it.
func (s *Scope) Substitute(text string, value func(Ref) (string, error)) (string, error) {
	if !strings.Contains(text, tokenPrefix) {
		return text, nil
	}
	var out strings.Builder
	for {
		i := strings.Index(text, tokenPrefix)
		if i < 0 || len(text)-i < tokenLen {
			out.WriteString(text)
			return out.String(), nil
		}
		id := text[i+len(tokenPrefix) : i+len(tokenPrefix)+tokenIDLen]
		s.mu.Lock()
		ref, ok := s.tokens[id]
		s.mu.Unlock()
		if !ok {
			return "", s.damaged(text[i : i+tokenLen])
		}
		v, err := value(ref)
		if err != nil {
			return "", err
		}
		out.WriteString(text[:i])
		out.WriteString(v)
		text = text[i+tokenLen:]
	}
}

// Readable replaces every token in text by a name for people, for messages.
func (s *Scope) Readable(text string) string {
	out, err := s.Substitute(text, func(r Ref) (string, error) { return "<" + r.Artifact.Action.Title + ">", nil })
	if err != nil {
		return text
	}
	return out
}

// Scope returns the evaluation that made the action.
func (a *Action) Scope() *Scope { return a.scope }
