package app_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"example.com/webpubsub/app"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/service"
)

func TestNegotiate(t *testing.T) {
	query := func(c *app.Config) { c.AllowUserIDQuery = true }
	platform := func(c *app.Config) { c.TrustPlatformAuth = true }
	both := func(c *app.Config) { query(c); platform(c) }
	signedIn := http.Header{"X-Ms-Client-Principal-Name": {"Ada@contoso.com"}, "X-Ms-Client-Principal-Id": {"0a1b"}}

	for name, tt := range map[string]struct {
		config         func(*app.Config)
		method, target string
		header         http.Header
		status         int
		want           string // the user, or a part of the error
	}{
		"GET":                        {query, "GET", "/api/negotiate?userId=alice", nil, 200, "alice"},
		"POST":                       {query, "POST", "/api/negotiate?userId=alice", nil, 200, "alice"},
		"name of the C# samples":     {query, "GET", "/api/negotiate?userid=alice", nil, 200, "alice"},
		"blanks around":              {query, "GET", "/api/negotiate?userId=%20Ada%20Lovelace%20", nil, 200, "Ada Lovelace"},
		"not ASCII":                  {query, "GET", "/api/negotiate?userId=J%C3%BCrgen", nil, 200, "Jürgen"},
		"longest":                    {query, "GET", "/api/negotiate?userId=" + strings.Repeat("x", 128), nil, 200, strings.Repeat("x", 128)},
		"too long":                   {query, "GET", "/api/negotiate?userId=" + strings.Repeat("x", 129), nil, 400, "at most 128"},
		"empty":                      {query, "GET", "/api/negotiate?userId=%20", nil, 400, "empty"},
		"control character":          {query, "GET", "/api/negotiate?userId=a%0ab", nil, 400, "control character"},
		"turned text":                {query, "GET", "/api/negotiate?userId=a%E2%80%AEb", nil, 400, "control character"},
		"not UTF-8":                  {query, "GET", "/api/negotiate?userId=%ff", nil, 400, "UTF-8"},
		"nobody":                     {query, "GET", "/api/negotiate", nil, 401, "?userId="},
		"query not believed":         {nil, "GET", "/api/negotiate?userId=alice", nil, 401, "WebPubSubAllowUserIdQuery"},
		"headers not believed":       {nil, "GET", "/api/negotiate", signedIn, 401, "cannot tell who is calling"},
		"headers not believed here":  {query, "GET", "/api/negotiate", signedIn, 401, "?userId="},
		"signed in":                  {platform, "GET", "/api/negotiate", signedIn, 200, "Ada@contoso.com"},
		"signed in, no name":         {platform, "GET", "/api/negotiate", http.Header{"X-Ms-Client-Principal-Id": {"0a1b"}}, 200, "0a1b"},
		"not signed in":              {platform, "GET", "/api/negotiate?userId=alice", nil, 401, "sign in"},
		"header twice":               {platform, "GET", "/api/negotiate", http.Header{"X-Ms-Client-Principal-Name": {"eve", "ada"}}, 400, "more than once"},
		"the platform comes first":   {both, "GET", "/api/negotiate?userId=eve", signedIn, 200, "Ada@contoso.com"},
		"query where nobody says so": {both, "GET", "/api/negotiate?userId=alice", nil, 200, "alice"},
		"HEAD":                       {query, "HEAD", "/api/negotiate?userId=alice", nil, 405, ""},
		"OPTIONS without CORS":       {query, "OPTIONS", "/api/negotiate", http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"POST"}}, 405, "GET and POST"},
		"DELETE":                     {query, "DELETE", "/api/negotiate", nil, 405, "GET and POST"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeService(t)
			a, log := f.newApp(t, tt.config)
			r := httptest.NewRequest(tt.method, tt.target, nil)
			for k, v := range tt.header {
				r.Header[k] = v
			}
			w := httptest.NewRecorder()
			a.Handler().ServeHTTP(w, r)

			if w.Code != tt.status {
				t.Fatalf("status %d, want %d: %s", w.Code, tt.status, w.Body)
			}
			if got := w.Header().Get("Cache-Control"); got != "no-store" {
				t.Errorf("Cache-Control %q", got)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type %q", got)
			}
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != "" {
				t.Errorf("CORS is off, and allows %q", got)
			}
			if tt.status == http.StatusMethodNotAllowed {
				if got := w.Header().Get("Allow"); got != "GET, POST" {
					t.Errorf("Allow %q", got)
				}
			}
			var body map[string]string
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatalf("not JSON: %v", err)
			}
			if tt.status != http.StatusOK {
				if !strings.Contains(body["error"], tt.want) {
					t.Errorf("error %q does not say %q", body["error"], tt.want)
				}
				return
			}
			checkNegotiated(t, f.URL, body, tt.want)
			if strings.Contains(log.String(), body["accessToken"]) {
				t.Error("the log shows the token")
			}
		})
	}
}

