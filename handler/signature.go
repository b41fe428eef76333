package handler

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/http"
	"strings"
	"sync"
)

const signaturePrefix = "sha256="

// Signature returns what the service sends as ce-signature for one access key:
// "sha256=" and the lower-case hex HMAC-SHA256 of the connection id, keyed with
// the UTF-8 bytes of the access key (Azure Web PubSub reference, CloudEvents
// extension: Signature). The service sends one for each of its two keys.
//
// Only the connection id is signed. A signature proves that the sender knows
// the key, not that the event is whole or new; TLS does the rest.
func Signature(accessKey, connectionID string) string {
	m := hmac.New(sha256.New, []byte(accessKey))
	m.Write([]byte(connectionID))
	return signaturePrefix + hex.EncodeToString(m.Sum(nil))
}

// signer computes signatures of one key. Its pool keeps keyed hashes, which
// cost more to set up than to use.
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

// matches reports whether any value of the header fits the key. A header may
// come as several lines and each line may be a comma list.
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
			// No early exit: the time must not tell which entry fitted.
			if parseSignature(strings.TrimSpace(entry), &given) && hmac.Equal(given[:], st.sum[:]) {
				ok = true
			}
		}
	}
	return ok
}

// parseSignature reads "sha256=" and 64 hex digits of either case.
func parseSignature(s string, out *[sha256.Size]byte) bool {
	if len(s) != len(signaturePrefix)+2*sha256.Size || !strings.EqualFold(s[:len(signaturePrefix)], signaturePrefix) {
		return false
	}
	var digits [2 * sha256.Size]byte
	copy(digits[:], s[len(signaturePrefix):])
	_, err := hex.Decode(out[:], digits[:])
	return err == nil
}

// verifySignature checks ce-signature against every configured key.
func (h *Handler) verifySignature(header http.Header, connectionID string) *refusal {
	given := header[headerSignature]
	if len(given) == 0 {
		return refuse(http.StatusUnauthorized, "the event has no ce-signature",
			"only Web PubSub may call this URL; where a resource has its access keys disabled, configure Options.Entra and no key")
	}
	ok := false
	for _, s := range h.signers {
		if s.matches(given, connectionID) {
			ok = true
		}
	}
	if !ok {
		return refuse(http.StatusUnauthorized, "ce-signature fits none of the configured access keys",
			"compare Options.AccessKeys and Options.ConnectionStrings with the keys of the resource that sends the events")
	}
	return nil
}
