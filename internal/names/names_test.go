package names_test

import (
	"strings"
	"testing"

	"example.com/webpubsub/internal/names"
)

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		rule      string
		check     func(string) error
		good, bad []string
	}{
		{
			"hub", names.Hub,
			[]string{"a", "Chat_1", "a`,.[]", "h" + strings.Repeat("x", 127)},
			[]string{"", "1a", "_a", "a-b", "a b", "é", "aé", "h" + strings.Repeat("x", 128)},
		},
		{
			"group", names.Group,
			[]string{"g", " g", "a/b%", "日本", strings.Repeat("g", 1024), strings.Repeat("語", 1024), strings.Repeat("😀", 512)},
			[]string{"", " ", "\t\n", strings.Repeat("😀", 513), "g" + strings.Repeat("😀", 512), strings.Repeat("g", 1025), strings.Repeat("語", 1025), "\xff"},
		},
		{
			"event", names.Event,
			[]string{"e", "A.b-c_1", "e" + strings.Repeat("x", 127)},
			[]string{"", "1e", ".e", "e e", "e/", "é", "e" + strings.Repeat("x", 128)},
		},
	} {
		for _, s := range tt.good {
			if err := tt.check(s); err != nil {
				t.Errorf("%s %.20q: %v", tt.rule, s, err)
			}
		}
		for _, s := range tt.bad {
			if err := tt.check(s); err == nil {
				t.Errorf("%s %.20q was accepted", tt.rule, s)
			}
		}
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LocalHost": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true,
		"": false, "0.0.0.0": false, "192.168.1.1": false, "localhost.example": false, "127.0.0.1.example": false, "::": false,
	} {
		if got := names.Loopback(host); got != want {
			t.Errorf("%q: %v", host, got)
		}
	}
}
