package role_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"example.com/webpubsub/internal/role"
)

const patternRole = "webpubsub.sendToGroups."

func TestPatterns(t *testing.T) {
	tests := []struct {
		pattern, group string
		want           bool
	}{
		// The reference's own examples.
		{"chat-*", "chat-1", true},
		{"chat-*", "chat-room", true},
		{"chat-*", "chat.1", false},
		{"chat-*", "xchat-1", false},
		{"clientA.*", "clientA.alpha", true},
		{"clientA.*", "clientA.alpha.room1", false},
		{"clientA.**", "clientA.alpha.room1", true},
		{"clientA.**", "clientB.anything", false},
		{"clientA.rooms.?1", "clientA.rooms.a1", true},
		{"clientA.rooms.?1", "clientA.rooms.1", false},
		{"clientA.rooms.?1", "clientA.rooms.a.1", false},
		{`literal\*star`, "literal*star", true},
		{`literal\*star`, "literalXstar", false},

		{"*", "g", true},
		{"*", ".", false},
		{"**", "a.b", true},
		{"*****", "a.b", true},
		{"client-*", "client", false},
		{"client-*", "client-device.child", false},
		{"ab*", "ab", true},
		{"a*c", "a123c", true},
		{"a*c", "a123cd", false},
		{"a*c", "a1.3c", false},
		{"**ab", "cd.ef.ab", true},
		{"**ab", "cd.ef.abc", false},
		{"a.**.b", "a..b", true},
		{"a*.**.*b", "ab.cd.ef.ab", true},
		{"a*.**.*b", "b.cd.ef.b", false},
		{"*.*.*.*.*", "a.b.c.d.e", true},
		{"?", "é", true},
		{"?", "", false},
		{"a?c", "a.c", false},
		{"a?c", "abbc", false},
		{`a\\.***b`, `a\.ab`, true},
		{`a\?*`, "a?bc", true},
		{`a\?*`, "abc", false},
		{"Room*", "room1", false},
		{"Ä?", "äb", false},
		// Star regions that only one way of dividing the name satisfies.
		{"*a*b", "aabab", true},
		{"**.x*y", "q.x.r.xzy", true},
		{"**.x*y", "q.x.r.xz.y", false},
	}
	for _, tt := range tests {
		s, ignored := role.Parse([]string{patternRole + tt.pattern})
		if len(ignored) > 0 {
			t.Errorf("%q: ignored %v", tt.pattern, ignored)
		}
		if got := s.Allows(role.Send, tt.group); got != tt.want {
			t.Errorf("pattern %q, group %q: %v, want %v", tt.pattern, tt.group, got, tt.want)
		}
	}
}

// The slowest pattern that the limits allow, on the longest name, ends the test
// run if matching ever costs more than the product of the lengths.
func TestPatternMatchComplexity(t *testing.T) {
	block := strings.Repeat("a", (role.MaxPattern-5)/5)
	s, ignored := role.Parse([]string{patternRole + strings.Repeat("*"+block, 5)})
	if len(ignored) > 0 {
		t.Fatal(ignored)
	}
	group := strings.Repeat("a", 1023) + "b"
	for range 100 {
		if s.Allows(role.Send, group) {
			t.Fatal("a name that ends in b fits a pattern that ends in a")
		}
	}
}

// FuzzPattern compares with the regular expression that the pattern stands for.
func FuzzPattern(f *testing.F) {
	f.Add("a*c", "abc")
	f.Add("**.x?y*", "q.r.xzyw")
	f.Add(`a\*\?\\b`, `a*?\b`)
	f.Add("*.*.*.*.*", "a.b.c.d.e")
	f.Add("a\n**", "a\nb")
	f.Fuzz(func(t *testing.T, pattern, group string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(group) {
			t.Skip("names come out of JSON and URLs as UTF-8")
		}
		s, ignored := role.Parse([]string{patternRole + pattern})
		got := s.Allows(role.Send, group)
		if len(ignored) > 0 {
			if got {
				t.Errorf("the ignored pattern %q allows %q", pattern, group)
			}
			return
		}
		if want := expression(pattern).MatchString(group); got != want {
			t.Errorf("pattern %q, group %q: %v, want %v", pattern, group, got, want)
		}
	})
}

func expression(pattern string) *regexp.Regexp {
	var b strings.Builder
	for i := 0; i < len(pattern); {
		n := 1
		switch rest := pattern[i:]; {
		case strings.HasPrefix(rest, "**"):
			b.WriteString(".*")
			n = 2
		case rest[0] == '*':
			b.WriteString("[^.]*")
		case rest[0] == '?':
			b.WriteString("[^.]")
		case rest[0] == '\\':
			b.WriteString(regexp.QuoteMeta(rest[1:2]))
			n = 2
		default:
			_, n = utf8.DecodeRuneInString(rest)
			b.WriteString(regexp.QuoteMeta(rest[:n]))
		}
		i += n
	}
	return regexp.MustCompile("(?s)^(?:" + b.String() + ")$")
}

func BenchmarkPattern(b *testing.B) {
	s, _ := role.Parse([]string{patternRole + "tenant-*.room.**"})
	for b.Loop() {
		s.Allows(role.Send, "tenant-1234.room.lobby.news")
	}
}
