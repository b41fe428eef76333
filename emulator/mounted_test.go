package emulator_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/token"
)

// An emulator that is mounted on a server of somebody else's has no say over the
// requests there. Close gives up the events that they wait for all the same.
func TestCloseEndsHandshakesOfAnotherServer(t *testing.T) {
	asked := make(chan struct{})
	handler := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			w.Header().Set("WebHook-Allowed-Origin", "*")
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // without it the server does not see that the caller gives up
		close(asked)
		<-r.Context().Done()
	}))
	defer handler.Close()
	srv, err := emulator.Start(emulator.Options{Hubs: map[string]emulator.HubSettings{hubName: {
		EventHandlers: []emulator.EventHandler{{URL: handler.URL, SystemEvents: []string{"connect"}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	mounted := httptest.NewServer(srv)
	defer mounted.Close()
	compact, err := token.Sign(emulator.DefaultAccessKey, token.Claims{
		Audience: mounted.URL + "/client/hubs/" + hubName, Expires: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan error)
	go func() {
		_, _, err := websocket.DefaultDialer.Dial(strings.Replace(mounted.URL, "http", "ws", 1)+"/client/hubs/"+hubName+"?access_token="+compact, nil)
		refused <- err
	}()
	select {
	case <-asked:
	case err := <-refused:
		t.Fatal(err)
	}
	if err := srv.Close(); err != nil {
		t.Error(err)
	}
	if err := <-refused; err == nil {
		t.Error("the client was let in")
	}
}

// Below a prefix of another server, a REST token is for the address that the caller
// used.
func TestMountedBelowAPrefix(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	mounted := httptest.NewServer(http.StripPrefix("/pubsub", srv))
	defer mounted.Close()
	for audience, status := range map[string]int{
		"/pubsub/api/hubs/chat/users/u/groups":                        204,
		"/pubsub/api/hubs/chat/users/u/groups?api-version=2024-12-01": 204,
		"/api/hubs/chat/users/u/groups":                               204,
		"/other/api/hubs/chat/users/u/groups":                         401,
	} {
		bearer := serviceToken(t, emulator.DefaultAccessKey, mounted.URL+audience, time.Now().Add(time.Minute))
		if a := raw(t, request{method: "DELETE"}, mounted.URL+"/pubsub/api/hubs/chat/users/u/groups?api-version=2024-12-01", bearer); a.status != status {
			t.Errorf("%s: %d, want %d", audience, a.status, status)
		}
	}
}
