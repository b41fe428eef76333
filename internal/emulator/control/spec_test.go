package control_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"example.com/webpubsub/internal/emulator/control"
)

// spec is openapi.json as a check of requests and responses.
type spec struct {
	doc      map[string]any
	compiler *jsonschema.Compiler
}

var parsed = sync.OnceValues(func() (any, error) {
	return jsonschema.UnmarshalJSON(bytes.NewReader(control.Description))
})

func newSpec(t testing.TB) *spec {
	t.Helper()
	doc, err := parsed()
	if err != nil {
		t.Fatal(err)
	}
	s := &spec{doc: doc.(map[string]any), compiler: jsonschema.NewCompiler()}
	s.compiler.AssertFormat()
	if err := s.compiler.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *spec) paths() map[string]any { return s.doc["paths"].(map[string]any) }

// find returns the path of the description that a request is for: the one with the
// most fixed parts.
func (s *spec) find(escaped string) string {
	segments := strings.Split(escaped, "/")
	best, fixed := "", -1
	for path := range s.paths() {
		parts := strings.Split(path, "/")
		if len(parts) != len(segments) {
			continue
		}
		n := 0
		for i, p := range parts {
			if p == segments[i] {
				n++
			} else if !strings.HasPrefix(p, "{") {
				n = -1
				break
			}
		}
		if n > fixed {
			best, fixed = path, n
		}
	}
	return best
}

// seen are the operations with the statuses that tests have checked.
var seen sync.Map

// check holds a response against the description.
func (s *spec) check(t testing.TB, req *http.Request, res *http.Response, body []byte) {
	t.Helper()
	path := s.find(strings.TrimPrefix(req.URL.EscapedPath(), control.Path))
	method := strings.ToLower(req.Method)
	item, _ := s.paths()[path].(map[string]any)
	op, ok := item[method].(map[string]any)
	if !ok { // an unknown operation: the error has the common form
		s.validate(t, "#/components/schemas/Error", body)
		return
	}
	status := fmt.Sprint(res.StatusCode)
	responses := op["responses"].(map[string]any)
	described, ok := responses[status].(map[string]any)
	if !ok {
		t.Errorf("%s %s answers %s, which is not described: %s", req.Method, path, status, body)
		return
	}
	seen.Store(req.Method+" "+path+" "+status, true)
	at := "#/paths/" + pointer(path) + "/" + method + "/responses/" + status
	if ref, ok := described["$ref"].(string); ok {
		at = ref
		described = s.doc["components"].(map[string]any)["responses"].(map[string]any)["Error"].(map[string]any)
	}
	content, ok := described["content"].(map[string]any)
	if !ok {
		if len(body) > 0 {
			t.Errorf("%s %s answers %s with a body: %s", req.Method, path, status, body)
		}
		return
	}
	contentType := res.Header.Get("Content-Type")
	if _, ok := content[contentType]; !ok {
		t.Errorf("%s %s answers with %s, which is not described", req.Method, path, contentType)
		return
	}
	if contentType == "application/json" {
		s.validate(t, at+"/content/"+pointer(contentType)+"/schema", body)
	}
	if contentType == "application/x-ndjson" {
		for line := range bytes.Lines(body) {
			s.validate(t, "#/components/schemas/EntryDetail", line)
		}
	}
}

func (s *spec) validate(t testing.TB, at string, body []byte) {
	t.Helper()
	schema, err := s.compiler.Compile("openapi.json" + at)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Errorf("not JSON: %v: %s", err, body)
		return
	}
	if err := schema.Validate(v); err != nil {
		t.Errorf("%v\nbody: %s", err, body)
	}
}

func pointer(s string) string {
	return strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(s)
}

// The description names exactly the operations that are served, with the parameters
// that they take and the token that they need, and every schema of it is one.
func TestDescriptionFitsTheOperations(t *testing.T) {
	s := newSpec(t)
	described := make(map[string]map[string]any)
	for path, item := range s.paths() {
		for method, op := range item.(map[string]any) {
			described[strings.ToUpper(method)+" "+path] = op.(map[string]any)
		}
	}
	for _, op := range control.Operations() {
		name := op.Method + " " + op.Pattern
		d, ok := described[name]
		if !ok {
			t.Errorf("%s is not described", name)
			continue
		}
		delete(described, name)
		var query, path []string
		parameters, _ := d["parameters"].([]any)
		for _, p := range parameters {
			p := p.(map[string]any)
			if ref, ok := p["$ref"].(string); ok {
				p = s.doc["components"].(map[string]any)["parameters"].(map[string]any)[strings.TrimPrefix(ref, "#/components/parameters/")].(map[string]any)
			}
			switch p["in"] {
			case "query":
				query = append(query, p["name"].(string))
			case "path":
				path = append(path, "{"+p["name"].(string)+"}")
			}
		}
		want := slices.Sorted(slices.Values(op.Query))
		if slices.Sort(query); !slices.Equal(query, want) {
			t.Errorf("%s is described with the query parameters %v and takes %v", name, query, want)
		}
		var parts []string
		for p := range strings.SplitSeq(op.Pattern, "/") {
			if strings.HasPrefix(p, "{") {
				parts = append(parts, p)
			}
		}
		if !slices.Equal(path, parts) {
			t.Errorf("%s is described with the path parameters %v and has %v", name, path, parts)
		}
		read, _ := d["x-read-only-token"].(bool)
		security, hasSecurity := d["security"].([]any)
		if read != op.Read || op.Open != (hasSecurity && len(security) == 0) {
			t.Errorf("%s: the description and the operation differ in which token it needs", name)
		}
	}
	for name := range described {
		t.Errorf("%s is described and not served", name)
	}
	for name := range s.doc["components"].(map[string]any)["schemas"].(map[string]any) {
		if _, err := s.compiler.Compile("openapi.json#/components/schemas/" + name); err != nil {
			t.Error(err)
		}
	}
}

// The description that is served is the one in the tree.
func TestDescriptionIsServedWithoutToken(t *testing.T) {
	r := start(t, emulatorOptions)
	r.token = ""
	status, body := r.do("GET", "/openapi.json", "")
	if status != 200 || !json.Valid(body) || !bytes.Equal(body, control.Description) {
		t.Errorf("%d %.100s", status, body)
	}
}
