package emulator_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/service"
)

// entra is an identity of Microsoft Entra that nobody vouches for.
type entra struct{}

func (entra) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	expires := time.Now().Add(time.Hour)
	return azcore.AccessToken{
		Token:     entraToken(strings.TrimSuffix(o.Scopes[0], "/.default"), expires),
		ExpiresOn: expires,
	}, nil
}

// entraToken has the form of Entra's; its signature is none.
func entraToken(audience string, expires time.Time) string {
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT","kid":"x"}`)) + "." +
		enc.EncodeToString(fmt.Appendf(nil, `{"aud":%q,"exp":%d,"oid":"1"}`, audience, expires.Unix())) + ".c2ln"
}

// Everything that a program with a token credential does: an Entra token over
// TLS, a client token that the service makes, and a WebSocket over TLS.
func TestTokenCredentialOverTLS(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{TLS: true, AllowUnverifiedEntra: true})
	if !strings.HasPrefix(srv.URL(), "https://") || !strings.HasPrefix(srv.ClientURL("chat"), "wss://") || !strings.Contains(srv.ConnectionString(), "Endpoint="+srv.URL()+";") {
		t.Errorf("addresses %s, %s, %s", srv.URL(), srv.ClientURL("chat"), srv.ConnectionString())
	}
	chat, err := service.NewClient(srv.URL(), "chat", entra{}, &service.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: srv.Client()},
	})
	if err != nil {
		t.Fatal(err)
	}
	access, err := chat.GetClientAccessToken(t.Context(), &service.GetClientAccessTokenOptions{
		UserID: "alice", Groups: []string{"g", "h"}, Roles: anything, Expiry: 30 * time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(access.URL, srv.ClientURL("chat")+"?access_token=") {
		t.Errorf("client URL %s", access.URL)
	}
	header, claims := parts(t, access.Token)
	if kid, _ := header["kid"].(string); !regexp.MustCompile(`^s-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(kid) {
		t.Errorf("kid %q", kid)
	}
	if claims["iss"] != "https://webpubsub.azure.com" || claims["aud"] != srv.URL()+"/client/hubs/chat" || claims["nbf"] != claims["iat"] ||
		claims["exp"].(float64)-claims["iat"].(float64) != 1800 || fmt.Sprint(claims["webpubsub.group"]) != "[g h]" || fmt.Sprint(claims["role"]) != fmt.Sprint(anything) {
		t.Errorf("claims %v", claims)
	}

	d := websocket.Dialer{Subprotocols: []string{jsonProtocol}, TLSClientConfig: &tls.Config{RootCAs: srv.CertPool()}}
	ws, _, err := d.DialContext(t.Context(), access.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	c := &client{t, ws}
	if hello := c.recv(); !strings.Contains(hello, `"userId":"alice"`) {
		t.Fatal(hello)
	}
	if err := chat.SendToGroup(t.Context(), "h", webpubsub.Text(strings.Repeat("x", 100_000)), nil); err != nil {
		t.Fatal(err)
	}
	if got := c.recv(); len(got) < 100_000 {
		t.Errorf("got %s", got)
	}

	// Each protocol has its own tokens, and its own endpoint for them.
	mqtt, err := chat.GetClientAccessToken(t.Context(), &service.GetClientAccessTokenOptions{Protocol: service.ClientProtocolMQTT})
	if err != nil {
		t.Fatal(err)
	}
	md := websocket.Dialer{Subprotocols: []string{"mqtt"}, TLSClientConfig: d.TLSClientConfig}
	mws, _, err := md.DialContext(t.Context(), mqtt.URL, nil)
	if err != nil {
		t.Fatalf("%s: %v", mqtt.BaseURL, err)
	}
	defer mws.Close()
	if _, _, err := md.DialContext(t.Context(), srv.ClientURL("chat")+"?access_token="+mqtt.Token, nil); err == nil {
		t.Error("a token for MQTT opens the other endpoint")
	}

	// A page link has to lead back here, so it is https too.
	next := srv.URL() + "/api/hubs/chat/groups/g/connections?maxpagesize=1"
	other := dialTLS(t, srv, accessToken(t, srv, dialOptions{groups: []string{"g"}}))
	other.recv()
	req, _ := http.NewRequestWithContext(t.Context(), "GET", next, nil)
	req.Header.Set("Authorization", "Bearer "+entraToken("https://webpubsub.azure.com", time.Now().Add(time.Hour)))
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var page struct{ NextLink string }
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || !strings.HasPrefix(page.NextLink, srv.URL()+"/api/hubs/chat/groups/g/connections?") {
		t.Errorf("nextLink %q, %v", page.NextLink, err)
	}
}

func dialTLS(t *testing.T, srv *emulator.Server, accessToken string) *client {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{jsonProtocol}, TLSClientConfig: &tls.Config{RootCAs: srv.CertPool()}}
	ws, _, err := d.DialContext(t.Context(), srv.ClientURL(hubName)+"?access_token="+accessToken, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.Close() })
	return &client{t, ws}
}

func parts(t *testing.T, compact string) (header, claims map[string]any) {
	t.Helper()
	for i, into := range []*map[string]any{&header, &claims} {
		data, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[i])
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// An emulator is called by the name of its container, or by one in /etc/hosts.
func TestCertificateFitsEveryName(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{TLS: true})
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(srv.CertificatePEM()) {
		t.Fatal("the PEM is none")
	}
	address := strings.TrimPrefix(srv.URL(), "https://")
	for _, name := range []string{"localhost", "127.0.0.1", "::1", "emulator", "contoso.webpubsub.azure.com"} {
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: pool, ServerName: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = conn.Close()
	}
	plain := emulator.StartT(t, emulator.Options{})
	if plain.CertPool() != nil || plain.CertificatePEM() != nil {
		t.Error("a certificate without TLS")
	}
}

func TestRefusedConnectionsAreLogged(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{TLS: true})
	address := strings.TrimPrefix(srv.URL(), "https://")
	if _, err := tls.Dial("tcp", address, &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}); err == nil {
		t.Fatal("the certificate is trusted by nobody")
	}
	waitForReason(t, srv, "have the client trust the emulator's certificate")
	resp, err := srv.Client().Get("http://" + address + "/api/health")
	if err == nil {
		resp.Body.Close()
	}
	waitForReason(t, srv, "use the endpoint "+srv.URL())
}

func waitForReason(t *testing.T, srv *emulator.Server, part string) {
	t.Helper()
	waitForEntry(t, srv, fmt.Sprintf("a refusal with %q", part), func(e emulator.Entry) bool {
		return e.Kind == emulator.EntryRejected && strings.Contains(e.Reason, part)
	})
}

func TestUnverifiedEntraTokens(t *testing.T) {
	const audience = "https://webpubsub.azure.com"
	soon := time.Now().Add(time.Hour)
	open := emulator.StartT(t, emulator.Options{AllowUnverifiedEntra: true})
	shut := emulator.StartT(t, emulator.Options{})
	forged, err := token.Sign("not the key", token.Claims{Audience: open.URL() + "/api/hubs/chat/users/u", Expires: soon})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		srv    *emulator.Server
		bearer string
		status int
		reason string
	}{
		{"good", open, entraToken(audience, soon), 404, ""},
		{"trailing slash", open, entraToken(audience+"/", soon), 404, ""},
		{"China", open, entraToken("https://webpubsub.azure.cn", soon), 404, ""},
		{"within the skew", open, entraToken(audience, time.Now().Add(-4*time.Minute)), 404, ""},
		{"expired", open, entraToken(audience, time.Now().Add(-6*time.Minute)), 401, "expired"},
		{"another application", open, entraToken("https://management.azure.com", soon), 401, "token signature is invalid"},
		{"an access key's", open, serviceToken(t, emulator.DefaultAccessKey, open.URL()+"/api/hubs/chat/users/u", soon), 404, ""},
		{"a wrong key's", open, forged, 401, "token signature is invalid"},
		{"no JWT", open, "SecretPlaceholder", 401, "malformed"},
		{"not allowed", shut, entraToken(audience, soon), 401, "AllowUnverifiedEntra"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := raw(t, request{method: "HEAD"}, tt.srv.URL()+"/api/hubs/chat/users/u", tt.bearer)
			if a.status != tt.status {
				t.Errorf("got %d, want %d", a.status, tt.status)
			}
			if tt.reason != "" {
				waitForReason(t, tt.srv, tt.reason)
			}
		})
	}

	// As in the service, a client does not connect with a token of Entra.
	_, resp, err := tryDial(t, open, dialOptions{noToken: true, query: url.Values{"access_token": {entraToken(audience, soon)}}})
	if err == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a client connected with a token of Entra: %v", err)
	}
	waitForReason(t, open, ":generateToken")

	// Whoever mounts the emulator elsewhere does not open it to the network.
	w, r := httptest.NewRecorder(), httptest.NewRequest("HEAD", open.URL()+"/api/hubs/chat/users/u", nil)
	r.Header.Set("Authorization", "Bearer "+entraToken(audience, soon))
	r.RemoteAddr = "192.0.2.1:1234"
	open.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("a stranger got %d", w.Code)
	}
	waitForReason(t, open, "from this machine only")
}

func TestUnverifiedEntraStaysOnLoopback(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0"} {
		srv, err := emulator.Start(emulator.Options{Addr: addr, AllowUnverifiedEntra: true})
		if err == nil {
			_ = srv.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// A stranger's request leaves nothing behind, however many hubs it names.
func TestUnauthenticatedRequestsCreateNoHubs(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	for i := range 10 {
		hub := fmt.Sprint("hub", i)
		if _, resp, err := tryDial(t, srv, dialOptions{hub: hub, noToken: true}); err == nil || resp.StatusCode != http.StatusUnauthorized {
			t.Fatal(err)
		}
		c := dial(t, srv, dialOptions{hub: hub, noToken: true, subprotocol: reliableProtocol, query: url.Values{"awps_connection_id": {"x"}}})
		c.expectClose(websocket.ClosePolicyViolation, "The connection could not be recovered.")
	}
	if n := srv.HubCount(); n != 0 {
		t.Errorf("%d hubs", n)
	}
}

// New once panicked where a test had replaced http.DefaultTransport.
func TestNewWithoutDefaultTransport(t *testing.T) {
	old := http.DefaultTransport
	defer func() { http.DefaultTransport = old }()
	http.DefaultTransport = http.NewFileTransport(http.Dir("."))
	srv := emulator.StartT(t, emulator.Options{})
	resp, err := srv.Client().Get(srv.URL() + "/api/health")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}
