package emulator_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
)

func TestRESTDelivery(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, hello := dialJSON(t, srv, dialOptions{user: "alice", groups: []string{"g"}})
	post := func(path, contentType, body string, header http.Header) {
		t.Helper()
		if a := rest(t, srv, request{"POST", path, contentType, body, header}); a.status != 202 {
			t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
	}
	post(":send", "application/json", `{"message":"Hello world!"}`, nil)
	c.expect(`{"type":"message","from":"server","dataType":"json","data":{"message":"Hello world!"}}`)
	post("users/alice/:send", "text/plain", "Hi there!", nil)
	c.expect(`{"type":"message","from":"server","dataType":"text","data":"Hi there!"}`)
	post("connections/"+hello.ConnectionID+"/:send", "", "\x05\x01\x01", nil)
	c.expect(`{"type":"message","from":"server","dataType":"binary","data":"BQEB"}`)
	post("groups/g/:send", "text/plain", "x", http.Header{"X-WebPubSub-Metadata-Key": {"first", "last"}})
	c.expect(`{"type":"message","from":"group","fromUserId":null,"group":"g","dataType":"text","data":"x","metadata":{"key":"last"}}`)

	// None of these is for alice, so the next that she sees is the last.
	post(":send?excluded="+hello.ConnectionID, "text/plain", "1", nil)
	post(":send?filter="+url.QueryEscape("not ('g' in groups)"), "text/plain", "2", nil)
	post("users/bob/:send", "text/plain", "3", nil)
	post("groups/h/:send", "text/plain", "4", nil)
	post("users/alice/:send?filter="+url.QueryEscape("userId eq 'alice' and connectionId eq '"+hello.ConnectionID+"'"), "text/plain", "5", nil)
	c.expect(`{"type":"message","from":"server","dataType":"text","data":"5"}`)

	a := rest(t, srv, request{method: "DELETE", path: "connections/" + hello.ConnectionID + "?reason=" + url.QueryEscape("too loud")})
	if a.status != 204 {
		t.Fatal(a.status)
	}
	c.expect(`{"type":"system","event":"disconnected","message":"Application server closed the connection. Reason: too loud"}`)
	c.expectClose(websocket.CloseNormalClosure, "")
	simple := dial(t, srv, dialOptions{user: "alice"})
	rest(t, srv, request{method: "POST", path: "users/alice/:closeConnections?reason=bye"})
	simple.expectClose(websocket.CloseNormalClosure, "bye")
}

// The parameters that choose among receivers work where the reference has them
// and are ignored elsewhere: a user's connections cannot be excluded.
func TestRESTExcluded(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, hello := dialJSON(t, srv, dialOptions{user: "alice", groups: []string{"g"}})
	excluded := "?excluded=" + hello.ConnectionID
	post := func(path, contentType, body string, status int) {
		t.Helper()
		if a := rest(t, srv, request{method: "POST", path: path, contentType: contentType, body: body}); a.status != status {
			t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
	}
	post(":send"+excluded, typeText, "1", 202)
	post("groups/g/:send"+excluded, typeText, "2", 202)
	post(":send?excluded=x,"+hello.ConnectionID, typeText, "3", 202) // one id, with a comma in it
	c.expect(`{"type":"message","from":"server","dataType":"text","data":"3"}`)
	post("users/alice/:send"+excluded, typeText, "4", 202)
	c.expect(`{"type":"message","from":"server","dataType":"text","data":"4"}`)
	post("connections/"+hello.ConnectionID+"/:send"+excluded, typeText, "5", 202)
	c.expect(`{"type":"message","from":"server","dataType":"text","data":"5"}`)
	post(":addToGroups"+excluded, typeJSON, `{"groups":["h"]}`, 200)
	if a := rest(t, srv, request{method: "HEAD", path: "groups/h"}); a.status != 200 {
		t.Errorf("a bulk operation has excluded somebody: %d", a.status)
	}
	post(":closeConnections"+excluded, "", "", 204)
	post("groups/g/:closeConnections"+excluded, "", "", 204)
	post("users/alice/:closeConnections"+excluded, "", "", 204)
	c.expectNothingElse()
	if a := rest(t, srv, request{method: "DELETE", path: "connections/" + hello.ConnectionID + excluded}); a.status != 204 {
		t.Fatal(a.status)
	}
	c.expect(`{"type":"system","event":"disconnected","message":"Application server closed the connection."}`)
}

// Clients get UTF-8, whatever a caller sends.
func TestRESTCharsets(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialJSON(t, srv, dialOptions{})
	for _, tt := range []struct{ contentType, body, data string }{
		{typeText, "gr\u00fcn", `"grün"`},
		{"text/plain; charset=utf-8", "grün", `"grün"`},
		{"text/plain; charset=\"UTF-8\"", "gr\xfcn", `"gr�n"`},
		{"text/plain; charset=ISO-8859-1", "gr\xfcn", `"grün"`},
		{"text/plain; charset=utf-16", "g\x00r\x00\xfc\x00n\x00", `"grün"`},
		{"text/plain; charset=utf-16be", "\x00g\xd8\x3d\xde\x00", `"g😀"`},
		{"application/json; charset=iso-8859-1", "{\"a\":\"\xfc\"}", `{"a":"ü"}`},
	} {
		if a := rest(t, srv, request{"POST", ":send", tt.contentType, tt.body, nil}); a.status != 202 {
			t.Errorf("%s: %d %s", tt.contentType, a.status, a.body)
			continue
		}
		if got := c.recv(); !strings.HasSuffix(got, `"data":`+tt.data+`}`) {
			t.Errorf("%s: got %s, want %s", tt.contentType, got, tt.data)
		}
	}
	if a := rest(t, srv, request{"POST", ":send", typeJSON, "\"\xfc\"", nil}); a.status != 400 {
		t.Errorf("JSON that is not UTF-8: %d", a.status)
	}
}

// A message that was not delivered in its time is not delivered later.
func TestMessageExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{})
		c, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol, groups: []string{"g"}})
		_ = c.ws.NetConn().Close()
		waitFor(t, srv, emulator.EntryInterrupted, hello.ConnectionID)
		for _, path := range []string{"groups/g/:send?messageTtlSeconds=5", "groups/g/:send?messageTtlSeconds=20", "groups/g/:send?messageTtlSeconds=0"} {
			if a := rest(t, srv, request{method: "POST", path: path, contentType: "application/json", body: "1"}); a.status != 202 {
				t.Fatal(a.status)
			}
		}
		advance(10 * time.Second)
		back := dial(t, srv, recovery(hello))
		back.expect(sequenced(2, "g", "null", 1), sequenced(3, "g", "null", 1))
		back.expectNothingElse()
	})
}

