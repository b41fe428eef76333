package webapp_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/service"
	"example.com/webpubsub/webapp"
)

func TestNegotiate(t *testing.T) {
	query := func(c *webapp.Config) { c.AllowUserIDQuery = true }
	platform := func(c *webapp.Config) { c.TrustPlatformAuth = true }
	own := func(c *webapp.Config) {
		c.Authenticate = func(r *http.Request) (webapp.User, error) {
			switch r.Header.Get("Session") {
			case "s1":
				return webapp.User{ID: "u1", Name: "Ada"}, nil
			case "":
				return webapp.User{}, nil
			}
			return webapp.User{}, errors.New("the session has expired")
		}
	}
	both := func(c *webapp.Config) { query(c); platform(c) }
	signedIn := http.Header{"X-Ms-Client-Principal-Name": {"Ada@contoso.com"}, "X-Ms-Client-Principal-Id": {"0a1b"}}
	header := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Set("X-Ms-Client-Principal"+pairs[i], pairs[i+1])
		}
		return h
	}
	encoded := func(principal string) string { return base64.StdEncoding.EncodeToString([]byte(principal)) }

	for name, tt := range map[string]struct {
		config         func(*webapp.Config)
		method, target string
		header         http.Header
		status         int
		want           string // the user, or a part of the error
	}{
		"GET":                    {query, "GET", "/api/negotiate?userId=alice", nil, 200, "alice"},
		"POST":                   {query, "POST", "/api/negotiate?userId=alice", nil, 200, "alice"},
		"name of the C# samples": {query, "GET", "/api/negotiate?userid=alice", nil, 200, "alice"},
		"blanks around":          {query, "GET", "/api/negotiate?userId=%20Ada%20Lovelace%20", nil, 200, "Ada Lovelace"},
		"longest":                {query, "GET", "/api/negotiate?userId=" + strings.Repeat("x", 128), nil, 200, strings.Repeat("x", 128)},
		"too long":               {query, "GET", "/api/negotiate?userId=" + strings.Repeat("x", 129), nil, 400, "at most 128"},
		"empty":                  {query, "GET", "/api/negotiate?userId=%20", nil, 400, "empty"},
		"control character":      {query, "GET", "/api/negotiate?userId=a%0ab", nil, 400, "U+000A"},
		"not UTF-8":              {query, "GET", "/api/negotiate?userId=%ff", nil, 400, "UTF-8"},
		"nobody":                 {query, "GET", "/api/negotiate", nil, 401, "?userId="},
		"query not allowed":      {nil, "GET", "/api/negotiate?userId=alice", nil, 401, "WebPubSubAllowUserIdQuery"},
		"headers not trusted":    {nil, "GET", "/api/negotiate", signedIn, 401, "not authenticated"},
		"query in place of them": {query, "GET", "/api/negotiate", signedIn, 401, "?userId="},
		"not signed in":          {platform, "GET", "/api/negotiate?userId=alice", nil, 401, "sign in first"},
		"platform before query":  {both, "GET", "/api/negotiate?userId=eve", signedIn, 200, "0a1b Ada@contoso.com"},
		"query without platform": {both, "GET", "/api/negotiate?userId=alice", nil, 200, "alice"},
		"two users":              {query, "GET", "/api/negotiate?userId=alice&userid=bob", nil, 400, "more than one"},
		"path of REST calls":     {query, "GET", "/api/negotiate?userId=a%2Fb", nil, 400, "REST path"},
		"the reserved form":      {query, "GET", "/api/negotiate?userId=J%25C3%25BCrgen", nil, 400, "%C3, which is reserved"},
		// The host rejects a request with any other character in a header, and
		// the service sends the user ID as one.
		"not ASCII": {query, "GET", "/api/negotiate?userId=J%C3%BCrgen", nil, 200, "J%C3%BCrgen"},
		// url.Query leaves out a pair that it cannot read, and alice was
		// nobody; with a default user she would have been somebody else.
		"semicolon":     {query, "GET", "/api/negotiate?userId=a;b", nil, 400, "semicolon"},
		"bad percent":   {query, "GET", "/api/negotiate?userId=a%zz", nil, 400, "percent-encode"},
		"bad elsewhere": {query, "GET", "/api/negotiate?userId=alice&x=%zz", nil, 400, "percent-encode"},

		// The ID of a user whom the platform signed in is the stable one: a name
		// can be changed, and given to somebody else.
		"signed in":                {platform, "GET", "/api/negotiate", signedIn, 200, "0a1b Ada@contoso.com"},
		"signed in, no name":       {platform, "GET", "/api/negotiate", header("-Id", "0a1b"), 200, "0a1b"},
		"signed in, no ID":         {platform, "GET", "/api/negotiate", header("-Name", "Ada"), 400, "without an ID"},
		"Entra":                    {platform, "GET", "/api/negotiate", header("-Id", "0a1b", "-Idp", "aad", "-Name", "Ada"), 200, "0a1b Ada"},
		"another provider":         {platform, "GET", "/api/negotiate", header("-Id", "42", "-Idp", "github", "-Name", "ada"), 200, "github:42 ada"},
		"header twice":             {platform, "GET", "/api/negotiate", http.Header{"X-Ms-Client-Principal-Name": {"eve", "ada"}}, 400, "more than once"},
		"name is the ID":           {platform, "GET", "/api/negotiate", header("-Id", "ada", "-Name", "ada"), 200, "ada"},
		"name that is not allowed": {platform, "GET", "/api/negotiate", header("-Id", "0a1b", "-Name", "a\u200bda"), 200, "0a1b"},
		"name outside ASCII": {
			platform, "GET", "/api/negotiate",
			header("-Id", "0a1b", "-Name", "J\xc3\xbcrgen", "", encoded(`{"auth_typ":"aad","name_typ":"name","claims":[{"typ":"name","val":"Jürgen"}]}`)), 200, "0a1b Jürgen",
		},
		"Static Web Apps": {
			platform, "GET", "/api/negotiate",
			header("", encoded(`{"identityProvider":"github","userId":"d75b","userDetails":"ada","userRoles":["anonymous","authenticated"]}`)), 200, "d75b ada",
		},
		"Static Web Apps, not signed in": {
			platform, "GET", "/api/negotiate",
			header("", encoded(`{"identityProvider":"github","userId":"d75b","userDetails":"ada","userRoles":["anonymous"]}`)), 401, "sign in",
		},
		"Static Web Apps, not trusted": {
			query, "GET", "/api/negotiate",
			header("", encoded(`{"identityProvider":"github","userId":"d75b","userRoles":["authenticated"]}`)), 401, "?userId=",
		},
		"principal that is not JSON": {platform, "GET", "/api/negotiate", header("", "e30="+"x"), 400, "base64"},

		"own sign-in":             {own, "GET", "/api/negotiate", http.Header{"Session": {"s1"}}, 200, "u1 Ada"},
		"own sign-in, nobody":     {own, "GET", "/api/negotiate", nil, 401, "sign in first"},
		"own sign-in, error":      {own, "GET", "/api/negotiate", http.Header{"Session": {"old"}}, 401, "the session has expired"},
		"own sign-in, then query": {func(c *webapp.Config) { own(c); query(c) }, "GET", "/api/negotiate?userId=alice", nil, 200, "alice"},

		"unknown protocol": {query, "GET", "/api/negotiate?userId=alice&clientProtocol=socketio", nil, 400, "use default or mqtt"},

		"HEAD":                 {query, "HEAD", "/api/negotiate?userId=alice", nil, 405, ""},
		"OPTIONS without CORS": {query, "OPTIONS", "/api/negotiate", http.Header{"Origin": {"https://a.example"}, "Access-Control-Request-Method": {"POST"}}, 405, "GET and POST"},
		"DELETE":               {query, "DELETE", "/api/negotiate", nil, 405, "GET and POST"},
	} {
		t.Run(name, func(t *testing.T) {
			a, log := newApp(t, tt.config)
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
			user, name, _ := strings.Cut(tt.want, " ")
			if tt.want == "Ada Lovelace" {
				user, name = tt.want, ""
			}
			checkNegotiated(t, body, user, name)
			if strings.Contains(log.String(), body["accessToken"]) {
				t.Error("the log shows the token")
			}
		})
	}
}

