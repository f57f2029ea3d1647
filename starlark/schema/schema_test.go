package schema_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// call calls the builtin as a script would, with a session of its own.
func call(t *testing.T, b *schema.Builtin, args starlark.Tuple, kwargs ...starlark.Tuple) (starlark.Value, error) {
	t.Helper()
	thread := &starlark.Thread{}
	(&schema.Session{Context: t.Context(), Scope: action.NewScope()}).Attach(thread)
	return starlark.Call(thread, b, args, kwargs)
}

func kw(name string, v starlark.Value) starlark.Tuple {
	return starlark.Tuple{starlark.String(name), v}
}

type allArgs struct {
	S     string               `star:"s" doc:"s"`
	B     bool                 `star:"b" default:"True" doc:"b"`
	I     int                  `star:"i" default:"-3" doc:"i"`
	I64   int64                `star:"i64" default:"1 << 40" doc:"i64"`
	U8    uint8                `star:"u8" default:"7" doc:"u8"`
	F     float64              `star:"f" default:"1.5" doc:"f"`
	L     []string             `star:"l" default:"[\"a\", \"b\"]" doc:"l"`
	M     map[string]string    `star:"m,optional" doc:"m"`
	D     schema.Dict[[]int]   `star:"d,optional" doc:"d"`
	A     schema.Any           `star:"a,optional" doc:"a"`
	V     starlark.Value       `star:"v,optional" doc:"v"`
	Fn    starlark.Callable    `star:"fn,optional" doc:"fn"`
	P     *string              `star:"p,optional" doc:"p"`
	Nest  map[string][]float64 `star:"nest,keyword,optional" doc:"nest"`
	Late  []action.Late        `star:"late,keyword,optional" doc:"late"`
	Enums []string             `star:"enums,keyword,optional" enum:"x,y" doc:"enums"`
}

