package service_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"example.com/webpubsub/service"
)

func TestDo(t *testing.T) {
	srv := newCapture(t, false)
	gateway := newCapture(t, false)
	o := gateway.options()
	o.ReverseProxyEndpoint = gateway.URL + "/gate"
	behind, err := service.NewClientWithKeyCredential(srv.URL+"/base", "chat", service.NewKeyCredential(testKey), o)
	if err != nil {
		t.Fatal(err)
	}
	const path = "/api/hubs/chat/users/a%2Fb/:send?api-version=2099-01-01&x=%20"
	for _, tt := range []struct {
		name     string
		client   *service.Client
		server   *capture
		uri, aud string
	}{
		{"direct", srv.keyClient(t, nil), srv, path, srv.URL + path},
		{"behind a gateway", behind, gateway, "/gate" + path, srv.URL + "/base" + path},
	} {
		// Every status is an answer, and none of them makes a POST go out twice.
		for _, status := range []int{200, 201, 202, 400, 401, 404, 500, 503} {
			tt.server.answer(status, `{"a":1}`)
			req, err := http.NewRequestWithContext(t.Context(), "POST", path, strings.NewReader("body"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "text/plain")
			req.Header.Set("X-Mine", "1")
			resp, err := tt.client.Do(req)
			if err != nil {
				t.Fatalf("%s: %d: %v", tt.name, status, err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != status || string(body) != `{"a":1}` {
				t.Errorf("%s: got %d %q %v, want %d", tt.name, resp.StatusCode, body, err, status)
			}
			r := tt.server.one(t)
			if r.method != "POST" || r.uri != tt.uri || r.body != "body" || r.header.Get("Content-Type") != "text/plain" || r.header.Get("X-Mine") != "1" || audience(t, r) != tt.aud {
				t.Errorf("%s: %+v", tt.name, r)
			}
		}
	}

	srv.answer(http.StatusServiceUnavailable, "")
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "/api/hubs/chat/rooms", nil)
	resp, err := srv.keyClient(t, nil).Do(req)
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("GET: %v", err)
	}
	if n := len(srv.take()); n != 4 {
		t.Errorf("a GET was sent %d times, want 4", n)
	}
}

// A credential is sent to the endpoint only.
func TestDoRejectsOtherHosts(t *testing.T) {
	srv := newCapture(t, false)
	c := srv.keyClient(t, nil)
	for _, target := range []string{srv.URL + "/api/health", "https://example.com/api", "//example.com/api", "api/health", ""} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Do(req); err == nil || !strings.Contains(err.Error(), "a path below the endpoint") {
			t.Errorf("%q: %v", target, err)
		}
	}
	sly := &http.Request{Method: "GET", URL: &url.URL{Path: "/", Opaque: "@example.com/"}}
	if _, err := c.Do(sly); err == nil {
		t.Error("an opaque URL is taken")
	}
	if r := srv.take(); len(r) > 0 {
		t.Errorf("requests were made: %v", r)
	}
}
