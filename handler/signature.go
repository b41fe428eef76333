package handler

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/http"
	"strings"
	"sync"

	"example.com/webpubsub/internal/webhook"
)

// signer computes signatures with one key. Its pool keeps keyed hashes, which are
// more expensive to create than to use.
type signer struct{ pool sync.Pool }

type signState struct {
	mac hash.Hash
	in  []byte
	sum [sha256.Size]byte
}

func newSigner(accessKey string) *signer {
	key := []byte(accessKey)
	s := &signer{}
	s.pool.New = func() any { return &signState{mac: hmac.New(sha256.New, key)} }
	return s
}

// matches reports whether any signature in the header matches the key. There can
// be several header lines, and each can be a list separated by commas.
func (s *signer) matches(header []string, connectionID string) bool {
	st := s.pool.Get().(*signState)
	defer s.pool.Put(st)
	st.mac.Reset()
	st.in = append(st.in[:0], connectionID...)
	st.mac.Write(st.in)
	st.mac.Sum(st.sum[:0])
	ok := false
	for _, line := range header {
		for entry := range strings.SplitSeq(line, ",") {
			var given [sha256.Size]byte
			// No early return: the time must not depend on which entry matches.
			if parseSignature(strings.TrimSpace(entry), &given) && hmac.Equal(given[:], st.sum[:]) {
				ok = true
			}
		}
	}
	return ok
}

// parseSignature parses "sha256=" and 64 hex digits in either case.
func parseSignature(s string, out *[sha256.Size]byte) bool {
	if len(s) != len(webhook.SignaturePrefix)+2*sha256.Size || !strings.EqualFold(s[:len(webhook.SignaturePrefix)], webhook.SignaturePrefix) {
		return false
	}
	var digits [2 * sha256.Size]byte
	copy(digits[:], s[len(webhook.SignaturePrefix):])
	_, err := hex.Decode(out[:], digits[:])
	return err == nil
}

// verifySignature checks ce-signature against every configured key.
func (h *Handler) verifySignature(header http.Header, connectionID string) *rejection {
	given := header[headerSignature]
	if len(given) == 0 {
		return reject(http.StatusUnauthorized, "the event has no ce-signature",
			"only Web PubSub may call this URL; if the access keys of the resource are disabled, configure Options.Entra and no key")
	}
	ok := false
	for _, s := range h.signers {
		if s.matches(given, connectionID) {
			ok = true
		}
	}
	if !ok {
		return reject(http.StatusUnauthorized, "ce-signature does not match any configured access key",
			"compare Options.AccessKeys and Options.ConnectionStrings with the keys of the resource that sends the events")
	}
	return nil
}
