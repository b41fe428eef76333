package handler_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

func TestPreflight(t *testing.T) {
	for _, tt := range []struct {
		name    string
		allowed []string // in addition to localhost
		origins []string // header lines
		status  int
		want    []string
	}{
		{"own endpoint without port, as the emulator sends", nil, []string{"localhost"}, 200, []string{"localhost"}},
		{"with a port", nil, []string{"localhost:8080"}, 200, []string{"localhost:8080"}},
		{"case differs", []string{"Name.WebPubSub.azure.com"}, []string{"NAME.webpubsub.azure.com"}, 200, []string{"NAME.webpubsub.azure.com"}},
		{"configured as URL with port", []string{"https://a.example:444/x"}, []string{"a.example"}, 200, []string{"a.example"}},
		{"comma and blank", []string{"a.example", "b.example"}, []string{"a.example, b.example"}, 200, []string{"a.example", "b.example"}},
		{"comma only", []string{"a.example", "b.example"}, []string{"a.example,b.example"}, 200, []string{"a.example", "b.example"}},
		{"blank only", []string{"a.example", "b.example"}, []string{"a.example b.example"}, 200, []string{"a.example", "b.example"}},
		{"several lines", []string{"a.example", "b.example"}, []string{"a.example", "b.example"}, 200, []string{"a.example", "b.example"}},
		{"one of two is known", []string{"b.example"}, []string{"a.example, b.example"}, 200, []string{"b.example"}},
		{"IPv6", []string{"http://[::1]:8080"}, []string{"[::1]"}, 200, []string{"[::1]"}},
		{"IPv6 with a port", []string{"http://[::1]:8080"}, []string{"[::1]:1"}, 200, []string{"[::1]:1"}},
		{"IPv6 without brackets", []string{"http://[::1]:8080"}, []string{"::1"}, 200, []string{"::1"}},
		{"any", []string{"*"}, []string{"any.example"}, 200, []string{"*"}},

		{"unknown", nil, []string{"evil.example"}, 400, nil},
		{"prefix of an allowed host", []string{"a.example"}, []string{"a.exampl"}, 400, nil},
		{"an allowed host is its prefix", []string{"a.example"}, []string{"a.example.evil.org"}, 400, nil},
		{"an allowed host is its suffix", []string{"a.example"}, []string{"evil-a.example"}, 400, nil},
		// Found by fuzzing: what followed a bracket was cut off before comparing.
		{"more after a bracket", nil, []string{"[localhost].evil.example"}, 400, nil},
		{"more after an address", []string{"http://[::1]:8080"}, []string{"[::1].evil.example"}, 400, nil},
		{"a name in brackets", nil, []string{"[localhost]"}, 400, nil},
		// The response repeats the host, and the lower case of U+212A is "k".
		{"letters that only look allowed", []string{"k.example"}, []string{"\u212a.example"}, 400, nil},
		{"a port that is none", nil, []string{"localhost:evil.example"}, 400, nil},
		{"a URL", nil, []string{"http://localhost"}, 400, nil},
		{"empty", nil, []string{""}, 400, nil},
		{"only separators", nil, []string{" , ,"}, 400, nil},
		{"a star is not a host", nil, []string{"*"}, 400, nil},
		{"missing", nil, nil, 400, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, _ := newHandler(t, func(o *handler.Options) { o.AllowedOrigins = tt.allowed })
			r := handlertest.ValidationRequest()
			r.Header["Webhook-Request-Origin"] = tt.origins
			res := handlertest.Do(h, r)
			wantStatus(t, res, tt.status)
			if got := res.Header["Webhook-Allowed-Origin"]; !slices.Equal(got, tt.want) {
				t.Errorf("allowed %q, want %q", got, tt.want)
			}
			if res.OK() && (res.Header.Get("Allow") != "POST, OPTIONS" || res.Header.Get("WebHook-Allowed-Rate") != "*") {
				t.Errorf("headers %v", res.Header)
			}
		})
	}
}

// The preflight needs neither ce-awpsversion nor a signature: requests without
// the former exist, and the service never signs it.
func TestPreflightNeedsNoMore(t *testing.T) {
	h, _ := newHandler(t, nil)
	r := handlertest.ValidationRequest()
	r.Header.Del("ce-awpsversion")
	wantStatus(t, handlertest.Do(h, r), 200)
}

// The service sends GET if the host responded to OPTIONS with 404.
func TestPreflightByGet(t *testing.T) {
	h, _ := newHandler(t, nil)
	r := handlertest.ValidationRequest()
	r.Method = http.MethodGet
	res := handlertest.Do(h, r)
	wantStatus(t, res, 200)
	if got := res.Header.Get("WebHook-Allowed-Origin"); got != "localhost" {
		t.Errorf("allowed %q", got)
	}
}

func TestOtherMethods(t *testing.T) {
	h, _ := newHandler(t, nil)
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "get", "BREW"} {
		res := handlertest.Do(h, httptest.NewRequest(method, "/", nil))
		wantStatus(t, res, http.StatusMethodNotAllowed)
		if got := res.Header.Get("Allow"); got != "POST, OPTIONS" {
			t.Errorf("%s: Allow %q", method, got)
		}
	}
}

// A callback URL would make the handler request any URL that a caller names.
func TestPreflightFetchesNothing(t *testing.T) {
	fetched := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched = true }))
	h, _ := newHandler(t, nil)
	r := handlertest.ValidationRequest()
	r.Header.Set("WebHook-Request-Callback", srv.URL)
	wantStatus(t, handlertest.Do(h, r), 200)
	srv.Close() // waits for requests in flight
	if fetched {
		t.Error("the callback URL was fetched")
	}
}
