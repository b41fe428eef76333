package biceptest_test

import (
	"strings"
	"testing"

	"example.com/webpubsub/internal/test/biceptest"
)

// The tests of infra/ show what is found with a table. These show that a table
// with a slip in it is not taken for one that allows everything.
func TestLoadTypes(t *testing.T) {
	for text, want := range map[string]string{
		`{"resources": {"A/b@1": {"name!": "string", "n": "1..3", "e": "'a' | 'b'", "m": {"*": "int"}, "l": ["bool"]}}}`: "",
		`{"resources": {"A/b@1": {"name!": "strin"}}}`:                                                                   `name!: "strin" is no type`,
		`{"resources": {"A/b@1": {"e": "'a' , 'b'"}}}`:                                                                   "is no type",
		`{"resources": {"A/b@1": {"p": "/[/"}}}`:                                                                         "missing closing ]",
		`{"resources": {"A/b@1": {"l": ["bool", "int"]}}}`:                                                               "an array has one type",
		`{"resources": {"A/b@1": {"name!-": "string"}}}`:                                                                 "at most one of ! - + is a mark",
		`{"resources": {"A/b@1": {"a": {"b": {"c": ""}}}}}`:                                                              `a: b: c: "" is no type`,
		`{"resource": {}}`: "unknown field",
	} {
		_, err := biceptest.LoadTypes([]byte(text))
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: error %v, want %q in it", text, err, want)
		}
	}
}
