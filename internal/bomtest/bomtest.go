// Package bomtest has what others read bills of materials with, for tests: the
// official JSON schema of CycloneDX, and SPDX's own library for Go.
package bomtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdxlib"
	"github.com/xeipuuv/gojsonschema"
)

// CycloneDX holds a document against the schema of CycloneDX 1.6, which the module of
// its library has beside the code, and has the library read it.
func CycloneDX(t testing.TB, doc []byte) *cyclonedx.BOM {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	if err != nil {
		t.Fatalf("looking for CycloneDX' schemas: %v", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema")
	schemas := gojsonschema.NewSchemaLoader()
	for id, file := range map[string]string{"spdx.schema.json": "spdx.schema.json", "jsf-0.82.schema.json": "jsf-0.82.schemax.json"} {
		if err := schemas.AddSchema("http://cyclonedx.org/schema/"+id, loader(t, filepath.Join(dir, file))); err != nil {
			t.Fatal(err)
		}
	}
	schema, err := schemas.Compile(loader(t, filepath.Join(dir, "bom-1.6.schema.json")))
	if err != nil {
		t.Fatal(err)
	}
	result, err := schema.Validate(gojsonschema.NewBytesLoader(doc))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range result.Errors() {
		t.Errorf("CycloneDX' schema: %s", e)
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(bytes.NewReader(doc), cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Errorf("CycloneDX' library: %v", err)
	}
	return &bom
}

func loader(t testing.TB, file string) gojsonschema.JSONLoader {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return gojsonschema.NewBytesLoader(b)
}

// SPDX has SPDX's library read a document of version 2.3, check it and write it again:
// what it does not know is not in there any more.
func SPDX(t testing.TB, doc []byte) {
	t.Helper()
	read, err := spdxjson.Read(bytes.NewReader(doc))
	if err != nil {
		t.Fatalf("SPDX' library: %v", err)
	}
	if err := spdxlib.ValidateDocument(read); err != nil {
		t.Errorf("SPDX' library: %v", err)
	}
	var again bytes.Buffer
	if err := spdxjson.Write(read, &again); err != nil {
		t.Fatalf("SPDX' library: %v", err)
	}
	var ours, theirs any
	for _, one := range []struct {
		b    []byte
		into *any
	}{{doc, &ours}, {again.Bytes(), &theirs}} {
		if err := json.Unmarshal(one.b, one.into); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range missing("", ours, theirs) {
		t.Errorf("SPDX' library read and wrote again: %s", d)
	}
}

// missing lists what ours has and theirs has not, or has otherwise.
func missing(at string, ours, theirs any) (list []string) {
	switch ours := ours.(type) {
	case map[string]any:
		other, _ := theirs.(map[string]any)
		for k, v := range ours {
			if _, ok := other[k]; !ok {
				list = append(list, fmt.Sprintf("%s.%s is not there", at, k))
				continue
			}
			list = append(list, missing(at+"."+k, v, other[k])...)
		}
	case []any:
		other, _ := theirs.([]any)
		if len(other) != len(ours) {
			return []string{fmt.Sprintf("%s has %d elements, want %d", at, len(other), len(ours))}
		}
		for i, v := range ours {
			list = append(list, missing(fmt.Sprintf("%s[%d]", at, i), v, other[i])...)
		}
	default:
		if !reflect.DeepEqual(ours, theirs) {
			list = append(list, fmt.Sprintf("%s: got %v, want %v", at, theirs, ours))
		}
	}
	return list
}
