package interop_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
)

// startGoHandler runs the Go handlers that do what node/express/server.js does, and
// returns their address.
func startGoHandler(t *testing.T, connectionString string) string {
	t.Helper()
	var seen notes
	newHandler := func(hub string) *handler.Handler {
		h, err := handler.New(handler.Options{
			ConnectionStrings: []string{connectionString},
			AllowedOrigins:    []string{"127.0.0.1"},
			Hubs:              []string{hub},
			Logger:            logger(t),
		})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h := newHandler("express")
	h.OnConnect(goConnect)
	h.OnConnected(func(_ context.Context, e *handler.ConnectedEvent) error { return seen.add("connected", e.UserID) })
	h.OnDisconnected(func(_ context.Context, e *handler.DisconnectedEvent) error {
		return seen.add("disconnected", e.UserID, e.Reason)
	})
	h.OnGroupJoined(func(_ context.Context, e *handler.GroupEvent) error { return seen.add("joined", e.UserID, e.Group) })
	h.OnGroupLeft(func(_ context.Context, e *handler.GroupEvent) error { return seen.add("left", e.UserID, e.Group) })
	for name, f := range map[string]handler.EventFunc{
		"deny": func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			return nil, handler.Reject(http.StatusBadRequest, "denied by the test")
		},
		"fail": func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) {
			return nil, handler.Reject(http.StatusInternalServerError, "")
		},
		"quiet": func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) { return nil, nil },
		"throw": func(context.Context, *handler.UserEvent) (*handler.EventResponse, error) { panic("thrown by the test") },
		"states": func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
			all := make(map[string]any)
			for _, key := range e.State().Keys() {
				var v json.RawMessage
				if _, err := e.State().Get(key, &v); err != nil {
					return nil, err
				}
				all[key] = v
			}
			maps.Copy(all, newStates)
			return &handler.EventResponse{Message: webpubsub.MustJSON(all), State: newStates}, nil
		},
		"count": func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
			visits, err := handler.StateValue[int](e.State(), "visits")
			if err != nil {
				return nil, err
			}
			return &handler.EventResponse{
				Message: webpubsub.MustJSON(map[string]int{"count": visits + 1}),
				State:   map[string]any{"visits": visits + 1},
			}, nil
		},
		"*": func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
			return &handler.EventResponse{Message: e.Message}, nil
		},
	} {
		h.OnEvent(name, f)
	}

	mux := http.NewServeMux()
	mux.Handle("/api/webpubsub/hubs/express/", h)
	mux.Handle("/api/webpubsub/hubs/bare/", newHandler("bare"))
	mux.HandleFunc("GET /seen", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, seen.all()) })
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	return web.URL
}

func goConnect(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
	q := r.Query
	switch {
	case q.Has("refuse"):
		return nil, handler.Reject(number(q.Get("refuse")), "refused by the test")
	case q.Has("failWith"):
		return nil, handler.Reject(number(q.Get("failWith")), "Auth failed")
	case q.Has("mqttCode"):
		return nil, handler.RejectMQTT(handler.MQTTCode(number(q.Get("mqttCode"))), "bad")
	case q.Has("nothing"):
		return nil, nil
	case q.Has("mqtt"):
		return &handler.ConnectResponse{UserID: "u", MQTT: &handler.MQTTConnectResponse{
			UserProperties: []handler.MQTTUserProperty{{Name: "a", Value: "b"}},
		}}, nil
	case q.Has("states"):
		return &handler.ConnectResponse{State: newStates}, nil
	}
	return &handler.ConnectResponse{
		UserID: q.Get("as"),
		Groups: []string{"welcome"},
		Roles:  []string{webpubsub.RoleSendToAnyGroup},
		State:  map[string]any{"visits": 0},
	}, nil
}

var newStates = map[string]any{"key1": []string{"val3"}, "key2": "val2", "key3": ""}

func number(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// notes is a list that several goroutines write.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(words ...string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, strings.Join(words, " "))
	return nil
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.list...)
}
