package names_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"example.com/webpubsub/internal/names"
)

func TestMetadata(t *testing.T) {
	many := make(map[string]string)
	for i := range 8 {
		many[string(rune('a'+i))] = strings.Repeat("v", 1023)
	}
	for _, m := range []map[string]string{nil, {"k": ""}, {"K-1_x": "a b\t~"}, {strings.Repeat("k", 256): strings.Repeat("v", 1024)}, many} {
		if err := names.Metadata(m); err != nil {
			t.Errorf("%.30v: %v", m, err)
		}
	}
	many["more"] = "x"
	for _, m := range []map[string]string{{"": "v"}, {"a b": "v"}, {"é": "v"}, {"k": "é"}, {"k": "a\nb"}, {strings.Repeat("k", 257): ""}, {"k": strings.Repeat("v", 1025)}, many} {
		if err := names.Metadata(m); err == nil {
			t.Errorf("%.30v was accepted", m)
		}
	}
}

func TestMetadataHeader(t *testing.T) {
	h, err := names.MetadataHeader(map[string]string{"traceId": "1", "b": "x, y"})
	if err != nil || len(h) != 2 || h.Get("x-webpubsub-metadata-traceid") != "1" {
		t.Errorf("%v, %v", h, err)
	}
	if m := names.MetadataFrom(h, false); !maps.Equal(m, map[string]string{"traceid": "1", "b": "x, y"}) {
		t.Errorf("%v", m)
	}
	// The receiver would have got one of the two by chance.
	if _, err := names.MetadataHeader(map[string]string{"k": "1", "K": "2"}); err == nil {
		t.Error("keys that differ in case were accepted")
	}
	if _, err := names.MetadataHeader(map[string]string{"a b": "1"}); err == nil {
		t.Error("an invalid key was accepted")
	}
	if h, err := names.MetadataHeader(nil); h != nil || err != nil {
		t.Errorf("%v, %v", h, err)
	}
}

func TestMetadataFrom(t *testing.T) {
	h := http.Header{}
	h.Add("X-WebPubSub-Metadata-A", "1")
	h.Add("X-WebPubSub-Metadata-A", "2, 3 ,4 ")
	h["X-Webpubsub-Metadata-"] = []string{"no key"}
	h["X-Webpubsub-Metadata-None"] = nil
	h.Set("X-Other", "1")
	if m := names.MetadataFrom(h, false); !maps.Equal(m, map[string]string{"a": "2, 3 ,4 "}) {
		t.Errorf("%v", m)
	}
	if m := names.MetadataFrom(h, true); !maps.Equal(m, map[string]string{"a": "4"}) {
		t.Errorf("%v", m)
	}
	if m := names.MetadataFrom(http.Header{"A": {"b"}}, true); m != nil {
		t.Errorf("%v", m)
	}
}
