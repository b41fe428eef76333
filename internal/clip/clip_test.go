package clip_test

import (
	"strings"
	"testing"

	"example.com/webpubsub/internal/clip"
)

func TestText(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"eight888", "eight888"},
		{"nine99999", "nine9999…"},
		{"1234567é", "1234567…"}, // 9 bytes
		{"123456é8", "123456é…"},
		{"12345€€", "12345€…"},
		{"123456€", "123456…"},
		{"12345😀", "12345…"},
		{strings.Repeat("\x80", 12), "\x80\x80\x80\x80…"}, // no text: what is left is short too
	} {
		if got := clip.Text(tt.in, 8); got != tt.want {
			t.Errorf("Text(%q, 8) = %q, want %q", tt.in, got, tt.want)
		}
	}
}
