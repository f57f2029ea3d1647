package schema

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// UnmarshalAny is package json but for the order of objects and for whole numbers.
func FuzzUnmarshalAny(f *testing.F) {
	for _, s := range []string{`null`, ` { "a" : [ 1 , -2.5e3 , true,false , null ] , "b":{ } }`, `[]`, `"\u00e9\ud83d\ude00\"é"`, `"` + "\xff" + `"`, `{"a":1,"a":2}`,
		`9223372036854775807`, `9223372036854775808`, `1e400`, `[`, `{"a"}`, ``, `1 2`, `{"x":["a\\","b"]}`, `-0`, "\t[\r\n]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want any
		d := json.NewDecoder(bytes.NewReader(data))
		d.UseNumber()
		wantErr := d.Decode(&want)
		if wantErr == nil && !json.Valid(data) {
			return // there is more after it
		}
		got, err := UnmarshalAny(data)
		if wantErr != nil {
			if err == nil {
				t.Errorf("%q: got %v, want the error %v", data, got, wantErr)
			}
			return
		}
		if err != nil {
			if !bytes.ContainsAny(data, "eE123456789") { // a number that is none of Go's
				t.Errorf("%q: %v", data, err)
			}
			return
		}
		if plain := unordered(got); !reflect.DeepEqual(plain, numbers(want)) {
			t.Errorf("%q: got %#v, want %#v", data, plain, numbers(want))
		}
	})
}

// unordered makes maps of dicts.
func unordered(v any) any {
	switch v := v.(type) {
	case Dict[any]:
		m := map[string]any{}
		for _, e := range v {
			m[e.Key] = unordered(e.Value)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = unordered(e)
		}
		return list
	}
	return v
}

// numbers makes int64 and float64 of numbers.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = numbers(e)
		}
	case []any:
		for i, e := range v {
			v[i] = numbers(e)
		}
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		return f
	}
	return v
}
