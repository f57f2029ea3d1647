package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// Dict is a dict of the script with its order kept. It encodes to a JSON object
// in that order.
type Dict[V any] []Entry[V]

// Entry is one pair of a Dict.
type Entry[V any] struct {
	Key   string
	Value V
}

// Get returns the value of key.
func (d Dict[V]) Get(key string) (v V, ok bool) {
	for i := range d {
		if d[i].Key == key {
			return d[i].Value, true
		}
	}
	return v, false
}

// Any is a plain value of a script: nil, bool, int64, float64, string (which
// may hold text tokens), []any or Dict[any].
type Any any

// KindOf names the type of a plain value for messages.
func KindOf(v Any) string {
	switch v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case string:
		return "string"
	case []any:
		return "list"
	}
	return "dict"
}

// MarshalJSON writes an object in the dict's order.
func (d Dict[V]) MarshalJSON() ([]byte, error) { return appendDict(nil, d) }

func appendDict[V any](b []byte, d Dict[V]) ([]byte, error) {
	var err error
	b = append(b, '{')
	for i := range d {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendJSON(b, d[i].Key); err != nil {
			return nil, err
		}
		b = append(b, ':')
		if b, err = appendJSON(b, d[i].Value); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendJSON writes a value as package json does without escaping for HTML: plain ones
// by itself, which for a large tree is a tenth of the time.
func appendJSON(b []byte, x any) ([]byte, error) {
	switch x := x.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, x), nil
	case int64:
		return strconv.AppendInt(b, x, 10), nil
	case string:
		if isPlainText(x) {
			return append(append(append(b, '"'), x...), '"'), nil
		}
	case Dict[any]:
		return appendDict(b, x)
	case []any:
		var err error
		b = append(b, '[')
		for i, e := range x {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, e); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	}
	var w bytes.Buffer
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(x); err != nil {
		return nil, err
	}
	return append(b, bytes.TrimSuffix(w.Bytes(), []byte("\n"))...), nil
}

// isPlainText reports whether JSON has nothing to escape in s.
func isPlainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// UnmarshalJSON reads an object in its order; null is an empty dict.
func (d *Dict[V]) UnmarshalJSON(data []byte) error {
	*d = nil
	if p, ok := any(d).(*Dict[any]); ok {
		v, err := UnmarshalAny(data)
		if v == nil || err != nil {
			return err
		}
		if *p, ok = v.(Dict[any]); !ok {
			return fmt.Errorf("got %.20s, want a JSON object", data)
		}
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	switch t, err := dec.Token(); {
	case err != nil:
		return err
	case t == nil:
		return nil
	case t != json.Delim('{'):
		return fmt.Errorf("got %v, want a JSON object", t)
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		var v V
		if err := dec.Decode(&v); err != nil {
			return fmt.Errorf("decoding %q: %w", key, err)
		}
		*d = append(*d, Entry[V]{key, v})
	}
	_, err := dec.Token()
	return err
}

// UnmarshalAny reads JSON into the Go values of Any, keeping the order of objects.
func UnmarshalAny(data []byte) (Any, error) {
	if !json.Valid(data) {
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			return nil, err
		}
	}
	r := jsonReader{data: data}
	return r.value(0)
}

// jsonReader reads JSON that is known to be valid, which takes a tenth of the time of
// package json's tokens.
type jsonReader struct {
	data []byte
	pos  int
}

// next is the next byte that is no space.
func (r *jsonReader) next() byte {
	for {
		switch c := r.data[r.pos]; c {
		case ' ', '\t', '\n', '\r':
			r.pos++
		default:
			return c
		}
	}
}

func (r *jsonReader) value(depth int) (any, error) {
	if depth > 10_000 { // as package json
		return nil, fmt.Errorf("got JSON nested more than %d deep", depth-1)
	}
	switch r.next() {
	case '{':
		d := Dict[any]{}
		for r.pos++; r.next() != '}'; {
			if r.data[r.pos] == ',' {
				r.pos++
				r.next()
			}
			key, err := r.text()
			if err != nil {
				return nil, err
			}
			r.next()
			r.pos++ // the colon
			v, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			d = append(d, Entry[any]{key, v})
		}
		r.pos++
		return d, nil
	case '[':
		list := []any{}
		for r.pos++; r.next() != ']'; {
			if r.data[r.pos] == ',' {
				r.pos++
			}
			v, err := r.value(depth + 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		r.pos++
		return list, nil
	case '"':
		return r.text()
	}
	return r.literal()
}

// text reads a string.
func (r *jsonReader) text() (string, error) {
	start, plain := r.pos, true
	for r.pos++; r.data[r.pos] != '"'; r.pos++ {
		if c := r.data[r.pos]; c == '\\' {
			r.pos++
			plain = false
		} else if c >= 0x80 {
			plain = false // it may be no UTF-8
		}
	}
	r.pos++
	if plain {
		return string(r.data[start+1 : r.pos-1]), nil
	}
	var s string
	err := json.Unmarshal(r.data[start:r.pos], &s)
	return s, err
}

// literal reads a number, true, false or null.
func (r *jsonReader) literal() (any, error) {
	start := r.pos
	for r.pos < len(r.data) && bytes.IndexByte([]byte(" \t\n\r,]}"), r.data[r.pos]) < 0 {
		r.pos++
	}
	switch word := string(r.data[start:r.pos]); word {
	case "null":
		return nil, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		if i, err := strconv.ParseInt(word, 10, 64); err == nil {
			return i, nil
		}
		return strconv.ParseFloat(word, 64)
	}
}
