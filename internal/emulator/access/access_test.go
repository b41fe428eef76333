package access_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/internal/emulator/access"
	"example.com/webpubsub/internal/token"
)

const key = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"

func policy(t *testing.T) *access.Policy {
	t.Helper()
	allowed, err := access.NewNames([]string{"emulator.example"}, []string{"https://app.example"})
	if err != nil {
		t.Fatal(err)
	}
	return &access.Policy{Host: "localhost:8080", Keys: []string{key, "second"}, Allowed: allowed, File: func() access.Names { return access.Names{} }}
}

func request(method, target string, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func sign(t *testing.T, key, audience string) string {
	t.Helper()
	s, err := token.Sign(key, token.Claims{Audience: audience, UserID: "alice", Expires: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHostsAndOrigins(t *testing.T) {
	p := policy(t)
	for host, ok := range map[string]bool{
		"localhost:8080": true, "127.0.0.1": true, "[::1]:8080": true, "10.1.2.3": true, "emulator.example:80": true,
		"evil.example": false, "localhost.evil.example": false,
	} {
		if why := p.CheckHost(request("GET", "http://"+host+"/")); (why == "") != ok {
			t.Errorf("host %s: %q", host, why)
		}
	}
	for origin, ok := range map[string]bool{
		"": true, "http://localhost:3000": true, "https://app.example": true, "http://emulator.example": true,
		"https://evil.example": false, "null": false, "http://app.example": false,
	} {
		r := request("GET", "http://localhost:8080/")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		if why := p.CheckOrigin(r); (why == "") != ok {
			t.Errorf("origin %s: %q", origin, why)
		}
	}
}

func TestClientTokens(t *testing.T) {
	p := policy(t)
	const path = access.ClientPath + "chat"
	r := request("GET", "http://localhost:8080"+path)
	good := sign(t, "second", "http://localhost:8080"+path)
	for name, tt := range map[string]struct {
		tokens    []string
		anonymous bool
		want      string // a part of the error
	}{
		"good":           {[]string{good}, false, ""},
		"none":           {nil, false, "is missing"},
		"none, allowed":  {nil, true, ""},
		"two":            {[]string{good, good}, true, "more than once"},
		"another hub":    {[]string{sign(t, key, "http://localhost:8080/client/hubs/other")}, true, "its audience must be"},
		"a longer path":  {[]string{sign(t, key, "http://localhost:8080"+path+"/x")}, true, "its audience must be"},
		"another key":    {[]string{sign(t, "third", "http://localhost:8080"+path)}, true, "signature is invalid"},
		"another server": {[]string{sign(t, key, "http://localhost:9999"+path)}, true, "its audience must be"},
	} {
		claims, err := p.Client(r, tt.tokens, path, tt.anonymous)
		if tt.want == "" && (err != nil || len(tt.tokens) > 0 && claims.UserID != "alice") {
			t.Errorf("%s: %v %+v", name, err, claims)
		} else if tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

func TestRESTTokens(t *testing.T) {
	p := policy(t)
	const target = "http://localhost:8080/api/hubs/chat/users/a%20b?api-version=2024-12-01"
	for name, tt := range map[string]struct {
		header string
		ok     bool
	}{
		"full":          {"Bearer " + sign(t, key, target), true},
		"no query":      {"bearer  " + sign(t, key, strings.Split(target, "?")[0]), true},
		"longer":        {"Bearer " + sign(t, key, strings.Split(target, "?")[0]+"c"), false},
		"Basic":         {"Basic YTpi", false},
		"none":          {"", false},
		"another query": {"Bearer " + sign(t, key, target+"&x=1"), false},
	} {
		if e := p.REST(request("GET", target, "Authorization", tt.header)); (e == nil) != tt.ok {
			t.Errorf("%s: %v", name, e)
		}
	}
}
