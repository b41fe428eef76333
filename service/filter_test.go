package service_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/service"
)

type name string

func TestFilter(t *testing.T) {
	var nobody *netip.Addr
	tests := []struct {
		got, want string
	}{
		{service.Filter("userId eq null"), "userId eq null"},
		{service.Filter("userId ne %s and %s in groups", "alice", "news"), "userId ne 'alice' and 'news' in groups"},
		{service.Filter("userId eq %s", "it's ''fine"), "userId eq 'it''s ''''fine'"},
		{service.Filter("userId eq '%s'", "it's"), "userId eq 'it''s'"},
		{service.Filter("startswith(userId, 'list''ener-%s-')", "a'b"), "startswith(userId, 'list''ener-a''b-')"},
		{service.Filter("userId eq '%s%s'", "a", "b"), "userId eq 'ab'"},
		{service.Filter("userId eq %q", name("x")), "userId eq 'x'"},
		{service.Filter("userId in %s", []string{"a", "b'c"}), "userId in ('a','b''c')"},
		{service.Filter("length(userId) gt %d and length(userId) lt %v", -5, uint8(9)), "length(userId) gt -5 and length(userId) lt 9"},
		{service.Filter("userId eq 'u%d'", 7), "userId eq 'u7'"},
		{service.Filter("%t or %v", true, false), "true or false"},
		{service.Filter("userId eq %v", nil), "userId eq null"},
		{service.Filter("userId eq %s", 90*time.Second), "userId eq '1m30s'"},
		{service.Filter("userId eq %s", nobody), "userId eq '<nil>'"},
		{service.Filter("endswith(userId, '100%%')"), "endswith(userId, '100%')"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

// TestFilterRefuses checks that a mistake is never a filter that selects
// somebody. The formats are variables, so that go vet does not find them first.
func TestFilterRefuses(t *testing.T) {
	tests := []struct {
		format string
		args   []any
		want   string
	}{
		{"userId eq %s", nil, "more verbs than arguments"},
		{"userId eq 'x'", []any{"y"}, "more arguments than verbs"},
		{"userId eq %", nil, "ends with %"},
		{"userId eq %5d", []any{1}, "unknown verb %5"},
		{"userId eq 'x", nil, "a quote is not closed"},
		{"userId eq %s'", []any{"x"}, "a quote is not closed"},
		{"userId eq %v", []any{1.5}, "argument 1 of type float64"},
		{"userId eq %s and userId eq %s", []any{"x", []byte("y")}, "argument 2 of type []uint8"},
		{"userId in %s", []any{[]string{}}, "empty list"},
		{"userId in '%s'", []any{[]string{"a"}}, "list between quotes"},
		{"userId eq '%v'", []any{nil}, "nil between quotes"},
	}
	for _, tt := range tests {
		if got := service.Filter(tt.format, tt.args...); !strings.HasPrefix(got, "%!(service.Filter: ") || !strings.Contains(got, tt.want) {
			t.Errorf("Filter(%q): %s, want %q in it", tt.format, got, tt.want)
		}
	}
}

// FuzzFilter checks that no argument gets out of its literal, with quotes in the
// format and without.
func FuzzFilter(f *testing.F) {
	for _, s := range []string{"", "'", "''", " or true or userId eq ", "' or true or userId eq '", "%s", `\'`, "\x00", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, format := range []string{"userId eq %s", "userId eq '%s'"} {
			got := service.Filter(format, s)
			rest, ok := strings.CutPrefix(got, "userId eq ")
			if !ok {
				t.Fatalf("%q gives %q", s, got)
			}
			if back, ok := unquote(rest); !ok || back != s {
				t.Errorf("%s: %q gives %q, which reads as %q", format, s, got, back)
			}
		}
	})
}

// unquote reads text as exactly one OData string literal.
func unquote(text string) (string, bool) {
	if len(text) < 2 || text[0] != '\'' || text[len(text)-1] != '\'' {
		return "", false
	}
	var b strings.Builder
	for inner := text[1 : len(text)-1]; inner != ""; inner = inner[1:] {
		if inner[0] == '\'' {
			if len(inner) < 2 || inner[1] != '\'' {
				return "", false // the literal ends here
			}
			inner = inner[1:]
		}
		b.WriteByte(inner[0])
	}
	return b.String(), true
}
