package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
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
		if p, ok := any(&v).(*any); ok {
			*p, err = decodeAny(dec)
		} else {
			err = dec.Decode(&v)
		}
		if err != nil {
			return fmt.Errorf("decoding %q: %w", key, err)
		}
		*d = append(*d, Entry[V]{key, v})
	}
	_, err := dec.Token()
	return err
}

// UnmarshalAny reads JSON into the Go values of Any, keeping the order of objects.
func UnmarshalAny(data []byte) (Any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := decodeAny(dec)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF { //nolint:errorlint // Token returns io.EOF itself
		return nil, fmt.Errorf("got more after the JSON value, want one value")
	}
	return v, nil
}

func decodeAny(dec *json.Decoder) (any, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		if i, err := t.Int64(); err == nil {
			return i, nil
		}
		return t.Float64()
	case json.Delim:
		if t == '[' {
			list := []any{}
			for dec.More() {
				v, err := decodeAny(dec)
				if err != nil {
					return nil, err
				}
				list = append(list, v)
			}
			_, err := dec.Token()
			return list, err
		}
		d := Dict[any]{}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := decodeAny(dec)
			if err != nil {
				return nil, err
			}
			d = append(d, Entry[any]{key.(string), v})
		}
		_, err := dec.Token()
		return d, err
	}
	return t, nil
}
