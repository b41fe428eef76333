// Package token signs and verifies the JSON Web Tokens of Web PubSub: HS256
// over the UTF-8 bytes of the access key.
//
//	jwt, err := token.Sign(key, token.Claims{Audience: aud, Expires: time.Now().Add(time.Hour)})
//	claims, err := token.Verify(jwt, []string{key}, time.Now())
package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Skew is how far two clocks may be apart: the service accepts five minutes.
const Skew = 5 * time.Minute

// Claims are the claims that the service reads.
type Claims struct {
	// KeyID is the header kid. It is left out when empty, and nobody checks it.
	KeyID string
	// Audience is the resource that the token is for, a URL.
	Audience string
	// UserID is the claim sub.
	UserID string
	// Roles is the claim role, Groups the claim webpubsub.group.
	Roles, Groups []string
	// Issued is the claim iat, Expires the claim exp. Issued is left out when zero.
	Issued, Expires time.Time
	// Issuer is the claim iss and ID the claim jti. Nobody checks them.
	Issuer, ID string
	// All holds every claim of a token that was read. Sign does not look at it.
	All map[string]any
}

// payload is the claims as they are signed.
type payload struct {
	Audience  string   `json:"aud"`
	Expires   int64    `json:"exp"`
	Issued    int64    `json:"iat,omitempty"`
	NotBefore int64    `json:"nbf,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	ID        string   `json:"jti,omitempty"`
	UserID    string   `json:"sub,omitempty"`
	Roles     []string `json:"role,omitempty"`
	Groups    []string `json:"webpubsub.group,omitempty"`
}

type header struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	KeyID     string `json:"kid,omitempty"`
}

var encoding = base64.RawURLEncoding

// plainHeader is the encoded header of every token without a key id.
var plainHeader = encoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "."

// Sign returns the compact form of a token with these claims: HS256 (RFC 7515,
// section 3.1). Every REST call of a service client signs one, so it is done
// here rather than through the claim maps of a JWT library.
func Sign(key string, c Claims) (string, error) {
	p := payload{
		Audience: c.Audience, Expires: c.Expires.Unix(), Issuer: c.Issuer, ID: c.ID,
		UserID: c.UserID, Roles: c.Roles, Groups: c.Groups,
	}
	if !c.Issued.IsZero() {
		p.Issued = c.Issued.Unix()
		p.NotBefore = p.Issued
	}
	body, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	out := make([]byte, 0, 512)
	if c.KeyID == "" {
		out = append(out, plainHeader...)
	} else {
		h, err := json.Marshal(header{Algorithm: "HS256", Type: "JWT", KeyID: c.KeyID})
		if err != nil {
			return "", fmt.Errorf("sign token: %w", err)
		}
		out = append(encoding.AppendEncode(out, h), '.')
	}
	out = encoding.AppendEncode(out, body)
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(out)
	out = append(out, '.')
	var sum [sha256.Size]byte
	return string(encoding.AppendEncode(out, mac.Sum(sum[:0]))), nil
}

// Verify checks signature and lifetime and returns the claims. Any of the keys
// may have signed. The audience is for the caller to judge, since one resource
// has many spellings; issuer and key id are not checked, as the service does
// not check them.
func Verify(compact string, keys []string, now time.Time) (Claims, error) {
	p := jwt.NewParser(append(lifetime(now), jwt.WithValidMethods([]string{"HS256"}))...)
	set := jwt.VerificationKeySet{}
	for _, k := range keys {
		if k != "" {
			set.Keys = append(set.Keys, []byte(k))
		}
	}
	if len(set.Keys) == 0 {
		return Claims{}, errors.New("no access key is configured to verify the token")
	}
	m := jwt.MapClaims{}
	if _, err := p.ParseWithClaims(compact, m, func(*jwt.Token) (any, error) { return set, nil }); err != nil {
		return Claims{}, explain(err)
	}
	return fromMap(m), nil
}

func lifetime(now time.Time) []jwt.ParserOption {
	return []jwt.ParserOption{
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(Skew),
		jwt.WithTimeFunc(func() time.Time { return now }),
	}
}

// IsEntra reports whether a token says that it is one of Microsoft Entra for
// Web PubSub, by its audience in one of the clouds. Nothing else is looked at.
func IsEntra(compact string) bool {
	c, err := Unverified(compact)
	if err != nil {
		return false
	}
	switch strings.TrimSuffix(c.Audience, "/") {
	case "https://webpubsub.azure.com", "https://webpubsub.azure.cn", "https://webpubsub.azure.us":
		return true
	}
	return false
}

// Lifetime checks exp and nbf of a token and nothing else; it trusts whoever
// wrote it.
func Lifetime(compact string, now time.Time) error {
	m := jwt.MapClaims{}
	_, _, err := jwt.NewParser().ParseUnverified(compact, m)
	if err == nil {
		err = jwt.NewValidator(lifetime(now)...).Validate(m)
	}
	if err != nil {
		return explain(err)
	}
	return nil
}

// Unverified returns the claims of a token without checking anything.
func Unverified(compact string) (Claims, error) {
	m := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(compact, m); err != nil {
		return Claims{}, explain(err)
	}
	return fromMap(m), nil
}

func fromMap(m jwt.MapClaims) Claims {
	c := Claims{All: m, Roles: list(m["role"]), Groups: list(m["webpubsub.group"])}
	c.UserID, _ = m["sub"].(string)
	if aud, err := m.GetAudience(); err == nil {
		c.Audience = strings.Join(aud, " ")
	}
	if t, err := m.GetExpirationTime(); err == nil && t != nil {
		c.Expires = t.Time
	}
	if t, err := m.GetIssuedAt(); err == nil && t != nil {
		c.Issued = t.Time
	}
	return c
}

// list reads a claim that may be one string or an array of strings.
func list(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// explain turns the library's errors into one that names the remedy. The token
// itself is never part of it.
func explain(err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return errors.New("the token has expired: get a new one, from negotiate where a client connects, and compare the clocks of the two machines")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return errors.New("the token is not valid yet: compare the clocks of the two machines")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return errors.New("the token's signature fits no access key: sign with AccessKey of the connection string (HS256, the text's UTF-8 bytes)")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return errors.New("the token has no exp claim: say when it expires, in seconds since 1970")
	default:
		return errors.New("the token is malformed: it is a JSON Web Token of three parts, signed with HS256")
	}
}
