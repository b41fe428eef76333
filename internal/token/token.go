// Package token signs and verifies the JSON Web Tokens of Web PubSub: HS256
// over the UTF-8 bytes of the access key.
//
//	jwt, err := token.Sign(key, token.Claims{Audience: aud, Expires: time.Now().Add(time.Hour)})
//	claims, err := token.Verify(jwt, []string{key}, time.Now())
package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Skew is the difference between clocks that is tolerated, as in the service.
const Skew = 5 * time.Minute

// Claims are the claims that the service reads.
type Claims struct {
	// KeyID is the header kid. It is omitted when empty and not verified.
	KeyID string
	// Audience is the resource that the token is for, a URL. A token that was read
	// has all of its audiences in Audiences (RFC 7519, section 4.1.3) and the first
	// one here; Sign ignores Audiences.
	Audience  string
	Audiences []string
	// UserID is the claim sub. Of a token that was read, it is sub, nameid or their
	// .NET name, in this order. An empty one is none.
	UserID string
	// Roles is the claim role, Groups the claim webpubsub.group. Of a token that
	// was read, roles and the .NET name of role count as roles, too.
	Roles, Groups []string
	// Issued is the claim iat, Expires the claim exp. Issued is omitted when zero.
	// A time beyond the year 9999 is read as that year.
	Issued, Expires time.Time
	// Issuer is the claim iss and ID the claim jti. Verify does not check them.
	Issuer, ID string
	// All contains every claim of a token that was read, see [ClaimsMap]. Sign
	// ignores it.
	All map[string][]string
	// Signature is the last part of the compact form of a token that was verified. It
	// is a secret as the token is. Sign ignores it.
	Signature string
}

// payload contains the claims as they are signed. Its own fields replace those of
// RegisteredClaims with the same names in JSON: the audience is a string, as in
// the tokens of the official SDKs, and numbers are encoded quickly.
type payload struct {
	jwt.RegisteredClaims
	Audience  string   `json:"aud"`
	Expires   int64    `json:"exp"`
	Issued    int64    `json:"iat,omitempty"`
	NotBefore int64    `json:"nbf,omitempty"`
	Roles     []string `json:"role,omitempty"`
	Groups    []string `json:"webpubsub.group,omitempty"`
}

// Issuer is the iss claim of tokens that the service issues itself.
const Issuer = "https://webpubsub.azure.com"

// Sign returns the compact form of a token with these claims: HS256 (RFC 7515,
// section 3.1).
func Sign(key string, c Claims) (string, error) {
	p := payload{
		RegisteredClaims: jwt.RegisteredClaims{Issuer: c.Issuer, ID: c.ID, Subject: c.UserID},
		Audience:         c.Audience, Expires: c.Expires.Unix(), Roles: c.Roles, Groups: c.Groups,
	}
	if !c.Issued.IsZero() {
		p.Issued = c.Issued.Unix()
		p.NotBefore = p.Issued
	}
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, p)
	if c.KeyID != "" {
		t.Header["kid"] = c.KeyID
	}
	compact, err := t.SignedString([]byte(key))
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return compact, nil
}

// Verify verifies signature and lifetime and returns the claims. The token may be
// signed with any of the keys. The caller must check the audience, since one
// resource has many spellings. Issuer and key ID are not verified, as in the
// service.
func Verify(compact string, keys []string, now time.Time) (Claims, error) {
	p := jwt.NewParser(append(lifetime(now), jwt.WithValidMethods([]string{"HS256"}))...)
	set := jwt.VerificationKeySet{}
	for _, k := range keys {
		if k != "" {
			set.Keys = append(set.Keys, []byte(k))
		}
	}
	if len(set.Keys) == 0 {
		return Claims{}, errors.New("no access key is configured to verify the token with")
	}
	m := new(claimSet)
	if _, err := p.ParseWithClaims(compact, m, func(*jwt.Token) (any, error) { return set, nil }); err != nil {
		return Claims{}, explain(err)
	}
	c := m.claims()
	c.Signature = compact[strings.LastIndexByte(compact, '.')+1:]
	return c, nil
}

