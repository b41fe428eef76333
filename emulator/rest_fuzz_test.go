package emulator_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/token"
)

// FuzzREST sends anything to the REST API, in the name of a caller who may do
// everything. Whatever it is, the answer is one of the service's, and refusals
// say why.
func FuzzREST(f *testing.F) {
	for _, s := range []struct{ method, path, query, contentType, body string }{
		{"POST", "chat/:send", "filter=userId%20eq%20'a'&excluded=x&messageTtlSeconds=1", "text/plain", "hi"},
		{"POST", "chat/:send", "", "application/json; charset=utf-16", "\x00\xd8{"},
		{"POST", "chat/:addToGroups", "", "application/json", `{"groups":["a"],"filter":"'a' in groups"}`},
		{"POST", "chat/:removeFromGroups", "", "application/json", `{"groups":[null,{}],"filter":[]}`},
		{"POST", "chat/:generateToken", "clientType=mqtt&minutesToExpire=2147483647&role=&group=g", "", ""},
		{"POST", "chat/:closeConnections", "reason=%FF", "", ""},
		{"GET", "chat/groups/a%2Fb/connections", "top=1&maxpagesize=200&continuationToken=%00", "", ""},
		{"PUT", "chat/permissions/1/connections/ID", "targetName=*", "", ""},
		{"PUT", "chat/users/%25%32%46/groups/%20a", "api-version=2021-10-01", "", ""},
		{"DELETE", "Chat[`]/users/%E6%97/groups", "a;b=%zz", "", ""},
		{"HEAD", "chat/connections/..%2f..", "", "", ""},
		{"POST", "chat/users/u/:send", "", "application/x-protobuf", "\x0a\xff"},
	} {
		f.Add(s.method, s.path, s.query, s.contentType, s.body)
	}
	srv, err := emulator.Start(emulator.Options{AllowHosts: []string{"emulator.test"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = srv.Close() })
	expires := time.Now().Add(24 * time.Hour)
	f.Fuzz(func(t *testing.T, method, path, query, contentType, body string) {
		u, err := url.Parse("http://emulator.test/api/hubs/" + path)
		if err != nil || u.Host != "emulator.test" {
			return
		}
		u.RawQuery, u.Fragment = query, ""
		r := &http.Request{
			Method: method, URL: u, Host: u.Host, RequestURI: u.RequestURI(), RemoteAddr: "127.0.0.1:1",
			Header: http.Header{"Content-Type": {contentType}, "Content-Length": {strconv.Itoa(len(body))}},
			Body:   http.NoBody, ContentLength: int64(len(body)),
		}
		if body != "" {
			r.Body = readCloser{strings.NewReader(body)}
		}
		audience := "http://emulator.test" + u.EscapedPath()
		bearer, err := token.Sign(emulator.DefaultAccessKey, token.Claims{Audience: audience, Expires: expires})
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+bearer)
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, r)
		switch w.Code {
		case 200, 202, 204:
		case 400, 401, 404, 405, 409, 415:
			if journal := srv.Journal(); len(journal) > 0 && w.Code != 404 && journal[len(journal)-1].Reason == "" {
				t.Errorf("%d without a reason", w.Code)
			}
		default:
			t.Errorf("%s %s: %d %s", method, u, w.Code, w.Body)
		}
		if strings.HasPrefix(path, "chat/") && w.Code == 401 {
			t.Errorf("the audience %q is refused for %s", audience, u)
		}
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }
