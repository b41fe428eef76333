package broker

import (
	"crypto/rand"
	"encoding/base64"
)

// NewID returns a connection id of the service's form: 31 characters of the
// URL-safe base64 alphabet, the last three constant.
func NewID() string {
	var b [21]byte
	_, _ = rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:]) + "K02"
}
