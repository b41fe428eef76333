package handler_test

import (
	"bytes"
	"context"
	"crypto"
	crand "crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math/big"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/testlog"
)

const (
	tenant    = "11111111-2222-3333-4444-555555555555"
	principal = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	audience  = "api://chat"
)

var testKeys = sync.OnceValue(func() map[string]*rsa.PrivateKey {
	keys := make(map[string]*rsa.PrivateKey)
	for _, kid := range []string{"k1", "k2", "other"} {
		key, err := rsa.GenerateKey(crand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[kid] = key
	}
	return keys
})

// keyServer is Entra's key address as a transport, so that no test needs a
// network and the clock can be a test's.
type keyServer struct {
	mu    sync.Mutex
	kids  []string // what is published now
	down  bool
	calls []string      // addresses asked
	hold  chan struct{} // if not nil, responses wait until it is closed
}

func (s *keyServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.calls = append(s.calls, r.URL.String())
	s.mu.Unlock()
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, errors.New("no route")
	}
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	for _, kid := range s.kids {
		public := testKeys()[kid].PublicKey
		set.Keys = append(set.Keys, map[string]string{
			"kty": "RSA", "use": "sig", "kid": kid,
			"n":      base64.RawURLEncoding.EncodeToString(public.N.Bytes()),
			"e":      base64.RawURLEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()),
			"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0",
		})
	}
	body, err := json.Marshal(set)
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, err
}

func (s *keyServer) set(down bool, kids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down, s.kids = down, kids
}

func (s *keyServer) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

func entraOptions(s *keyServer) *handler.EntraOptions {
	return &handler.EntraOptions{
		TenantID: tenant, Audiences: []string{audience}, Principals: []string{principal},
		HTTPClient: &http.Client{Transport: s},
	}
}

