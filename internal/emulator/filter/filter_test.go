package filter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"example.com/webpubsub/internal/emulator/filter"
)

// connection is a Subject.
type connection struct {
	user      string
	anonymous bool
	id        string
	protocol  string
	groups    []string
}

func (c *connection) UserID() (string, bool) { return c.user, !c.anonymous }
func (c *connection) ConnectionID() string   { return c.id }
func (c *connection) Protocol() string       { return c.protocol }
func (c *connection) GroupCount() int        { return len(c.groups) }

func (c *connection) InGroup(name string) bool {
	for _, g := range c.groups {
		if g == name {
			return true
		}
	}
	return false
}

var (
	alice  = &connection{user: "alice", id: "c1", protocol: "json.webpubsub.azure.v1", groups: []string{"news", "chat"}}
	nobody = &connection{anonymous: true, id: "c2"}
)

func TestMatch(t *testing.T) {
	tests := []struct {
		filter        string
		alice, nobody bool
	}{
		{"", true, true},

		// Comparisons.
		{"userId eq 'alice'", true, false},
		{"userId eq 'Alice'", false, false},
		{"userId ne 'alice'", false, true},
		{"userId eq null", false, true},
		{"userId ne null", true, false},
		{"null eq userId", false, true},
		{"connectionId ne 'c1'", false, true},
		{"protocol eq 'json.webpubsub.azure.v1'", true, false},
		{"protocol eq null", false, true},
		{"userId eq ''", false, false},
		{"USERID eq 'alice' and ConnectionID eq 'c1'", true, false},
		{"userId eq connectionId", false, false},
		{"userId eq 5", false, false},
		{"userId ne 5", true, true},
		{"length(userId) eq 5", true, false},
		{"length(userId) eq null", false, true},
		{"length(userId) eq tolower(protocol)", false, true},
		{"(userId eq 'alice') eq true", true, false},
		{"groups eq 'news'", false, false},
		{"groups eq null", false, false},

		// Order compares integers, and null is in no order.
		{"length(userId) gt 4", true, false},
		{"length(userId) gt 5", false, false},
		{"length(userId) ge 5", true, false},
		{"length(userId) lt 6", true, false},
		{"length(userId) lt 5", false, false},
		{"length(userId) le 5", true, false},
		{"length(userId) gt -1", true, false},
		{"length(userId) gt +4", true, false},
		{"length(groups) ge 2", true, false},
		{"length(groups) lt 1", false, true},
		{"not (length(userId) gt 5)", true, true},
		{"null lt 5", false, false},
		{"-2147483648 lt 2147483647", true, true},

		// Logic.
		{"true", true, true},
		{"false", false, false},
		{"not false", true, true},
		{"not not (userId eq 'alice')", true, false},
		{"true or false and false", true, true},
		{"(true or false) and false", false, false},
		{"not true or true", true, true},
		{"false or false or userId eq 'alice'", true, false},
		{"true and true and userId eq 'alice'", true, false},
		{"not endswith(userId, 'milk')", true, true},

		// in.
		{"'news' in groups", true, false},
		{"'News' in groups", false, false},
		{"'news' in Groups", true, false},
		{"'news' in (groups)", true, false},
		{"not 'news' in groups", false, true},
		{"'news' in groups and not('sport' in groups)", true, false},
		{"'sport' in groups or 'chat' in groups", true, false},
		{"userId in groups", false, false},
		{"5 in groups", false, false},
		{"userId in ('bob','alice')", true, false},
		{"userId in ('bob', 'carol')", false, false},
		{"userId in ('bob', null)", false, true},
		{"userId in ('alice')", true, false},
		{"userId in ()", false, false},
		{"userId in (connectionId, tolower('ALICE'))", true, false},
		{"userId in (5, 'alice')", true, false},
		{"length(userId) in (4, 5)", true, false},
		{"userId in ('Doe, John', 'O''Brien', 'alice')", true, false},

		// Functions.
		{"tolower('ÀLICE') eq 'àlice'", true, true},
		{"toupper(userId) eq 'ALICE'", true, false},
		{"trim('  alice ') eq userId", true, false},
		{"concat(userId, '!') eq 'alice!'", true, false},
		{"concat(userId, '!') eq '!'", false, true},
		{"concat(userId, protocol) eq null", false, true},
		{"substring(userId, 1) eq 'lice'", true, false},
		{"substring(userId, 1, 2) eq 'li'", true, false},
		{"substring(userId, 5) eq ''", true, false},
		{"substring(userId, 6) eq null", true, true},
		{"substring(userId, 1, 5) eq null", true, true},
		{"substring(userId, -1) eq null", true, true},
		{"substring(userId, 0, -1) eq null", true, true},
		{"substring('abc', length(substring(connectionId, 9))) eq null", true, true},
		{"indexof(userId, 'ice') eq 2", true, false},
		{"indexof(userId, 'x') eq -1", true, true},
		{"indexof(userId, '') eq 0", true, false},
		{"contains(userId, 'lic')", true, false},
		{"contains(userId, null)", false, false},
		{"startswith(userId, 'al')", true, false},
		{"endswith(userId, 'ice')", true, false},
		{"endswith(userId, 'al')", false, false},
		{"startswith(userId, userId)", true, false},
		{"length('') eq 0", true, true},
		{"length(null) eq null", true, true},

		// Strings count in UTF-16 units.
		{"length('é😀') eq 3", true, true},
		{"indexof('😀x', 'x') eq 2", true, true},
		{"substring('😀x', 2) eq 'x'", true, true},
		{"substring('a😀x', 1, 2) eq '😀'", true, true},

		// Writing.
		{"  userId\teq\n'alice'  ", true, false},
		{"(userId)eq('alice')", true, false},
		{"userId eq'alice'", true, false},
		{"'it''s' eq 'it''s'", true, true},
		{"length('it''s') eq 4", true, true},
		{"length('''') eq 1", true, true},
		{"007 eq 7", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.filter, func(t *testing.T) {
			f, err := filter.Compile(tt.filter)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Match(alice); got != tt.alice {
				t.Errorf("alice: %v, want %v", got, tt.alice)
			}
			if got := f.Match(nobody); got != tt.nobody {
				t.Errorf("nobody: %v, want %v", got, tt.nobody)
			}
		})
	}
}