func lifetime(now time.Time) []jwt.ParserOption {
	return []jwt.ParserOption{
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(Skew),
		jwt.WithTimeFunc(func() time.Time { return now }),
	}
}

// IsEntra reports whether a token claims to be issued by Microsoft Entra for Web
// PubSub: it compares the audience with those of the clouds and verifies nothing.
func IsEntra(compact string) bool {
	c, err := Unverified(compact)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(c.Audiences, func(audience string) bool {
		switch strings.TrimSuffix(audience, "/") {
		case "https://webpubsub.azure.com", "https://webpubsub.azure.cn", "https://webpubsub.azure.us":
			return true
		}
		return false
	})
}

// Lifetime checks exp and nbf of a token, and not its signature.
func Lifetime(compact string, now time.Time) error {
	m := new(claimSet)
	_, _, err := jwt.NewParser().ParseUnverified(compact, m)
	if err == nil {
		err = jwt.NewValidator(lifetime(now)...).Validate(m)
	}
	if err != nil {
		return explain(err)
	}
	return nil
}

// Unverified returns the claims of a token without verifying it.
func Unverified(compact string) (Claims, error) {
	m := new(claimSet)
	if _, _, err := jwt.NewParser().ParseUnverified(compact, m); err != nil {
		return Claims{}, explain(err)
	}
	return m.claims(), nil
}

// claimSet is the claims of a token as they are decoded.
type claimSet struct{ jwt.MapClaims }

// UnmarshalJSON keeps numbers as they are written: an event handler gets them in
// the connect event.
func (c *claimSet) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(&c.MapClaims)
}

// endOfTime is the last second of the year 9999, the end of .NET's DateTime.
// Some tokens expire at 2^63-1, beyond what [time.Time] can count.
const endOfTime = 253402300799

// clamped returns a time claim as the jwt package reads it, limited to the years
// that can be compared.
func (c *claimSet) clamped(name string, get func() (*jwt.NumericDate, error)) (*jwt.NumericDate, error) {
	if n, ok := c.MapClaims[name].(json.Number); ok {
		if f, _ := n.Float64(); math.Abs(f) > endOfTime {
			return jwt.NewNumericDate(time.Unix(int64(math.Copysign(endOfTime, f)), 0)), nil
		}
	}
	return get()
}

// GetExpirationTime returns the claim exp.
func (c *claimSet) GetExpirationTime() (*jwt.NumericDate, error) {
	return c.clamped("exp", c.MapClaims.GetExpirationTime)
}

// GetNotBefore returns the claim nbf.
func (c *claimSet) GetNotBefore() (*jwt.NumericDate, error) {
	return c.clamped("nbf", c.MapClaims.GetNotBefore)
}

// GetIssuedAt returns the claim iat.
func (c *claimSet) GetIssuedAt() (*jwt.NumericDate, error) {
	return c.clamped("iat", c.MapClaims.GetIssuedAt)
}

func (c *claimSet) claims() Claims {
	all := ClaimsMap(c.MapClaims)
	first := func(names ...string) string {
		for _, name := range names {
			if v := all[name]; len(v) > 0 {
				return v[0]
			}
		}
		return ""
	}
	out := Claims{
		Audience: first("aud"), Audiences: all["aud"],
		UserID: first("sub", "nameid", nameIdentifier),
		Roles:  all[roleClaim], Groups: all["webpubsub.group"],
		Issuer: first("iss"), ID: first("jti"),
		All: all,
	}
	if t, err := c.GetExpirationTime(); err == nil && t != nil {
		out.Expires = t.Time
	}
	if t, err := c.GetIssuedAt(); err == nil && t != nil {
		out.Issued = t.Time
	}
	return out
}

// explain returns an error that describes the remedy for an error of the library.
// It never contains the token.
func explain(err error) error {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return errors.New("the token has expired: request a new one (a client requests it from negotiate), and check the clocks of both machines")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return errors.New("the token is not valid yet: check the clocks of both machines")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return errors.New("the token signature is invalid: sign with the AccessKey of the connection string (HS256, with the UTF-8 bytes of the text)")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return errors.New("the token has no exp claim: set the expiry in seconds since 1970")
	default:
		return errors.New("the token is malformed: it must be a JSON Web Token of three parts, signed with HS256")
	}
}