// goodClaims are those of a token of version 1, as a managed identity gets it.
func goodClaims() jwt.MapClaims {
	now := time.Now()
	return jwt.MapClaims{
		"aud": audience, "iss": "https://sts.windows.net/" + tenant + "/", "tid": tenant,
		"oid": principal, "appid": "some-app", "idtyp": "app",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
}

func signed(t testing.TB, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = kid
	s, err := token.SignedString(testKeys()[kid])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// bearerEvent is a user event with a token and without a signature.
func bearerEvent(token string) *http.Request {
	r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("x"), nil)
	r.Header.Del("ce-signature")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

func entraHandler(t testing.TB, s *keyServer) (*handler.Handler, *testlog.Buffer) {
	h, log := newHandler(t, func(o *handler.Options) {
		o.ConnectionStrings, o.AllowedOrigins, o.Entra = nil, []string{"localhost"}, entraOptions(s)
	})
	h.OnEvent("message", replyText("ok"))
	return h, log
}

func TestEntraTokens(t *testing.T) {
	with := func(changes jwt.MapClaims) jwt.MapClaims {
		c := goodClaims()
		for k, v := range changes {
			if c[k] = v; v == nil {
				delete(c, k)
			}
		}
		return c
	}
	v2 := with(jwt.MapClaims{"iss": "https://login.microsoftonline.com/" + tenant + "/v2.0", "appid": nil, "azp": "some-app"})
	for _, tt := range []struct {
		name   string
		claims jwt.MapClaims
		want   int
		log    string
	}{
		{"version 1", goodClaims(), 200, ""},
		{"version 2", v2, 200, ""},
		{"several audiences", with(jwt.MapClaims{"aud": []string{"x", audience}}), 200, ""},
		{"principal is the application, version 1", with(jwt.MapClaims{"oid": "x", "appid": principal}), 200, ""},
		{"principal is the application, version 2", with(jwt.MapClaims{"oid": "x", "azp": strings.ToUpper(principal)}), 200, ""},
		{"expired within the skew", with(jwt.MapClaims{"exp": time.Now().Add(-4 * time.Minute).Unix()}), 200, ""},

		{"expired", with(jwt.MapClaims{"exp": time.Now().Add(-6 * time.Minute).Unix()}), 401, "clock"},
		{"not yet valid", with(jwt.MapClaims{"nbf": time.Now().Add(6 * time.Minute).Unix()}), 401, "clock"},
		{"no expiry", with(jwt.MapClaims{"exp": nil}), 401, "exp"},
		{"other audience", with(jwt.MapClaims{"aud": "https://management.azure.com"}), 401, "Options.Entra.Audiences"},
		{"no audience", with(jwt.MapClaims{"aud": nil}), 401, "Options.Entra.Audiences"},
		{"other issuer", with(jwt.MapClaims{"iss": "https://sts.windows.net/other/"}), 401, "Options.Entra.TenantID"},
		{"issuer of a prefix", with(jwt.MapClaims{"iss": "https://sts.windows.net/" + tenant + "/x"}), 401, "Options.Entra.TenantID"},
		{"other tenant", with(jwt.MapClaims{"tid": "other"}), 401, "Options.Entra.TenantID"},
		{"no tenant", with(jwt.MapClaims{"tid": nil}), 401, "Options.Entra.TenantID"},
		{"other principal", with(jwt.MapClaims{"oid": "other"}), 401, "Options.Entra.Principals"},
		{"no principal", with(jwt.MapClaims{"oid": nil, "appid": nil}), 401, "Options.Entra.Principals"},
		{"delegated by a user", with(jwt.MapClaims{"appid": principal, "scp": "user_impersonation"}), 401, "managed identity"},
		{"claims of the wrong kind", with(jwt.MapClaims{"oid": []int{1}}), 401, "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &keyServer{kids: []string{"k1"}}
			h, log := entraHandler(t, s)
			res := handlertest.Do(h, bearerEvent(signed(t, "k1", tt.claims)))
			wantStatus(t, res, tt.want)
			if !strings.Contains(log.String(), tt.log) {
				t.Errorf("the log lacks %q: %s", tt.log, log)
			}
			const keys = "https://login.microsoftonline.com/" + tenant + "/discovery/v2.0/keys"
			if tt.want == 200 && !slices.Equal(s.calls, []string{keys}) {
				t.Errorf("asked %s", s.calls)
			}
		})
	}
}

func TestEntraForgeries(t *testing.T) {
	good := signed(t, "k1", goodClaims())
	parts := strings.Split(good, ".")
	forge := func(header string, sign func(input string) []byte) string {
		input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + parts[1]
		return input + "." + base64.RawURLEncoding.EncodeToString(sign(input))
	}
	// The public key used as an HMAC secret.
	public := testKeys()["k1"].N.Bytes()
	hs := jwt.NewWithClaims(jwt.SigningMethodHS256, goodClaims())
	hs.Header["kid"] = "k1"
	confused, err := hs.SignedString(public)
	if err != nil {
		t.Fatal(err)
	}
	ps := jwt.NewWithClaims(jwt.SigningMethodPS256, goodClaims())
	ps.Header["kid"] = "k1"
	pss, err := ps.SignedString(testKeys()["k1"])
	if err != nil {
		t.Fatal(err)
	}
	noKid := jwt.NewWithClaims(jwt.SigningMethodRS256, goodClaims())
	anonymous, err := noKid.SignedString(testKeys()["k1"])
	if err != nil {
		t.Fatal(err)
	}
	otherKey := func(input string) []byte {
		sum := crypto.SHA256.New()
		sum.Write([]byte(input))
		sig, err := rsa.SignPKCS1v15(crand.Reader, testKeys()["other"], crypto.SHA256, sum.Sum(nil))
		must(t, err)
		return sig
	}
	for name, header := range map[string]string{
		"none":                "",
		"empty":               "Bearer ",
		"another scheme":      "Basic " + good,
		"no scheme":           good,
		"text":                "Bearer hello",
		"dots":                "Bearer ...",
		"alg none":            "Bearer " + forge(`{"alg":"none","kid":"k1"}`, func(string) []byte { return nil }),
		"HS256 by public key": "Bearer " + confused,
		"PS256":               "Bearer " + pss,
		"no key id":           "Bearer " + anonymous,
		"unknown key id":      "Bearer " + signed(t, "other", goodClaims()),
		"key id of another":   "Bearer " + forge(`{"alg":"RS256","kid":"k1"}`, otherKey),
		"own key in header":   "Bearer " + forge(`{"alg":"RS256","kid":"k1","jwk":{"kty":"RSA"},"jku":"https://evil.example"}`, otherKey),
		"numeric key id":      "Bearer " + forge(`{"alg":"RS256","kid":1}`, otherKey),
		"cut":                 "Bearer " + good[:len(good)-10],
		"without signature":   "Bearer " + parts[0] + "." + parts[1] + ".",
		"other claims":        "Bearer " + parts[0] + "." + strings.Split(signed(t, "other", goodClaims()), ".")[2] + "." + parts[2],
	} {
		t.Run(name, func(t *testing.T) {
			s := &keyServer{kids: []string{"k1"}}
			h, _ := entraHandler(t, s)
			r := bearerEvent("")
			if header != "" {
				r.Header.Set("Authorization", header)
			}
			wantStatus(t, handlertest.Do(h, r), 401)
			for _, call := range s.calls {
				if !strings.HasPrefix(call, "https://login.microsoftonline.com/"+tenant) {
					t.Errorf("a token made the handler request %s", call)
				}
			}
		})
	}

	// The scheme has no case; two headers are one too many.
	h, _ := entraHandler(t, &keyServer{kids: []string{"k1"}})
	r := bearerEvent("")
	r.Header.Set("Authorization", "bearer "+good)
	wantStatus(t, handlertest.Do(h, r), 200)
	r = bearerEvent(good)
	r.Header.Add("Authorization", "Bearer "+good)
	wantStatus(t, handlertest.Do(h, r), 401)
}

// A good token with one character changed, left out, doubled or moved is no
// good token, at whatever place.
func TestEntraDamagedTokens(t *testing.T) {
	h, err := handler.New(handler.Options{
		AllowedOrigins: []string{"localhost"}, Entra: entraOptions(&keyServer{kids: []string{"k1"}}),
		Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	h.OnEvent("message", func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
		t.Error("a damaged token reached a callback")
		return nil, nil
	})
	good := signed(t, "k1", goodClaims())
	rnd := rand.New(rand.NewPCG(1, 2))
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.= "
	for i := range good {
		changed := good
		for changed == good {
			switch c := string(alphabet[rnd.IntN(len(alphabet))]); rnd.IntN(4) {
			case 0:
				changed = good[:i] + c + good[i+1:]
			case 1:
				changed = good[:i] + good[i+1:]
			case 2:
				changed = good[:i] + c + good[i:]
			case 3:
				j := rnd.IntN(len(good))
				b := []byte(good)
				b[i], b[j] = b[j], b[i]
				changed = string(b)
			}
		}
		if strings.TrimSpace(changed) == good {
			continue // the blank is the header's, not the token's
		}
		if res := handlertest.Do(h, bearerEvent(changed)); res.Status != 401 {
			t.Errorf("place %d: status %d for %q", i, res.Status, changed)
		}
	}
}

// With keys and Entra configured, both must pass.
func TestEntraAndKeys(t *testing.T) {
	h, _ := newHandler(t, func(o *handler.Options) { o.Entra = entraOptions(&keyServer{kids: []string{"k1"}}) })
	h.OnEvent("message", replyText("ok"))
	good := "Bearer " + signed(t, "k1", goodClaims())
	for _, tt := range []struct {
		signature, token bool
		want             int
	}{{true, true, 200}, {true, false, 401}, {false, true, 401}, {false, false, 401}} {
		r := handlertest.UserEvent("chat", "conn1", "message", webpubsub.Text("x"), nil)
		if !tt.signature {
			r.Header.Del("ce-signature")
		}
		if tt.token {
			r.Header.Set("Authorization", good)
		}
		wantStatus(t, handlertest.Do(h, r), tt.want)
	}
}

func TestEntraNationalCloud(t *testing.T) {
	s := &keyServer{kids: []string{"k1"}}
	h, _ := newHandler(t, func(o *handler.Options) {
		o.Entra = entraOptions(s)
		o.Entra.AuthorityHost = "https://login.microsoftonline.us/"
		o.ConnectionStrings, o.AllowedOrigins = nil, []string{"localhost"}
	})
	h.OnEvent("message", replyText("ok"))
	c := maps.Clone(goodClaims())
	c["iss"] = "https://login.microsoftonline.us/" + tenant + "/v2.0"
	wantStatus(t, handlertest.Do(h, bearerEvent(signed(t, "k1", c))), 200)
	if want := "https://login.microsoftonline.us/" + tenant + "/discovery/v2.0/keys"; s.calls[0] != want {
		t.Errorf("asked %s", s.calls[0])
	}
}