func TestMetadataOverREST(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialJSON(t, srv, dialOptions{})
	for _, tt := range []struct {
		header http.Header
		status int
	}{
		{http.Header{"X-WebPubSub-Metadata-": {"no key"}}, 202},
		{http.Header{"X-WebPubSub-Metadata-Trace-Id": {"1"}, "x-webpubsub-metadata-b": {"2"}}, 202},
		{http.Header{"X-WebPubSub-Metadata-" + strings.Repeat("k", 256): {"1"}}, 202},
		{http.Header{"X-WebPubSub-Metadata-" + strings.Repeat("k", 257): {"1"}}, 400},
		{http.Header{"X-WebPubSub-Metadata-A": {strings.Repeat("v", 1025)}}, 400},
		{http.Header{"X-WebPubSub-Metadata-A": {"ü"}}, 400},
	} {
		a := rest(t, srv, request{"POST", ":send", typeText, "x", tt.header})
		if a.status != tt.status {
			t.Errorf("%v: %d %s", tt.header, a.status, a.body)
		}
	}
	var seen []map[string]string
	for range 3 {
		var f struct{ Metadata map[string]string }
		if err := json.Unmarshal([]byte(c.recv()), &f); err != nil {
			t.Fatal(err)
		}
		seen = append(seen, f.Metadata)
	}
	if len(seen[0]) != 0 || len(seen[1]) != 2 || seen[1]["trace-id"] != "1" || seen[1]["b"] != "2" || seen[2][strings.Repeat("k", 256)] != "1" {
		t.Errorf("got %v", seen)
	}
}
