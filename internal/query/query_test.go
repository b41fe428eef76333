package query_test

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"example.com/webpubsub/internal/query"
)

// ?filter=userId eq 'a;b' sent a message to everybody: url.Query dropped the
// filter. No pair may vanish.
func TestParse(t *testing.T) {
	for raw, want := range map[string]query.Values{
		"":                        {},
		"&&":                      {},
		"a=1&b=2":                 {"a": {"1"}, "b": {"2"}},
		"a":                       {"a": {""}},
		"=x":                      {"": {"x"}},
		"a=b=c":                   {"a": {"b=c"}},
		"a=x+y%20z%2B":            {"a": {"x y z+"}},
		"filter=userId eq 'a;b'":  {"filter": {"userId eq 'a;b'"}},
		"a;b=1&c=2;d":             {"a;b": {"1"}, "c": {"2;d"}},
		"filter=%zz&x=100%&y=%4":  {"filter": {"%zz"}, "x": {"100%"}, "y": {"%4"}},
		"a=%FF%C3%A4%C3&b=%E6%97": {"a": {"%FFä%C3"}, "b": {"%E6%97"}},
		"a=\xffä\xca%80":          {"a": {"%FFäʀ"}},
		"q=1&Q=2&%51=3":           {"q": {"1", "2", "3"}},
		"a=%00":                   {"a": {"\x00"}},
	} {
		if got := query.Parse(raw); !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %q, want %q", raw, got, want)
		}
	}
	v := query.Parse("API-version=1&x=2")
	if v.Get("api-Version") != "1" || v.All("X")[0] != "2" || v.All("y") != nil || v.Get("y") != "" {
		t.Errorf("names are compared with case: %v", v)
	}
}

// Every pair is there, in UTF-8, and what the standard library can read has the
// same values.
func FuzzParse(f *testing.F) {
	f.Add("a=1&b;c=%zz&A=%FF%C3%A4+x")
	f.Add("filter=userId%20eq%20'a;b'&&=")
	f.Fuzz(func(t *testing.T, raw string) {
		got, pairs, values := query.Parse(raw), 0, 0
		for pair := range strings.SplitSeq(raw, "&") {
			if pair != "" {
				pairs++
			}
		}
		for name, all := range got {
			values += len(all)
			if !utf8.ValidString(name + strings.Join(all, "")) {
				t.Errorf("%q has values that are not UTF-8", name)
			}
		}
		if values != pairs {
			t.Errorf("%d pairs have become %d values", pairs, values)
		}
		want, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		for name, all := range want {
			if !utf8.ValidString(name + strings.Join(all, "")) {
				return
			}
		}
		for name, all := range want {
			have := got.All(name)
			for _, value := range all {
				found := false
				for _, v := range have {
					found = found || v == value
				}
				if !found {
					t.Errorf("%q: %q is missing in %q", name, value, have)
				}
			}
		}
	})
}
