package upstream

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Signature returns the value of ce-signature for one access key: "sha256=" and
// the lower-case hex HMAC-SHA256 of the connection id under the UTF-8 bytes of
// the key (reference, "Request headers"). It vouches for where a request comes
// from, not for its body.
func Signature(key, connectionID string) string {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(connectionID))
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}