// Messages are the wire format of refusals: SDKs show them and assert them.
func TestErrors(t *testing.T) {
	tests := []struct {
		filter, expression, reason string
	}{
		// The first is from a recording of the service, the next four are in the
		// reference and in the tests of Microsoft's emulator.
		{"invalid filter", "invalid filter", "Syntax error at position 14 in 'invalid filter'."},
		{"not length(userId) gt 5", "not length(userId)", "Type 'null', expect 'bool'."},
		{"( not 'a' )", "not 'a'", "Type 'string', expect 'bool'."},
		{"userId lt 1", "userId lt 1", "Type 'string', expect 'int'."},
		{"invalid(ab,c)", "invalid(ab,c)", "Token 'invalid(ab,c)' is not supported."},
		{"ab eq 1", "ab eq 1", "Token 'ab' is not supported."},

		// Types.
		{"userId", "userId", "Type 'string', expect 'bool'."},
		{"'a'", "'a'", "Type 'string', expect 'bool'."},
		{"5", "5", "Type 'int', expect 'bool'."},
		{"null", "null", "Type 'null', expect 'bool'."},
		{"groups", "groups", "Type 'collection', expect 'bool'."},
		{"true and 'a'", "True and 'a'", "Type 'string', expect 'bool'."},
		{"true or 1", "True or 1", "Type 'int', expect 'bool'."},
		{"(true and false) or 1", "(True and False) or 1", "Type 'int', expect 'bool'."},
		{"not (true and 1)", "True and 1", "Type 'int', expect 'bool'."},
		{"false and not 5", "not 5", "Type 'int', expect 'bool'."},
		{"not tolower(userId)", "not tolower(userId)", "Type 'null', expect 'bool'."},
		{"not tolower(connectionId)", "not tolower(connectionId)", "Type 'string', expect 'bool'."},
		{"not concat(userId,protocol)", "not concat(userId,protocol)", "Type 'null', expect 'bool'."},
		{"not concat(userId, 'a')", "not concat(userId,'a')", "Type 'string', expect 'bool'."},
		{"length(userId) gt 'a'", "length(userId) gt 'a'", "Type 'string', expect 'int'."},
		{"groups gt 1", "groups gt 1", "Type 'collection', expect 'int'."},
		{"tolower(userId) lt 1", "tolower(userId) lt 1", "Type 'string', expect 'int'."},
		{"true gt 1", "True gt 1", "Type 'bool', expect 'int'."},
		{"tolower(5) eq 'a'", "tolower(5)", "Type 'int', expect 'string'."},
		{"contains(groups, 'a')", "contains(groups,'a')", "Type 'collection', expect 'string'."},
		{"contains(userId, 5)", "contains(userId,5)", "Type 'int', expect 'string'."},
		{"substring(userId, 'a') eq 'a'", "substring(userId,'a')", "Type 'string', expect 'int'."},
		{"substring(userId, length(userId)) eq 'a'", "substring(userId,length(userId))", "Type 'null', expect 'int'."},
		{"userId in connectionId", "userId in connectionId", "Type 'string', expect 'collection'."},
		{"userId in 5", "userId in 5", "Type 'int', expect 'collection'."},
		{"userId in 'abc'", "userId in 'abc'", "Invalid token 'abc'."},

		// Names, numbers of arguments, numbers.
		{"ab", "ab", "Token 'ab' is not supported."},
		{"not ab", "not ab", "Token 'ab' is not supported."},
		{"length(ab) gt 1", "length(ab)", "Token 'ab' is not supported."},
		{"userId in (ab)", "userId in (ab)", "Token 'ab' is not supported."},
		{"userId in ( 'a' , ab )", "userId in ( 'a' , ab )", "Token 'ab' is not supported."},
		{"Length(userId) gt 1", "Length(userId)", "Token 'Length(userId)' is not supported."},
		{"True", "True", "Token 'True' is not supported."},
		{"length()", "length()", "Invalid token 'length()'."},
		{"length(userId,1) gt 1", "length(userId,1)", "Invalid token 'length(userId,1)'."},
		{"substring(userId) eq 'a'", "substring(userId)", "Invalid token 'substring(userId)'."},
		{"length(5) gt 1", "length(5)", "Invalid token 'length(5)'."},
		{"length(userId) gt 1.5", "length(userId) gt 1.5", "Token '1.5' is not supported."},
		{"length(userId) gt 2147483648", "length(userId) gt 2147483648", "Token '2147483648' is not supported."},
		{"groups/any(g: g eq 'a')", "groups/any(g: g eq 'a')", "Token 'Any' is not supported."},
		{"true and groups/all(g: g eq 'a')", "true and groups/all(g: g eq 'a')", "Token 'All' is not supported."},

		// Syntax: the position is where an expected thing is missing, or the end
		// of the token that is out of place.
		{" ", " ", "Expression expected at position 1 in ' '."},
		{"userId eq", "userId eq", "Expression expected at position 9 in 'userId eq'."},
		{"userId eq )", "userId eq )", "Expression expected at position 10 in 'userId eq )'."},
		{"userId = 'a'", "userId = 'a'", "Syntax error at position 8 in 'userId = 'a''."},
		{"userId EQ 'a'", "userId EQ 'a'", "Syntax error at position 9 in 'userId EQ 'a''."},
		{"userId/name eq 'a'", "userId/name eq 'a'", "Syntax error at position 11 in 'userId/name eq 'a''."},
		{"length (userId) gt 1", "length (userId) gt 1", "Syntax error at position 8 in 'length (userId) gt 1'."},
		{"userId eq 'a' 'b'", "userId eq 'a' 'b'", "Syntax error at position 17 in 'userId eq 'a' 'b''."},
		{"true)", "true)", "Syntax error at position 5 in 'true)'."},
		{"(true", "(true", "')' or operator expected at position 5 in '(true'."},
		{"(true,", "(true,", "')' or operator expected at position 5 in '(true,'."},
		{"length(userId", "length(userId", "')' or ',' expected at position 13 in 'length(userId'."},
		{"length(userId,) gt 1", "length(userId,) gt 1", "Expression expected at position 14 in 'length(userId,) gt 1'."},
		{"userId in ('a'", "userId in ('a'", "')' or ',' expected at position 14 in 'userId in ('a''."},
		{"userId in ('a',)", "userId in ('a',)", "Expression expected at position 15 in 'userId in ('a',)'."},
		{"userId eq 'a", "userId eq 'a", "There is an unterminated string literal at position 12 in 'userId eq 'a'."},
		{"userId eq 'a''", "userId eq 'a''", "There is an unterminated string literal at position 14 in 'userId eq 'a'''."},
		{"userId eq \"a\"", "userId eq \"a\"", "Syntax error: character '\"' is not valid at position 10 in 'userId eq \"a\"'."},
		{"'😀' ! 1", "'😀' ! 1", "Syntax error: character '!' is not valid at position 5 in ''😀' ! 1'."},
	}
	for _, tt := range tests {
		t.Run(tt.filter, func(t *testing.T) {
			f, err := filter.Compile(tt.filter)
			if err == nil {
				t.Fatalf("Compile succeeded with %v", f)
			}
			want := "Invalid syntax for '" + tt.expression + "': " + tt.reason + " (Parameter 'filter')"
			if err.Error() != want {
				t.Errorf("\n got %s\nwant %s", err, want)
			}
			if e := (*filter.Error)(nil); !errors.As(err, &e) || e.Expression != tt.expression || e.Reason != tt.reason {
				t.Errorf("the error is %#v", err)
			}
		})
	}
}