// checkNegotiated looks at the answer as the Functions binding
// webPubSubConnection has it, and at the token in it.
func checkNegotiated(t *testing.T, endpoint string, body map[string]string, user string) {
	t.Helper()
	base := strings.Replace(endpoint, "http", "ws", 1) + "/client/hubs/chat"
	if len(body) != 3 || body["baseUrl"] != base || body["url"] != base+"?access_token="+body["accessToken"] {
		t.Errorf("got %v", body)
	}
	claims, err := token.Verify(body["accessToken"], []string{key}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if claims.UserID != user || claims.Audience != endpoint+"/client/hubs/chat" {
		t.Errorf("token is for %q at %q", claims.UserID, claims.Audience)
	}
	if len(claims.Roles)+len(claims.Groups) > 0 {
		t.Errorf("rights are the connect event's to give, the token gives %v %v", claims.Roles, claims.Groups)
	}
}

func TestNegotiateCORS(t *testing.T) {
	for name, tt := range map[string]struct {
		allowed                []string
		method, origin         string
		status                 int
		allowOrigin, allowMeth string
	}{
		"preflight":               {[]string{"https://a.example"}, "OPTIONS", "https://a.example", 204, "https://a.example", "GET, POST"},
		"preflight of a stranger": {[]string{"https://a.example"}, "OPTIONS", "https://b.example", 204, "", ""},
		"preflight of anybody":    {[]string{"*"}, "OPTIONS", "https://b.example", 204, "*", "GET, POST"},
		"call":                    {[]string{"https://a.example"}, "POST", "https://a.example", 200, "https://a.example", ""},
		"call of a stranger":      {[]string{"https://a.example"}, "POST", "https://b.example", 200, "", ""},
		"no prefixes":             {[]string{"https://a.example"}, "POST", "https://a.example.evil", 200, "", ""},
		"same origin":             {[]string{"https://a.example"}, "POST", "", 200, "", ""},
		"OPTIONS of no browser":   {[]string{"https://a.example"}, "OPTIONS", "", 405, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := newFakeService(t).newApp(t, func(c *app.Config) { c.AllowUserIDQuery, c.AllowedOrigins = true, tt.allowed })
			r := httptest.NewRequest(tt.method, "/api/negotiate?userId=alice", nil)
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			if tt.method == http.MethodOptions {
				r.Header.Set("Access-Control-Request-Method", "POST")
			}
			w := httptest.NewRecorder()
			a.Negotiate().ServeHTTP(w, r)
			h := w.Header()
			if w.Code != tt.status || h.Get("Access-Control-Allow-Origin") != tt.allowOrigin || h.Get("Access-Control-Allow-Methods") != tt.allowMeth {
				t.Errorf("got %d %v", w.Code, h)
			}
			if h.Get("Vary") != "Origin" {
				t.Errorf("Vary %q: a cache would give one site's answer to another", h.Get("Vary"))
			}
		})
	}
}

type fakeCredential struct{}

func (fakeCredential) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{Token: "entra-token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

// With an identity the service itself makes the token.
func TestNegotiateWithIdentity(t *testing.T) {
	status := http.StatusOK
	var asked string
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.Path + " " + r.URL.Query().Get("userId") + " " + r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"token":"from-the-service"}`))
	}))
	defer srv.Close()
	log := &logs{}
	a, err := app.New(app.Config{
		ServiceURI: srv.URL, Credential: fakeCredential{}, AccessKeys: []string{key}, AllowUserIDQuery: true,
		ClientOptions: &service.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: srv.Client(), Retry: policy.RetryOptions{MaxRetries: -1}}},
		Logger:        log.logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	negotiate := func() *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		a.Negotiate().ServeHTTP(w, httptest.NewRequest("GET", "/api/negotiate?userId=alice", nil))
		return w
	}
	if w := negotiate(); w.Code != 200 || !strings.Contains(w.Body.String(), `"accessToken":"from-the-service"`) {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	if want := "POST /api/hubs/chat/:generateToken alice Bearer entra-token"; asked != want {
		t.Errorf("asked %q, want %q", asked, want)
	}

	// The caller learns that it is not his fault, the log why.
	status = http.StatusForbidden
	w := negotiate()
	if w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "the log says why") || strings.Contains(w.Body.String(), "403") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "403") || strings.Contains(log.String(), "entra-token") {
		t.Errorf("log: %s", log)
	}
}
