// Package entra replaces Microsoft Entra for the managed identity of an emulator: it
// issues the tokens and publishes the keys that verify them, below an authority host,
// at the paths that Entra has.
//
//	i := entra.New("http://localhost:8080/entra", time.Now)
//	http.Handle("/entra/", http.StripPrefix("/entra", i))
//	token, err := i.Token(ctx, "api://my-app")
//
// The discovery document and the keys are public. There is no token endpoint, so that
// no token can be requested over the network.
package entra

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The identity that every issuer here has tokens for.
const (
	TenantID    = "5e7ab1e5-0000-4000-8000-000000000001"
	PrincipalID = "5e7ab1e5-0000-4000-8000-000000000002"
	ClientID    = "5e7ab1e5-0000-4000-8000-000000000003"
)

const (
	lifetime = time.Hour
	// renewal is how long before its end a token is replaced. It is more than
	// any clock skew that verifiers forgive.
	renewal = 10 * time.Minute
	// published is how many keys are published: the one that signs and the one
	// before it, whose tokens may still be on their way.
	published = 2
)

// Issuer issues tokens. It is safe for concurrent use, and an [http.Handler] of
// the addresses below its authority host.
type Issuer struct {
	authority string
	now       func() time.Time

	mu     sync.Mutex
	keys   []key // newest last; made when first needed
	tokens map[string]issued
}

type key struct {
	id      string
	private *rsa.PrivateKey
}

type issued struct {
	token   string
	expires time.Time
}

// New returns an issuer whose authority host, an address without trailing
// slash, is where it is mounted. now dates the tokens.
func New(authority string, now func() time.Time) *Issuer {
	return &Issuer{authority: authority, now: now, tokens: make(map[string]issued)}
}

// Token returns a token of the identity for an audience: RS256, in the form of
// Entra's tokens of version 2, valid for an hour. The same one is returned until
// it is about to expire or the key is rotated.
func (i *Issuer) Token(_ context.Context, audience string) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.now()
	if t, ok := i.tokens[audience]; ok && now.Before(t.expires.Add(-renewal)) {
		return t.token, nil
	}
	k, err := i.signing()
	if err != nil {
		return "", err
	}
	expires := now.Add(lifetime)
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"aud": audience,
		"iss": i.issuer(),
		"iat": now.Unix(),
		"nbf": now.Unix(),
		"exp": expires.Unix(),
		"azp": ClientID,
		"oid": PrincipalID,
		"sub": PrincipalID,
		"tid": TenantID,
		"ver": "2.0",
	})
	t.Header["kid"] = k.id
	s, err := t.SignedString(k.private)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	i.tokens[audience] = issued{s, expires}
	return s, nil
}

// Rotate makes a new key, with which tokens are signed from now on. The key
// before it stays published until the next rotation.
func (i *Issuer) Rotate() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.addKey()
}

// signing must be called with i.mu held.
func (i *Issuer) signing() (key, error) {
	if len(i.keys) == 0 {
		if err := i.addKey(); err != nil {
			return key{}, err
		}
	}
	return i.keys[len(i.keys)-1], nil
}

// addKey must be called with i.mu held.
func (i *Issuer) addKey() error {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return fmt.Errorf("make a signing key: %w", err)
	}
	sum := sha256.Sum256(private.N.Bytes())
	i.keys = append(i.keys, key{base64.RawURLEncoding.EncodeToString(sum[:]), private})
	i.keys = i.keys[max(0, len(i.keys)-published):]
	clear(i.tokens)
	return nil
}

func (i *Issuer) issuer() string  { return i.authority + "/" + TenantID + "/v2.0" }
func (i *Issuer) keysURL() string { return i.authority + "/" + TenantID + "/discovery/v2.0/keys" }

// ServeHTTP responds with the OpenID configuration and with the keys (OpenID
// Connect Discovery 1.0, section 4; RFC 7517).
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body any
	switch r.URL.Path {
	case "/" + TenantID + "/v2.0/.well-known/openid-configuration":
		body = map[string]any{
			"issuer":                                i.issuer(),
			"jwks_uri":                              i.keysURL(),
			"response_types_supported":              []string{"token"},
			"subject_types_supported":               []string{"pairwise"},
			"id_token_signing_alg_values_supported": []string{"RS256"},
		}
	case "/" + TenantID + "/discovery/v2.0/keys":
		set, err := i.keySet()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body = set
	default:
		http.NotFound(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(body) // the caller may have gone
}

type jwk struct {
	Type      string `json:"kty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	Modulus   string `json:"n"`
	Exponent  string `json:"e"`
}

func (i *Issuer) keySet() (map[string][]jwk, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if _, err := i.signing(); err != nil {
		return nil, err
	}
	set := make([]jwk, 0, len(i.keys))
	for _, k := range i.keys {
		set = append(set, jwk{
			Type: "RSA", Use: "sig", Algorithm: "RS256", ID: k.id,
			Modulus:  base64.RawURLEncoding.EncodeToString(k.private.N.Bytes()),
			Exponent: base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.private.E)).Bytes()),
		})
	}
	return map[string][]jwk{"keys": set}, nil
}
