package k8s

import (
	"encoding/base64"
	"fmt"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// This file puts files into ConfigMaps and Secrets.

// plainObject converts a dict of the script. In the data of a ConfigMap or a Secret a
// file stands for what it holds, and in that of a Secret a list is joined.
func plainObject(c *schema.Call, arg, elem string, d *starlark.Dict) (dict, error) {
	src, err := inlineFiles(c, arg+elem, d)
	if err != nil {
		return nil, err
	}
	x, err := c.Plain(arg, elem, src)
	if err != nil {
		return nil, err
	}
	return joinParts(x.(dict)), nil
}

// inlineFiles returns d with its files replaced; it is d itself if there are none.
func inlineFiles(c *schema.Call, arg string, d *starlark.Dict) (*starlark.Dict, error) {
	kind, _, _ := d.Get(starlark.String("kind"))
	binary := map[starlark.Value]string{starlark.String("ConfigMap"): "binaryData", starlark.String("Secret"): "data"}[kind]
	if binary == "" {
		return d, nil
	}
	out := d
	for _, field := range []string{"data", "stringData"} {
		v, _, _ := d.Get(starlark.String(field))
		data, ok := v.(*starlark.Dict)
		if !ok {
			continue
		}
		for k, x := range data.Entries() {
			art, ok := x.(*schema.Artifact)
			if !ok || art.Kind() != action.File {
				continue
			}
			text, isText, err := content(art)
			if err != nil {
				return nil, c.ArgErrorf(fmt.Sprintf("%s[%q][%s]", arg, field, k), "%w", err)
			}
			if out == d {
				out = copyDict(d)
			}
			to := field
			if !isText {
				to, text = binary, base64.StdEncoding.EncodeToString([]byte(text))
			} else if kind == starlark.String("Secret") {
				to = "stringData"
			}
			move(out, field, to, k, starlark.String(text))
		}
	}
	return out, nil
}

func copyDict(d *starlark.Dict) *starlark.Dict {
	out := starlark.NewDict(d.Len())
	for k, v := range d.Entries() {
		_ = out.SetKey(k, v)
	}
	return out
}

// move sets a key of the dict at field to, in place of that at field from. What it
// changes it copies first.
func move(d *starlark.Dict, from, to string, key, value starlark.Value) {
	for _, f := range []string{from, to} {
		var part *starlark.Dict
		if v, ok, _ := d.Get(starlark.String(f)); ok {
			part = copyDict(v.(*starlark.Dict))
		} else {
			part = starlark.NewDict(1)
		}
		if f == to {
			_ = part.SetKey(key, value)
		} else {
			_, _, _ = part.Delete(key)
		}
		if part.Len() == 0 {
			_, _, _ = d.Delete(starlark.String(f))
		} else {
			_ = d.SetKey(starlark.String(f), part)
		}
	}
}

// content is what a file holds: of one beside the script, the bytes as they are; of one
// that is built, a token, with a newline at its end.
func content(a *schema.Artifact) (text string, isText bool, err error) {
	src := a.Action.Source
	if src == nil {
		return a.Token(action.Text) + "\n", true, nil
	}
	if src.Digest.Size > maxData {
		return "", false, fmt.Errorf("got a file of %d bytes, want at most %d: put it into an image or a volume", src.Digest.Size, maxData)
	}
	b, err := src.ReadAll(src.Digest)
	return string(b), utf8.Valid(b), err
}

// joinParts joins the lists of strings in the values of a Secret.
func joinParts(d dict) dict {
	if str(d, "kind") != "Secret" {
		return d
	}
	values := sub(d, "stringData")
	for i, e := range values {
		parts, ok := e.Value.([]any)
		if !ok {
			continue
		}
		joined := ""
		for _, p := range parts {
			s, isText := p.(string)
			ok = ok && isText
			joined += s
		}
		if ok {
			values[i].Value = joined
		}
	}
	return d
}
