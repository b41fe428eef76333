package webapp_test

import (
	"strings"
	"testing"

	"example.com/webpubsub/webapp"
)

func TestEncodeUserID(t *testing.T) {
	for name, tt := range map[string]struct{ name, want string }{
		"ASCII":            {"alice", "alice"},
		"mail address":     {"ada+chat@contoso.com", "ada+chat@contoso.com"},
		"blank":            {"Ada Lovelace", "Ada Lovelace"},
		"blanks":           {"  Ada \u00a0 Lovelace ", "Ada Lovelace"},
		"percent sign":     {"100%", "100%"},
		"umlaut":           {"Jürgen", "J%C3%BCrgen"},
		"umlaut, of two":   {"Ju\u0308rgen", "J%C3%BCrgen"},
		"umlaut, percent":  {"ü100%", "%C3%BC100%25"},
		"other script":     {"李小龙", "%E6%9D%8E%E5%B0%8F%E9%BE%99"},
		"wide letters":     {"ａｌｉｃｅ", "alice"},
		"letters in style": {"𝐚𝐥𝐢𝐜𝐞", "alice"},
		"emoji":            {"Ada 🎉", "Ada %F0%9F%8E%89"},
		"joiner in script": {"क्\u200dष", "%E0%A4%95%E0%A5%8D%E2%80%8D%E0%A4%B7"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := webapp.EncodeUserID(tt.name)
			if err != nil || got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// Each of these looked like alice, or like nothing, and was another user.
func TestEncodeUserIDRejectsLookAlikes(t *testing.T) {
	for name, tt := range map[string]struct{ name, want string }{
		"zero width space":     {"ali\u200bce", "U+200B"},
		"soft hyphen":          {"ali\u00adce", "U+00AD"},
		"tag character":        {"alice\U000E0061", "U+E0061"},
		"joiner":               {"ali\u200dce", "U+200D"},
		"right to left":        {"\u202eecila", "U+202E"},
		"isolate":              {"alice\u2069", "U+2069"},
		"braille blank":        {"alice\u2800", "U+2800"},
		"Hangul filler":        {"alice\u3164", "U+3164"},
		"variation":            {"alice\ufe0f", "U+FE0F"},
		"control":              {"ali\x00ce", "U+0000"},
		"unassigned":           {"alice\u0378", "U+0378"},
		"private use":          {"alice\ue000", "U+E000"},
		"empty":                {"", "empty"},
		"blank":                {"\u2003 ", "empty"},
		"not UTF-8":            {"a\xff", "UTF-8"},
		"slash":                {"a/b", "REST path"},
		"slash of a symbol":    {"\u2100", "REST path"}, // a/c
		"dots":                 {"..", "REST path"},
		"escaped":              {"J%C3%BCrgen", "%C3, which is reserved"},
		"escaped, wide":        {"％41", "%41, which is reserved"},
		"too long":             {strings.Repeat("ü", 129), "129 characters: at most 128"},
		"much too long":        {strings.Repeat("ü", 1<<20), "at most 128"},
		"too long when spelt":  {strings.Repeat("ﷺ", 100), "at most 128"},
		"accents to be joined": {strings.Repeat("u\u0308", 129), "at most 128"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := webapp.EncodeUserID(tt.name); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, %v, want an error with %q", got, err, tt.want)
			}
		})
	}
}

// An ID that negotiate has not made is shown as it is: decoded it would hide
// what negotiate rejects.
func TestDecodeUserIDOfOthers(t *testing.T) {
	for _, id := range []string{"", "100%", "%zz", "%41lice", "%c3%bc", "a%2Fb", "%E2%80%AEecila", "%FF", "\xff", "Jürgen"} {
		if got := webapp.DecodeUserID(id); got != id {
			t.Errorf("%q is decoded to %q", id, got)
		}
	}
}

func FuzzUserID(f *testing.F) {
	for _, name := range []string{"alice", "Ju\u0308rgen", "ü100%", "ａlice", "％41", "a\u200bb", "\xff", "ﷺ ﷺ", "क्\u200dष", "℀", "ǰ\u0323"} {
		f.Add(name, name)
	}
	f.Fuzz(func(t *testing.T, one, two string) {
		id, err := webapp.EncodeUserID(one)
		if err != nil {
			return
		}
		for _, c := range []byte(id) {
			if c < ' ' || c > '~' {
				t.Fatalf("%q becomes %q, which is no header value", one, id)
			}
		}
		name := webapp.DecodeUserID(id)
		if again, err := webapp.EncodeUserID(name); err != nil || again != id {
			t.Errorf("%q becomes %q, which is read as %q and becomes %q, %v", one, id, name, again, err)
		}
		if other, err := webapp.EncodeUserID(two); err == nil && (other == id) != (webapp.DecodeUserID(other) == name) {
			t.Errorf("%q and %q have the IDs %q and %q", one, two, id, other)
		}
	})
}
