package role_test

import (
	"strings"
	"testing"

	"example.com/webpubsub/internal/role"
)

func TestMatchGroup(t *testing.T) {
	for _, tt := range []struct {
		filter, group string
		want          bool
	}{
		{"room", "room", true},
		{"room", "rooms", false},
		{"room", "Room", false},
		{"r??m", "rööm", true},
		{"r?m", "r.m", false},
		{"room.*", "room.", true},
		{"room.*", "room.1", true},
		{"room.*", "room.1.2", false},
		{"*.*", "a.b", true},
		{"*a*a*", "banana", true},
		{"room.**", "room.1.2", true},
		{"**x", "a.b.x", true},
		{"**x", "a.b.y", false},
		{"***", "a.b", true},
		{`a\*`, "a*", true},
		{`a\*`, "ab", false},
		{`\?`, "?", true},
	} {
		if got, err := role.MatchGroup(tt.filter, tt.group); got != tt.want || err != nil {
			t.Errorf("MatchGroup(%q, %q) = %v, %v; want %v", tt.filter, tt.group, got, err, tt.want)
		}
	}
	for _, invalid := range []string{"", `a\`, `\a`, "*a*a*a*a*a*a", strings.Repeat("a", role.MaxPattern+1)} {
		if got, err := role.MatchGroup(invalid, invalid); got || err == nil {
			t.Errorf("MatchGroup(%.40q) = %v, %v; want an error", invalid, got, err)
		}
	}
}
