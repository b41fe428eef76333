package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"example.com/webpubsub/service"
	"example.com/webpubsub/webapp"
)

// What a browser finds: the page, negotiate, CORS and sign-in.
func TestCheckBrowser(t *testing.T) {
	config := webapp.Config{ConnectionString: checkedResource}
	demo := config
	demo.AllowUserIDQuery = true
	trusting := config
	trusting.TrustPlatformAuth = true
	otherService := demo
	otherService.ConnectionString = strings.Replace(checkedResource, "demo.", "other.", 1)
	otherService.AccessKeys = []string{checkKey}
	allOrigins, oneOrigin := demo, demo
	allOrigins.AllowedOrigins = []string{"*"}
	oneOrigin.AllowedOrigins = []string{"https://www.example.com"}

	// events are those of a good handler, everything else is h.
	other := func(h http.HandlerFunc) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/api/events", testEvents(t, config))
		mux.HandleFunc("/", h)
		return mux
	}
	// platform is App Service authentication, for which the path of the events is
	// excluded.
	platform := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/.auth/me":
				w.WriteHeader(http.StatusUnauthorized)
			case "/api/index":
				http.Redirect(w, r, "/.auth/login/aad", http.StatusFound)
			default:
				r.Header.Del("X-MS-CLIENT-PRINCIPAL-ID")
				r.Header.Del("X-MS-CLIENT-PRINCIPAL-NAME")
				h.ServeHTTP(w, r)
			}
		})
	}
	// negotiates responds with this client access URL and user.
	negotiates := func(endpoint, hub string, user func(r *http.Request) string) http.Handler {
		client, err := service.NewClientFromConnectionString("Endpoint="+endpoint+";AccessKey="+checkKey, hub, nil)
		if err != nil {
			t.Fatal(err)
		}
		return other(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/api/negotiate" {
				http.NotFound(w, r)
				return
			}
			token, err := client.GetClientAccessToken(r.Context(), &service.GetClientAccessTokenOptions{UserID: user(r)})
			if err != nil {
				t.Error(err)
			}
			_ = json.NewEncoder(w).Encode(token)
		})
	}
	nobody := func(*http.Request) string { return "" }
	asQuery := func(r *http.Request) string { return r.URL.Query().Get("userId") }
	adding := func(h http.Handler, name, value string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, r)
			maps.Copy(w.Header(), rec.Result().Header)
			w.Header().Add(name, value)
			w.WriteHeader(rec.Code)
			_, _ = rec.Body.WriteTo(w)
		})
	}

	for _, tt := range []struct {
		name    string
		handler http.Handler
		args    []string
		want    []string // in the output, in this order
		failed  bool
	}{
		{"no client can connect", testEvents(t, config), nil, []string{"ok    page", "FAIL  negotiate", "401", "no client can connect", "App Service authentication", "JWT authorizer"}, true},
		{"signed in by the platform", platform(testEvents(t, trusting)), nil, []string{"ok    sign-in", "is excluded", "ok    page", "after sign-in", "ok    negotiate", "401"}, false},
		{"forged user", testEvents(t, trusting), nil, []string{"FAIL  forged user", "which the caller had written", "WebPubSubTrustPlatformAuth"}, true},
		{"another service", testEvents(t, otherService), []string{"-origin", "other.webpubsub.azure.com"}, []string{"ok    page", "ok    negotiate"}, false},
		{"page of another service", negotiates("https://other.webpubsub.azure.com", "chat", asQuery), nil, []string{"FAIL  negotiate", "leads to other.webpubsub.azure.com", "WebPubSubConnectionString"}, true},
		{"another hub", negotiates("https://demo.webpubsub.azure.com", "news", asQuery), nil, []string{"FAIL  negotiate", "another hub than chat", "WebPubSubHub"}, true},
		{"unauthenticated callers", negotiates("https://demo.webpubsub.azure.com", "chat", nobody), nil, []string{"note  page", "FAIL  negotiate", "who is not authenticated", "authenticate callers"}, true},
		{"user IDs that the host rejects", negotiates("https://demo.webpubsub.azure.com", "chat", asQuery), nil, []string{"FAIL  negotiate", "user ID \"webpubsub-check-ü\"", "ASCII", "EncodeUserID"}, true},
		{"no token", other(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":"cannot get a client access token; see the log"}`, http.StatusBadGateway)
		}), nil, []string{"FAIL  negotiate", "502", "Web PubSub Service Owner"}, true},
		{"something else", other(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/negotiate" {
				_, _ = w.Write([]byte("hello"))
			} else {
				http.NotFound(w, r)
			}
		}), nil, []string{"FAIL  negotiate", "is not a JSON object with \"url\""}, true},
		{"events alone", other(http.NotFound), nil, []string{"note  page", "404", "note  negotiate", "404", "-negotiate"}, false},
		{"page without HTML", other(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/index" {
				_, _ = w.Write([]byte("hello"))
			} else {
				http.NotFound(w, r)
			}
		}), nil, []string{"FAIL  page", "is not a page"}, true},

		{"page of any site", testEvents(t, allOrigins), nil, []string{"note  CORS", "any site"}, false},
		{"page of a known site", testEvents(t, oneOrigin), []string{"-page-origin", "https://www.example.com"}, []string{"ok    CORS", "https://www.example.com may call"}, false},
		{"page of an unknown site", testEvents(t, demo), []string{"-page-origin", "https://www.example.com"}, []string{"FAIL  CORS", "https://www.example.com may not call", "allowedOrigins", "WebPubSubAllowedOrigins"}, true},
		{"CORS twice", adding(testEvents(t, oneOrigin), "Access-Control-Allow-Origin", "https://www.example.com"), []string{"-page-origin", "https://www.example.com"}, []string{"FAIL  CORS", "sent 2 times", "leave WebPubSubAllowedOrigins empty"}, true},
		{"CORS with cookies for all", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
			w.Header().Set("Access-Control-Allow-Credentials", "true")
			testEvents(t, demo).ServeHTTP(w, r)
		}), nil, []string{"FAIL  CORS", "in the visitor's name"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.handler)
			defer srv.Close()
			args := append([]string{"check"}, tt.args...)
			out, errOut, err := call(t, []string{"WebPubSubConnectionString=" + checkedResource}, append(args, srv.URL+"/api/events")...)
			if (err != nil) != tt.failed {
				t.Errorf("ended with %v", err)
			}
			wantInOrder(t, out+errOut, tt.want)
			if strings.Contains(out+errOut, "access_token") && !strings.Contains(out, "no readable") || strings.Contains(out+errOut, "eyJ") {
				t.Errorf("the output shows a token:\n%s", out)
			}
		})
	}
}