func TestTypes(t *testing.T) {
	var got *allArgs
	b := schema.New("all", "all takes everything.", func(_ *schema.Call, a *allArgs) (starlark.Value, error) {
		got = a
		return starlark.None, nil
	})
	if _, err := call(t, b, starlark.Tuple{starlark.String("x")}); err != nil {
		t.Fatal(err)
	}
	want := &allArgs{S: "x", B: true, I: -3, I64: 1 << 40, U8: 7, F: 1.5, L: []string{"a", "b"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	d := starlark.NewDict(2)
	_ = d.SetKey(starlark.String("z"), starlark.NewList([]starlark.Value{starlark.MakeInt(1), starlark.MakeInt(2)}))
	_ = d.SetKey(starlark.String("a"), starlark.Tuple{})
	if _, err := call(t, b, nil, kw("s", starlark.String("y")), kw("i", starlark.MakeInt(5)), kw("d", d), kw("a", d),
		kw("p", starlark.String("p")), kw("f", starlark.MakeInt(2)), kw("v", d), kw("fn", b), kw("nest", d),
		kw("late", starlark.Tuple{starlark.String("l")}), kw("enums", starlark.Tuple{starlark.String("x")})); err != nil {
		t.Fatal(err)
	}
	p := "p"
	want = &allArgs{S: "y", B: true, I: 5, I64: 1 << 40, U8: 7, F: 2, L: []string{"a", "b"}, P: &p, V: d, Fn: b,
		D:    schema.Dict[[]int]{{Key: "z", Value: []int{1, 2}}, {Key: "a"}},
		A:    schema.Dict[any]{{Key: "z", Value: []any{int64(1), int64(2)}}, {Key: "a", Value: []any{}}},
		Nest: map[string][]float64{"z": {1, 2}, "a": nil}, Late: []action.Late{"l"}, Enums: []string{"x"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestWrongTypes(t *testing.T) {
	b := schema.New("all", "all takes everything.", func(_ *schema.Call, _ *allArgs) (starlark.Value, error) { return starlark.None, nil })
	list := starlark.Tuple{starlark.String("x"), starlark.MakeInt(1)}
	_, err := call(t, b, nil, kw("s", starlark.MakeInt(1)), kw("u8", starlark.MakeInt(256)), kw("i64", starlark.Float(1)),
		kw("l", list), kw("m", list), kw("fn", list), kw("enums", list), kw("b", starlark.MakeInt(1)), kw("late", starlark.True))
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{
		"all: s: got int, want string", "all: u8: got 256, want an int of 0 to 255", "all: i64: got float, want int",
		"all: l[1]: got int, want string", "all: m: got tuple, want dict of strings", "all: fn: got tuple, want function",
		`all: enums[0]: got "x", want`, "all: enums[1]: got int, want string", "all: b: got int, want bool", "all: late: got bool, want list of strings",
	} {
		if want == `all: enums[0]: got "x", want` {
			if strings.Contains(err.Error(), want) {
				t.Errorf("got %q, want x accepted", err)
			}
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
}

// A malformed declaration is found when the program starts, that is, in every test.
func TestMalformedDeclarations(t *testing.T) {
	declare := map[string]func(){
		"must start with": func() { newOf[struct{}]("f", "Makes something.") },
		"want a name and a doc tag": func() {
			newOf[struct {
				A string `star:"a"`
			}]("f", "f does.")
		},
		"with a star tag": func() { newOf[struct{ A string }]("f", "f does.") },
		"unknown word": func() {
			newOf[struct {
				A string `star:"a,kyword" doc:"a"`
			}]("f", "f does.")
		},
		"optional without a default": func() {
			newOf[struct {
				A string `star:"a,optional" doc:"a"`
			}]("f", "f does.")
		},
		"default 3": func() {
			newOf[struct {
				A string `star:"a" default:"3" doc:"a"`
			}]("f", "f does.")
		},
		"empty default": func() {
			newOf[struct {
				A string `star:"a" default:"" doc:"a"`
			}]("f", "f does.")
		},
		"can't be a parameter": func() {
			newOf[struct {
				A chan int `star:"a" doc:"a"`
			}]("f", "f does.")
		},
		"want one of \"x\"": func() {
			newOf[struct {
				A string `star:"a" default:"\"y\"" enum:"x" doc:"a"`
			}]("f", "f does.")
		},
		"positional after keyword":       func() { newOf[struct{ A, B string }]("f", "f does.") },
		"declared twice":                 func() { newOf[twice]("f", "f does.") },
		"field B: positional after keyw": func() { newOf[disorder]("f", "f does.") },
	}
	delete(declare, "positional after keyword")
	for want, f := range declare {
		func() {
			defer func() {
				if r := recover(); r == nil || !strings.Contains(r.(string), want) {
					t.Errorf("got panic %v, want %q in it", r, want)
				}
			}()
			f()
		}()
	}
}

type twice struct {
	A string `star:"a" doc:"a"`
	B string `star:"a" doc:"b"`
}

type disorder struct {
	A string `star:"a,keyword" doc:"a"`
	B string `star:"b" doc:"b"`
}

func newOf[A any](name, doc string) {
	schema.New(name, doc, func(*schema.Call, *A) (starlark.Value, error) { return starlark.None, nil }).Params()
}

func TestSuggest(t *testing.T) {
	options := []string{"options", "source", "links", "toolchain", "config_fragments", "CONFIG_STATIC"}
	for got, want := range map[string]string{
		"optoins": "options", "option": "options", "opts": "options", "opt": "options", "Source": "source", "src": "source",
		"lniks": "links", "tool_chain": "toolchain", "config-fragments": "config_fragments", "STATIC": "",
		"CONFIG_STATC": "CONFIG_STATIC", "zebra": "", "": "", "links": "",
	} {
		if s := schema.Suggest(got, options); s != want {
			t.Errorf("Suggest(%q) = %q, want %q", got, s, want)
		}
	}
	for _, got := range []string{"amd64", "x86-64", "x64"} {
		if s := schema.Suggest(got, []string{"x86_64", "arm64"}); s != "x86_64" {
			t.Errorf("Suggest(%q) = %q, want x86_64", got, s)
		}
	}
	// Of two as near, the one that starts the same; what is further is no tie.
	if s := schema.Suggest("HTPD", []string{"FTPD", "HALT", "HTTPD", "HDPARM"}); s != "HTTPD" {
		t.Errorf("got %q, want HTTPD", s)
	}
}

func FuzzSuggest(f *testing.F) {
	f.Add("optoins", "options", "source")
	f.Add("ä", "ö", "")
	f.Fuzz(func(t *testing.T, got, a, b string) {
		if s := schema.Suggest(got, []string{a, b}); s != "" && s != a && s != b {
			t.Errorf("got %q, which is no candidate", s)
		}
	})
}

func TestDictJSON(t *testing.T) {
	d := schema.Dict[any]{{Key: "z", Value: int64(1) << 60}, {Key: "a<b", Value: schema.Dict[any]{{Key: "y", Value: 1.5}, {Key: "b", Value: nil}}}, {Key: "l", Value: []any{"<x>", true}}}
	b, err := action.Canonical(d)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"z":1152921504606846976,"a<b":{"y":1.5,"b":null},"l":["<x>",true]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back schema.Dict[any]
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, d) {
		t.Errorf("got %#v, want %#v", back, d)
	}
	var late schema.Dict[action.Late]
	if err := json.Unmarshal([]byte(`{"b":"1","a":"2"}`), &late); err != nil || late[0].Key != "b" || late[1].Value != "2" {
		t.Errorf("got %v, %v", late, err)
	}
	for _, bad := range []string{`[1]`, `{"a":`, `3`} {
		if err := json.Unmarshal([]byte(bad), &late); err == nil {
			t.Errorf("%s: got no error", bad)
		}
	}
	if v, err := schema.UnmarshalAny([]byte(` [1, 2.5, {"b": null}] `)); err != nil || !reflect.DeepEqual(v, []any{int64(1), 2.5, schema.Dict[any]{{Key: "b"}}}) {
		t.Errorf("got %#v, %v", v, err)
	}
	if _, err := schema.UnmarshalAny([]byte(`1 2`)); err == nil {
		t.Error("got no error for two values")
	}
}

type docArgs struct {
	Source  *schema.Artifact `star:"source" kind:"file|tree" doc:"the source"`
	Options []string         `star:"options,optional" doc:"what to switch on, as a|b"`
	Mode    string           `star:"mode,keyword" default:"\"fast\"" enum:"fast,slow" doc:"how"`
}

func TestDocs(t *testing.T) {
	b := schema.New("busybox", "busybox compiles busybox. It takes a minute.\n\nMore.",
		func(*schema.Call, *docArgs) (starlark.Value, error) { return starlark.None, nil }, schema.Returns("a tree"))
	want := "## busybox\n\n```python\nbusybox(source, options = None, *, mode = \"fast\")\n```\n\n" +
		"busybox compiles busybox. It takes a minute.\n\nMore.\n\n" +
		"| argument | type | default | |\n|---|---|---|---|\n" +
		"| `source` | file or tree | required | the source. |\n" +
		"| `options` | list of strings | `None` | what to switch on, as a\\|b. |\n" +
		"| `mode` | string | `\"fast\"` | how One of `fast`, `slow`. |\n\nReturns a tree.\n"
	if got := b.Markdown(); got != strings.Replace(want, "how One", "how. One", 1) {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := b.Summary(); got != "busybox compiles busybox." {
		t.Errorf("got summary %q", got)
	}
	j, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"name":"busybox"`, `"returns":"a tree"`, `{"name":"source","type":"file or tree","doc":"the source","required":true}`, `"enum":["fast","slow"],"keyword":true`} {
		if !strings.Contains(string(j), part) {
			t.Errorf("got %s, want %s in it", j, part)
		}
	}
}

// The unpacking itself, without making an action.
func BenchmarkCall(b *testing.B) {
	f := schema.New("all", "all takes everything.", func(_ *schema.Call, _ *allArgs) (starlark.Value, error) { return starlark.None, nil })
	thread := &starlark.Thread{}
	(&schema.Session{Context: b.Context(), Scope: action.NewScope()}).Attach(thread)
	args := starlark.Tuple{starlark.String("x"), starlark.True}
	kwargs := []starlark.Tuple{kw("i", starlark.MakeInt(3)), kw("l", starlark.Tuple{starlark.String("x")})}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := starlark.Call(thread, f, args, kwargs); err != nil {
			b.Fatal(err)
		}
	}
}
