package names

import (
	"fmt"
	"net/http"
	"strings"

	"example.com/webpubsub/internal/clip"
)

// MetadataPrefix starts the names of the HTTP headers that carry metadata, in
// the canonical form of net/http. Metadata keys follow it.
const MetadataPrefix = "X-Webpubsub-Metadata-"

// Metadata checks message metadata: keys are HTTP tokens of at most 256 bytes,
// values are printable ASCII of at most 1,024 bytes, 8 KiB in total.
func Metadata(m map[string]string) error {
	total := 0
	for k, v := range m {
		if k == "" || len(k) > MaxMetadataKey || !isToken(k) {
			return fmt.Errorf("invalid metadata key %q: it must be an HTTP token of at most 256 bytes", clip.Text(k, maxShown))
		}
		if len(v) > MaxMetadataValue || !isHeaderValue(v) {
			return fmt.Errorf("invalid value of metadata %q: it must be printable ASCII of at most 1024 bytes", clip.Text(k, maxShown))
		}
		total += len(k) + len(v)
	}
	if total > MaxMetadata {
		return fmt.Errorf("metadata has %d bytes: at most %d are allowed", total, MaxMetadata)
	}
	return nil
}

// MetadataHeader checks metadata and returns the headers that carry it. Keys that
// differ only in case are an error: as headers they would be the same key.
func MetadataHeader(m map[string]string) (http.Header, error) {
	if err := Metadata(m); err != nil || len(m) == 0 {
		return nil, err
	}
	h := make(http.Header, len(m))
	for k, v := range m {
		name := http.CanonicalHeaderKey(MetadataPrefix + k)
		if h[name] != nil {
			return nil, fmt.Errorf("metadata %q is set twice: keys are sent as HTTP headers, which are not case-sensitive", strings.ToLower(k))
		}
		h[name] = []string{v}
	}
	return h, nil
}

// MetadataFrom returns the metadata in a header, or nil. Keys are in lower case.
// Of repeated headers the last one counts; if lists is true, a value is a list
// separated by commas, of which the last element counts.
func MetadataFrom(h http.Header, lists bool) map[string]string {
	var m map[string]string
	for name, values := range h {
		key, ok := strings.CutPrefix(name, MetadataPrefix)
		if !ok || key == "" || len(values) == 0 {
			continue
		}
		value := values[len(values)-1]
		if lists {
			value = strings.TrimSpace(value[strings.LastIndexByte(value, ',')+1:])
		}
		if m == nil {
			m = make(map[string]string)
		}
		m[strings.ToLower(key)] = value
	}
	return m
}

// isHeaderValue rejects control characters, which no header can carry to an event
// handler. Microsoft's emulator delivers them to clients.
func isHeaderValue(s string) bool {
	for i := range len(s) {
		if s[i] != '\t' && (s[i] < ' ' || s[i] > '~') {
			return false
		}
	}
	return true
}
