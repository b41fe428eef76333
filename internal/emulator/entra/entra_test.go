package entra_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"example.com/webpubsub/internal/emulator/entra"
)

const authority = "http://localhost:8080/entra"

// get returns what a path below the authority host answers.
func get(i http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	i.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// keys follows the OpenID configuration, as verifiers do.
func keys(t *testing.T, i http.Handler) json.RawMessage {
	t.Helper()
	var config struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	res := get(i, "/"+entra.TenantID+"/v2.0/.well-known/openid-configuration")
	if err := json.Unmarshal(res.Body.Bytes(), &config); err != nil {
		t.Fatal(err)
	}
	if config.Issuer != authority+"/"+entra.TenantID+"/v2.0" {
		t.Errorf("issuer %q", config.Issuer)
	}
	path, ok := strings.CutPrefix(config.JWKSURI, authority)
	if !ok {
		t.Fatalf("jwks_uri %q", config.JWKSURI)
	}
	return get(i, path).Body.Bytes()
}

func verify(t *testing.T, set json.RawMessage, compact string, now time.Time) (jwt.MapClaims, error) {
	t.Helper()
	k, err := keyfunc.NewJWKSetJSON(set)
	if err != nil {
		t.Fatal(err)
	}
	claims := jwt.MapClaims{}
	_, err = jwt.ParseWithClaims(compact, claims, k.Keyfunc, jwt.WithValidMethods([]string{"RS256"}), jwt.WithTimeFunc(func() time.Time { return now }))
	return claims, err
}

func TestTokens(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	i := entra.New(authority, func() time.Time { return now })
	token := func() string {
		t.Helper()
		s, err := i.Token(t.Context(), "api://a")
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	first := token()
	claims, err := verify(t, keys(t, i), first, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"aud": "api://a", "iss": authority + "/" + entra.TenantID + "/v2.0", "tid": entra.TenantID,
		"oid": entra.PrincipalID, "azp": entra.ClientID, "exp": float64(now.Add(time.Hour).Unix()),
	} {
		if claims[name] != want {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	if other, err := i.Token(t.Context(), "api://b"); err != nil || other == first {
		t.Errorf("another audience: %v, %v", other == first, err)
	}
	now = now.Add(49 * time.Minute)
	if token() != first {
		t.Error("a token that is good for long was replaced")
	}
	now = now.Add(time.Minute)
	if token() == first {
		t.Error("a token that is about to expire was given out again")
	}
}

// The key before the newest stays published, the one before that does not.
func TestRotate(t *testing.T) {
	i := entra.New(authority, time.Now)
	var tokens []string
	for n := range 3 {
		if n > 0 {
			if err := i.Rotate(); err != nil {
				t.Fatal(err)
			}
		}
		s, err := i.Token(t.Context(), "api://a")
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, s)
	}
	set := keys(t, i)
	for n, s := range tokens {
		if _, err := verify(t, set, s, time.Now()); (err == nil) != (n > 0) {
			t.Errorf("token of key %d: %v", n, err)
		}
	}
	if strings.Contains(string(set), `"d"`) {
		t.Error("a private key is published")
	}
}

func TestOtherRequests(t *testing.T) {
	i := entra.New(authority, time.Now)
	if res := get(i, "/other/v2.0/.well-known/openid-configuration"); res.Code != http.StatusNotFound {
		t.Errorf("another tenant: %d", res.Code)
	}
	w := httptest.NewRecorder()
	i.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/"+entra.TenantID+"/discovery/v2.0/keys", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}
