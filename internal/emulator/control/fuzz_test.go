package control_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/emulator/control"
)

// FuzzRequest: whatever path, query and body are, the response is as described, no
// answer is an internal error, and the emulator goes on.
func FuzzRequest(f *testing.F) {
	for i, op := range control.Operations() {
		f.Add(i, strings.NewReplacer("{hub}", "chat", "{id}", "1", "{connectionId}", "c", "{group}", "g", "{userId}", "u").Replace(op.Pattern), "", "{}")
	}
	for _, seed := range []struct{ path, query, body string }{
		{"/connections", "hub=chat&sort=groups&order=desc&limit=1&continue=AAAA", ""},
		{"/journal", "kind=event&kind=sent&cause=1&warning=true&search=%00&after=1&order=desc", ""},
		{"/hubs/chat/groups/a%2Fb/send", "", `{"data":{"a":[1,2,{"b":null}]},"filter":"userId eq 'x' and 'g' in groups","excluded":["x"],"ttlSeconds":1}`},
		{"/hubs/chat/send", "", `{"data":"AP8=","dataType":"binary"}`},
		{"/hubs/chat/close", "", `{"code":4000,"reason":"x"}`},
		{"/hubs/chat/settings", "", `{"eventHandlers":[{"urlTemplate":"tunnel:///{event}","systemEvents":["connect"],"groupPresenceEvents":{"eventNames":["joined"]},"auth":{"type":"ManagedIdentity","managedIdentity":{"resource":"x"}}}],"webSocketKeepAliveIntervalInSeconds":1}`},
		{"/faults", "", `{"at":"send","action":{"type":"delay","delayMs":1e3},"hub":"h","frame":"x","skip":1,"times":2}`},
		{"/tokens", "", `{"hub":"chat","userId":"\ud800","roles":["webpubsub.sendToGroups.*"],"groups":["g"],"minutes":1,"clientType":"mqtt"}`},
		{"/tokens/rest", "", `{"url":"http://[::1]:8080/api"}`},
		{"/journal/import", "", `{"id":1,"time":"2020-01-01T00:00:00Z","kind":"sent","receivers":1,"bytes":-5,"cause":7,"causeKind":"frame","durationMs":1e308,"content":{"frame":{"type":"x","protocol":"mqtt","raw":{"encoding":"base64","data":"AAAA","bytes":9}},"upstream":{"requestHeaders":{"a":null}},"delivered":[{}]}}`},
		{"/idle", "timeout=1e-9", ""},
	} {
		for i, op := range control.Operations() {
			if op.Pattern == seed.path {
				f.Add(i, seed.path, seed.query, seed.body)
			}
		}
	}
	srv := emulator.StartT(f, emulator.Options{Control: true, JournalSize: 20, JournalDetailBytes: 10 << 10, Listener: emulator.NewMemoryListener()})
	s := newSpec(f)
	operations := control.Operations()
	f.Fuzz(func(t *testing.T, op int, path, query, body string) {
		method := operations[uint(op)%uint(len(operations))].Method
		req, err := http.NewRequestWithContext(t.Context(), method, "http://localhost"+control.Path+"/"+strings.TrimPrefix(path, "/")+"?"+query, strings.NewReader(body))
		if err != nil || strings.Contains(query, "timeout") && len(query) > 12 {
			return // no request, or one that waits
		}
		req.RequestURI = req.URL.RequestURI()
		req.RemoteAddr = "127.0.0.1:1"
		req.Header.Set("Authorization", "Bearer "+srv.ControlToken())
		w := httptest.NewRecorder()
		srv.ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Errorf("%s %s %s: %d %s", method, req.URL, body, w.Code, w.Body)
		}
		if strings.HasPrefix(req.URL.EscapedPath(), control.Path+"/") {
			s.check(t, req, w.Result(), w.Body.Bytes())
		}
		after := httptest.NewRequest("GET", "http://localhost"+control.Path+"/journal", nil)
		after.RemoteAddr, after.Header = req.RemoteAddr, req.Header
		w = httptest.NewRecorder()
		if srv.ServeHTTP(w, after); w.Code != 200 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("then the journal answers %d %s", w.Code, w.Body)
		}
	})
}
