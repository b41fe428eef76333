package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// A response body with an escape sequence cleared the terminal, or worse, of
// whoever ran webpubsub send.
func TestSafeWriter(t *testing.T) {
	for in, want := range map[string]string{
		"plain\n\ttext é 日本 👩‍💻\n":   "plain\n\ttext é 日本 👩‍💻\n",
		"\x1b[2J\x1b]0;title\a":      "·[2J·]0;title·",
		"csi \u009b31m":              "csi ·31m",
		"bell\a back\b cr\r del\x7f": "bell· back· cr· del·",
		"user \u202egnp.exe":         "user ·gnp.exe",
		"raw \x9b31m":                "raw \ufffd31m",
	} {
		var b bytes.Buffer
		n, err := safeWriter{&b}.Write([]byte(in))
		if err != nil || n != len(in) || b.String() != want {
			t.Errorf("%q: wrote %q, %d, %v", in, b.String(), n, err)
		}
	}
	if got := printable("two\nlines"); got != "two·lines" {
		t.Errorf("a text of others in one line: %q", got)
	}
}

// JSON stays what it was, and holds nothing that a terminal executes.
func FuzzPrintJSON(f *testing.F) {
	for _, s := range []string{"", "<a & b>", "\x1b[2J", "\u009b", "\u202e", "\u2028", "\x7f", "\\u001b", "\xff", "\"\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var b bytes.Buffer
		if err := printJSON(&b, map[string]string{"s": s}); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(strings.TrimSuffix(b.String(), "\n"), unsafe) {
			t.Errorf("%q is printed as %q", s, b.String())
		}
		var back map[string]string
		if err := json.Unmarshal(b.Bytes(), &back); err != nil || utf8.ValidString(s) && back["s"] != s {
			t.Errorf("%q is read as %q, %v", s, back["s"], err)
		}
	})
}