func TestDepth(t *testing.T) {
	nest := func(n int, open, inner, closing string) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(closing, n)
	}
	for _, tt := range []struct {
		name            string
		deepest, deeper string
	}{
		{"parentheses", nest(11, "(", "true", ")"), nest(12, "(", "true", ")")},
		{"functions", nest(11, "trim(", "'a'", ")") + " eq 'a'", nest(12, "trim(", "'a'", ")") + " eq 'a'"},
		{"not", nest(92, "not ", "true", ""), nest(93, "not ", "true", "")},
		{"a million", "true", nest(1_000_000, "(", "true", ")")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := filter.Compile(tt.deepest); err != nil {
				t.Error(err)
			}
			if _, err := filter.Compile(tt.deeper); err == nil || !strings.Contains(err.Error(), "Recursion depth exceeded allowed limit.") {
				t.Errorf("a filter that is too deep: %.200v", err)
			}
		})
	}
}

// A filter may be long without being deep.
func TestLong(t *testing.T) {
	for _, op := range []string{" or ", " and ", " eq "} {
		f, err := filter.Compile("true" + strings.Repeat(op+"true", 50_000))
		if err != nil {
			t.Fatalf("%s: %.200v", op, err)
		}
		if !f.Match(alice) {
			t.Errorf("%s: no match", op)
		}
	}
	if _, err := filter.Compile("true" + strings.Repeat(" or true", 50_000) + " or 5"); err == nil {
		t.Error("a long filter is not checked")
	}
}

