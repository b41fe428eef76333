package webpubsub_test

import (
	"fmt"
	"strings"
	"testing"

	"example.com/webpubsub"
)

func TestFilter(t *testing.T) {
	const userA, groupG = webpubsub.Filter("userId eq 'a'"), webpubsub.Filter("'g' in groups")
	for _, tt := range []struct{ got, want webpubsub.Filter }{
		{webpubsub.FilterUsers("alice"), "userId eq 'alice'"},
		{webpubsub.FilterUsers("alice", "o'brien"), "userId in ('alice','o''brien')"},
		{webpubsub.FilterConnections("c1", "c2"), "connectionId in ('c1','c2')"},
		{webpubsub.FilterGroup("it's"), "'it''s' in groups"},
		{webpubsub.FilterUserPrefix("listener-"), "startswith(userId, 'listener-')"},
		{webpubsub.FilterAnonymous().Not(), "not (userId eq null)"},
		{userA.And(groupG), "(userId eq 'a') and ('g' in groups)"},
		{userA.Or(groupG), "(userId eq 'a') or ('g' in groups)"},
		// An operator binds its whole operand, also one that was written by hand.
		{webpubsub.Filter("true or false").And(userA).Not(), "not ((true or false) and (userId eq 'a'))"},

		// No ID selects no connection, and never every connection.
		{webpubsub.FilterUsers(), "false"},
		{webpubsub.FilterConnections([]string{}...), "false"},

		// The empty filter selects every connection.
		{webpubsub.Filter("").And(userA), userA},
		{userA.And(""), userA},
		{webpubsub.Filter("").And(""), ""},
		{userA.Or(""), ""},
		{webpubsub.Filter("").Or(userA), ""},
		{webpubsub.Filter("").Not(), "false"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
	}
}

// No value gets out of its literal.
func FuzzFilterLiteral(f *testing.F) {
	for _, s := range []string{"", "'", "''", " or true or userId eq ", "' or true or userId eq '", "%s", `\'`, "\x00", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, literal := range []string{
			webpubsub.FilterLiteral(s),
			strings.TrimPrefix(string(webpubsub.FilterUsers(s)), "userId eq "),
			strings.TrimSuffix(string(webpubsub.FilterGroup(s)), " in groups"),
		} {
			if back, ok := unquote(literal); !ok || back != s {
				t.Errorf("%q gives %s, which reads as %q", s, literal, back)
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

func ExampleFilter() {
	author := "o'brien"
	fmt.Println(webpubsub.FilterGroup("news").And(webpubsub.FilterUsers(author).Not()))
	// Output: ('news' in groups) and (not (userId eq 'o''brien'))
}
