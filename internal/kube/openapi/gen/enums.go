package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// readEnums finds the closed sets of values in the sources of k8s.io/api: string
// types marked "+enum", their constants, and the fields that are of such a type.
// The result is by "io.k8s.api.core.v1.Container imagePullPolicy".
func readEnums(dir string) (map[string][]string, error) {
	values := map[string][]string{} // by package and type
	fields := map[string]string{}   // by OpenAPI name and field: package and type
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "types.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, filepath.Dir(path))
		if err != nil {
			return err
		}
		readFile(f, filepath.ToSlash(rel), values, fields)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for field, typ := range fields {
		if v := values[typ]; len(v) > 0 {
			slices.Sort(v)
			out[field] = slices.Compact(v)
		}
	}
	return out, nil
}

func readFile(f *ast.File, pkg string, values map[string][]string, fields map[string]string) {
	imports := map[string]string{}
	for _, im := range f.Imports {
		path, _ := strconv.Unquote(im.Path.Value)
		rel := strings.TrimPrefix(path, "k8s.io/api/")
		name := rel[strings.LastIndexByte(rel, '/')+1:]
		if im.Name != nil {
			name = im.Name.Name
		}
		imports[name] = rel
	}
	closed := map[string]bool{}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		for _, s := range g.Specs {
			ts := s.(*ast.TypeSpec)
			if strings.Contains(g.Doc.Text()+ts.Doc.Text(), "+enum") || commented(g.Doc, "+enum") {
				closed[ts.Name.Name] = true
			}
			if st, ok := ts.Type.(*ast.StructType); ok {
				readStruct(st, "io.k8s.api."+strings.ReplaceAll(pkg, "/", ".")+"."+ts.Name.Name, pkg, imports, fields)
			}
		}
	}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			vs := s.(*ast.ValueSpec)
			id, ok := vs.Type.(*ast.Ident)
			if !ok || !closed[id.Name] {
				continue
			}
			for _, v := range vs.Values {
				if lit, ok := v.(*ast.BasicLit); ok {
					text, _ := strconv.Unquote(lit.Value)
					values[pkg+"."+id.Name] = append(values[pkg+"."+id.Name], text)
				}
			}
		}
	}
}

// commented looks at the lines that Text leaves out: directives.
func commented(c *ast.CommentGroup, mark string) bool {
	if c == nil {
		return false
	}
	for _, l := range c.List {
		if strings.TrimSpace(strings.TrimPrefix(l.Text, "//")) == mark {
			return true
		}
	}
	return false
}

func readStruct(st *ast.StructType, name, pkg string, imports map[string]string, fields map[string]string) {
	for _, f := range st.Fields.List {
		if f.Tag == nil {
			continue
		}
		_, tag, ok := strings.Cut(f.Tag.Value, `json:"`)
		if !ok {
			continue
		}
		tag, _, _ = strings.Cut(tag, `"`)
		tag, _, _ = strings.Cut(tag, ",")
		if tag == "" {
			continue
		}
		x := f.Type
		for {
			switch y := x.(type) {
			case *ast.StarExpr:
				x = y.X
				continue
			case *ast.ArrayType:
				x = y.Elt
				continue
			}
			break
		}
		switch y := x.(type) {
		case *ast.Ident:
			fields[name+" "+tag] = pkg + "." + y.Name
		case *ast.SelectorExpr:
			if p, ok := y.X.(*ast.Ident); ok {
				fields[name+" "+tag] = imports[p.Name] + "." + y.Sel.Name
			}
		}
	}
}
