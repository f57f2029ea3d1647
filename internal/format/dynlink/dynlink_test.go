package dynlink_test

import (
	"bytes"
	"debug/elf"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/labstar/labstar/internal/format/dynlink"
	"github.com/labstar/labstar/internal/format/dynlink/elftest"
)

func TestRead(t *testing.T) {
	f := elftest.File{
		Interp: "/lib/ld.so.1", Needed: []string{"liba.so.1", "libc.so.6"}, RPath: "/a:$ORIGIN/b", RunPath: "/c", SoName: "me",
		Wants: map[string][]string{"libc.so.6": {"GLIBC_2.2.5", "GLIBC_2.38"}, "liba.so.1": {"A_1"}}, Has: []string{"ME_1", "ME_2"},
	}
	o, err := dynlink.Read(bytes.NewReader(f.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	want := &dynlink.Object{
		Class: elf.ELFCLASS64, Machine: elf.EM_X86_64, Type: elf.ET_EXEC, Interp: f.Interp, Dynamic: true, SoName: "me",
		Needed: f.Needed, RPath: []string{"/a", "$ORIGIN/b"}, RunPath: []string{"/c"}, Wants: f.Wants, Has: f.Has,
	}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("got  %+v\nwant %+v", o, want)
	}
}

// Real files, read by debug/elf too.
func TestReadReal(t *testing.T) {
	seen := 0
	for _, name := range []string{"/bin/sh", "/bin/ls", "/usr/bin/perl", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libm.so.6"} {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		o, err := dynlink.Read(bytes.NewReader(b))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		f, err := elf.NewFile(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		needed, err := f.DynString(elf.DT_NEEDED)
		if err != nil || !slices.Equal(needed, o.Needed) {
			t.Errorf("%s: got needed %q, want %q (%v)", name, o.Needed, needed, err)
		}
		versions, err := f.DynamicVersions()
		if err != nil && len(o.Has) > 0 {
			t.Errorf("%s: %v", name, err)
		}
		var has []string
		for _, v := range versions {
			if v.Flags&elf.VER_FLG_BASE == 0 {
				has = append(has, v.Name)
			}
		}
		if !slices.Equal(has, o.Has) {
			t.Errorf("%s: got versions %q, want %q", name, o.Has, has)
		}
		needs, err := f.DynamicVersionNeeds()
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range needs {
			if len(o.Wants[n.Name]) == 0 && len(n.Needs) > 0 {
				t.Errorf("%s: got nothing wanted of %s, want %v", name, n.Name, n.Needs)
			}
		}
		seen++
	}
	t.Logf("compared %d files", seen)
	if seen == 0 {
		t.Skip("none of the files is here")
	}
}

func FuzzRead(f *testing.F) {
	f.Add(elftest.File{}.Bytes())
	f.Add(elftest.File{Interp: "/x", Needed: []string{"a"}, Wants: map[string][]string{"a": {"b"}}, Has: []string{"c"}}.Bytes())
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = dynlink.Read(bytes.NewReader(b)) // may fail, never panics
	})
}