// The addresses of page and negotiate follow from that of the events.
func TestCheckAddresses(t *testing.T) {
	for _, tt := range []struct{ events, want string }{
		{"https://a.example/api/events", "https://a.example/api/"},
		{"https://a.example/api/Events/validate?code=x", "https://a.example/api/"},
		{"https://a.example/events/api/events/x/y", "https://a.example/events/api/"},
		{"https://a.example/events", "https://a.example/"},
		{"https://a.example/eventhandler", ""},
	} {
		u, err := url.Parse(tt.events)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := (&checker{url: u}).base(); got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: got %q, want %q", tt.events, got, tt.want)
		}
	}
}

// Which connections a policy allows.
func TestMayConnect(t *testing.T) {
	c := &checker{origin: "demo.webpubsub.azure.com"}
	for policy, want := range map[string]bool{
		"":                                      true,
		"default-src 'none'; script-src 'self'": true, // nothing about connections
		"default-src 'none'; connect-src 'self' wss://demo.webpubsub.azure.com": true,
		"Connect-Src wss:": true,
		"connect-src *":    true,
		"default-src 'none'; connect-src 'self' wss://other.webpubsub.azure.com": false,
		"connect-src 'none'": false,
	} {
		if got := c.mayConnect(policy); got != want {
			t.Errorf("%q: got %v, want %v", policy, got, want)
		}
	}
}