// checkNegotiated looks at the answer as the Functions binding
// webPubSubConnection has it, and at the token in it.
func checkNegotiated(t *testing.T, body map[string]string, user, name string) {
	t.Helper()
	const base = "wss://" + someOrigin + "/client/hubs/chat"
	got, rest, _ := strings.Cut(body["url"], "&")
	if len(body) != 3 || body["baseUrl"] != base || got != base+"?access_token="+body["accessToken"] {
		t.Errorf("got %v", body)
	}
	if query, err := url.ParseQuery(rest); err != nil || query.Get("userName") != name || query.Has("userNameSignature") != (name != "") {
		t.Errorf("the URL ends in %s, want the name %q: %v", rest, name, err)
	}
	claims, err := token.Verify(body["accessToken"], []string{someKey}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if claims.UserID != user || claims.Audience != "https://"+someOrigin+"/client/hubs/chat" {
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
			a, _ := newApp(t, func(c *webapp.Config) { c.AllowUserIDQuery, c.AllowedOrigins = true, tt.allowed })
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
	log := &testlog.Buffer{}
	a, err := webapp.New(webapp.Config{
		ServiceURI: srv.URL, Credential: fakeCredential{}, AccessKeys: []string{someKey}, AllowUserIDQuery: true,
		ClientOptions: &service.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: srv.Client(), Retry: policy.RetryOptions{MaxRetries: -1}}},
		Logger:        log.Logger(),
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
	if w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "see the log") || strings.Contains(w.Body.String(), "403") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "403") || strings.Contains(log.String(), "entra-token") {
		t.Errorf("log: %s", log)
	}
}

// The URL is for the protocol of the client.
func TestNegotiateProtocol(t *testing.T) {
	a, _ := newApp(t, func(c *webapp.Config) { c.AllowUserIDQuery = true })
	for query, path := range map[string]string{
		"":                        "/client/hubs/chat",
		"&clientProtocol=default": "/client/hubs/chat",
		"&clientProtocol=mqtt":    "/clients/mqtt/hubs/chat",
		"&clientProtocol=MQTT":    "/clients/mqtt/hubs/chat",
	} {
		w := get(a.Handler(), "GET", "/api/negotiate?userId=alice"+query)
		var body struct{ URL, BaseURL, AccessToken string }
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			t.Fatal(err)
		}
		claims, err := token.Verify(body.AccessToken, []string{someKey}, time.Now())
		if u, _ := url.Parse(body.URL); err != nil || u.Path != path || !strings.HasSuffix(body.BaseURL, path) || !strings.HasSuffix(claims.Audience, path) {
			t.Errorf("%s: %+v, %v, %v", query, claims, body.BaseURL, err)
		}
	}
}
