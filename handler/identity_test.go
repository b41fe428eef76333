package handler_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// identityRun is an emulator whose event handler trusts the emulator's managed
// identity and has no access key.
type identityRun struct {
	srv     *emulator.Server
	url     string       // of the handler
	bearer  atomic.Value // the newest Authorization that the handler got
	fetches atomic.Int32 // of signing keys
}

func (run *identityRun) RoundTrip(r *http.Request) (*http.Response, error) {
	run.fetches.Add(1)
	return http.DefaultTransport.RoundTrip(r)
}

func runIdentity(t *testing.T, sent string, change func(*handler.EntraOptions)) *identityRun {
	t.Helper()
	run := &identityRun{srv: emulator.StartT(t, emulator.Options{})}
	entra := &handler.EntraOptions{
		AuthorityHost: run.srv.AuthorityHost(),
		TenantID:      emulator.TenantID,
		Principals:    []string{emulator.PrincipalID},
		Audiences:     []string{audience},
		HTTPClient:    &http.Client{Transport: run},
	}
	if change != nil {
		change(entra)
	}
	h, _ := newHandler(t, func(o *handler.Options) {
		o.ConnectionStrings, o.AllowedOrigins, o.Entra = nil, []string{run.srv.URL()}, entra
	})
	h.OnEvent("message", replyText("ok"))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		run.bearer.Store(r.Header.Get("Authorization"))
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { web.Close(); http.DefaultClient.CloseIdleConnections() })
	run.url = web.URL
	must(t, run.srv.SetHub("chat", emulator.HubSettings{AllowAnonymous: true, EventHandlers: []emulator.EventHandler{{
		URL: web.URL, UserEvents: "*", SystemEvents: []string{"connect"}, Audience: sent,
	}}}))
	return run
}

// connect returns the status of a handshake. It checks that an accepted client
// receives a reply to a message.
func (run *identityRun) connect(t *testing.T) int {
	t.Helper()
	ws, res, err := websocket.DefaultDialer.Dial(run.srv.ClientURL("chat"), nil)
	if err != nil {
		if res == nil {
			t.Fatal(err)
		}
		return res.StatusCode
	}
	defer ws.Close()
	must(t, ws.WriteMessage(websocket.TextMessage, []byte("x")))
	_ = ws.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, got, err := ws.ReadMessage(); string(got) != "ok" {
		t.Errorf("reply %q, %v", got, err)
	}
	return res.StatusCode
}

// The emulator sends the token of its managed identity, its stand-in for Entra
// publishes the keys, and the handler lets in what fits all of its options.
func TestManagedIdentity(t *testing.T) {
	other := emulator.StartT(t, emulator.Options{})
	for _, tt := range []struct {
		name   string
		sent   string // audience
		change func(*handler.EntraOptions)
		want   int
	}{
		{"right", audience, nil, 101},
		{"no token", "", nil, 401},
		{"another audience", "api://other", nil, 401},
		{"audience of a prefix", audience + "/", nil, 401},
		{"another issuer", audience, func(o *handler.EntraOptions) { o.Issuers = []string{"https://sts.windows.net/x/"} }, 401},
		{"another issuer's keys", audience, func(o *handler.EntraOptions) { o.AuthorityHost = other.AuthorityHost() }, 401},
		{"another principal", audience, func(o *handler.EntraOptions) { o.Principals = []string{principal} }, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := runIdentity(t, tt.sent, tt.change).connect(t); got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
		})
	}
}

// A rotated key is fetched when it is first met, and not again.
func TestManagedIdentityRotation(t *testing.T) {
	run := runIdentity(t, audience, nil)
	for i, want := range []int32{1, 1, 2, 2} {
		if i == 2 {
			must(t, run.srv.RotateIdentityKey())
		}
		if got := run.connect(t); got != 101 {
			t.Errorf("connection %d: status %d", i, got)
		}
		if got := run.fetches.Load(); got != want {
			t.Errorf("connection %d: keys were fetched %d times, want %d", i, got, want)
		}
	}
}

// What a sender could make of a token that it has seen.
func TestManagedIdentityForgeries(t *testing.T) {
	run := runIdentity(t, audience, nil)
	if got := run.connect(t); got != 101 {
		t.Fatalf("status %d", got)
	}
	good := run.bearer.Load().(string)
	parts := strings.Split(strings.TrimPrefix(good, "Bearer "), ".")
	claims := jwt.MapClaims{}
	parsed, _, err := jwt.NewParser().ParseUnverified(strings.Join(parts, "."), claims)
	must(t, err)
	sign := func(method jwt.SigningMethod, key any) string {
		forged := jwt.NewWithClaims(method, claims)
		forged.Header["kid"] = parsed.Header["kid"]
		s, err := forged.SignedString(key)
		must(t, err)
		return "Bearer " + s
	}
	for name, tt := range map[string]struct {
		bearer string
		want   int
	}{
		"the token itself":    {good, 200},
		"alg none":            {sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType), 401},
		"HS256 by the key id": {sign(jwt.SigningMethodHS256, []byte(parsed.Header["kid"].(string))), 401},
		"another RSA key":     {sign(jwt.SigningMethodRS256, testKeys()["other"]), 401},
		"other claims":        {"Bearer " + parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"aud":"`+audience+`"}`)) + "." + parts[2], 401},
	} {
		t.Run(name, func(t *testing.T) {
			r := bearerEvent(strings.TrimPrefix(tt.bearer, "Bearer "))
			r.Header.Set("WebHook-Request-Origin", "127.0.0.1")
			req, err := http.NewRequest(http.MethodPost, run.url, r.Body)
			must(t, err)
			req.Header = r.Header
			res, err := http.DefaultClient.Do(req)
			must(t, err)
			res.Body.Close()
			wantStatus(t, &handlertest.Response{Status: res.StatusCode}, tt.want)
		})
	}
}