func TestManyNames(t *testing.T) {
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("'user%d'", i)
	}
	f, err := filter.Compile("userId in (" + strings.Join(names, ",") + ")")
	if err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]bool{"user0": true, "user9999": true, "user10000": false} {
		if got := f.Match(&connection{user: user}); got != want {
			t.Errorf("%s: %v, want %v", user, got, want)
		}
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	for _, text := range []string{
		"userId ne 'alice' and not ('news' in groups)",
		"userId in ('bob', 'alice') or connectionId eq 'c1'",
		"startswith(userId, 'al') and length(userId) gt 3 and substring(userId, 1, 2) eq 'li'",
		"tolower(userId) eq 'alice' and indexof(userId, 'x') lt 0 and length(groups) gt 1",
	} {
		f, err := filter.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { f.Match(alice) }); n != 0 {
			t.Errorf("%s: %v allocations a match, want none", text, n)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		"", " ", "invalid filter", "not 'a'", "userId lt 1", "not length(userId) gt 5",
		"userId eq 'it''s' or connectionId ne null", "'a' in groups and not('b' in (groups))",
		"userId in ('user1', null, -5, tolower(protocol))", "groups/any(g: g eq 'a')",
		"substring(concat(userId, 'é😀'), 1, 2) eq 'x'", "((((true))))", "not not not false",
		"1.5e3 gt 2147483648", "indexof(trim(userId),'a') ge -1 and endswith(userId,'z')",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := filter.Compile(text)
		if err != nil {
			msg := err.Error()
			if !strings.HasPrefix(msg, "Invalid syntax for '") || !strings.HasSuffix(msg, " (Parameter 'filter')") {
				t.Errorf("%q: %s", text, msg)
			}
			if utf8.ValidString(text) != utf8.ValidString(msg) && utf8.ValidString(text) {
				t.Errorf("%q makes the invalid message %q", text, msg)
			}
			return
		}
		c.Match(alice)
		c.Match(nobody)
		if text == "" {
			return
		}
		// The words of the language survive being negated and put in parentheses,
		// unless that makes them too deep.
		n, err := filter.Compile("not (" + text + ")")
		if err != nil {
			if !strings.Contains(err.Error(), "Recursion depth") {
				t.Errorf("%q compiles and its negation does not: %v", text, err)
			}
			return
		}
		if n.Match(alice) == c.Match(alice) || n.Match(nobody) == c.Match(nobody) {
			t.Errorf("%q and its negation agree", text)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for _, text := range []string{
		"userId ne 'alice'",
		"userId ne 'bob' and not ('sport' in groups)",
		"startswith(userId, 'al') and length(userId) gt 3",
	} {
		b.Run(text, func(b *testing.B) {
			f, err := filter.Compile(text)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				f.Match(alice)
			}
		})
	}
}

func ExampleCompile() {
	f, err := filter.Compile("userId ne 'bob' and 'news' in groups")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Match(alice), f.Match(nobody))

	_, err = filter.Compile("invalid filter")
	fmt.Println(err)
	// Output:
	// true false
	// Invalid syntax for 'invalid filter': Syntax error at position 14 in 'invalid filter'. (Parameter 'filter')
}
