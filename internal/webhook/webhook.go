// Package webhook contains what both sides of an event handler request need: the
// sender, which is internal/upstream, and the receiver, which is package handler.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// SignaturePrefix starts every signature in ce-signature.
const SignaturePrefix = "sha256="

// Signature returns the value of ce-signature for one access key: "sha256=" and
// the lower-case hex HMAC-SHA256 of the connection ID, keyed with the UTF-8 bytes
// of the access key (Azure Web PubSub reference, CloudEvents extension:
// Signature). The service sends one for each of its two keys.
func Signature(accessKey, connectionID string) string {
	m := hmac.New(sha256.New, []byte(accessKey))
	m.Write([]byte(connectionID))
	return SignaturePrefix + hex.EncodeToString(m.Sum(nil))
}

// MQTTPrefix starts the names of the headers that carry the user properties of an
// MQTT user event and of its response, in the canonical form of net/http.
const MQTTPrefix = "Mqtt-"

// MQTTProperties yields the names, in lower case, and values of the MQTT user
// properties in a header. They are sorted by name, because a header map has no
// order; the values of one name keep their order.
func MQTTProperties(h http.Header) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, key := range slices.Sorted(maps.Keys(h)) {
			name, ok := strings.CutPrefix(key, MQTTPrefix)
			if !ok || name == "" {
				continue
			}
			for _, v := range h[key] {
				if !yield(strings.ToLower(name), v) {
					return
				}
			}
		}
	}
}
