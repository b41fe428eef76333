package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"

	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/internal/upstream"
)

func ExampleDispatcher_Deliver() {
	handler := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			w.Header().Set("WebHook-Allowed-Origin", r.Header.Get("WebHook-Request-Origin"))
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprintf(w, "%s said %s", r.Header.Get("ce-userId"), body)
	}))
	defer handler.Close()

	d := upstream.New(upstream.Options{Origin: "localhost", Keys: []string{"key"}})
	defer d.Close()
	res, err := d.Deliver(context.Background(), []upstream.Handler{{URL: handler.URL + "/api/{hub}", UserEvents: "*"}}, upstream.Event{
		Kind: upstream.User, Name: "message", ID: 2, Hub: "chat", ConnectionID: "c1", UserID: "alice",
		ContentType: "text/plain", Body: []byte("hello"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	reply, err := res.Message()
	fmt.Println(reply.Type, reply, err)
	// Output: text alice said hello <nil>
}

func ExampleDispatcher_Validate() {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer page.Close()

	d := upstream.New(upstream.Options{Origin: "localhost"})
	defer d.Close()
	err := d.Validate(context.Background(), upstream.Handler{URL: page.URL + "/api/events"}, "chat")
	var invalid *upstream.ValidationError
	if errors.As(err, &invalid) {
		fmt.Println(invalid.Reason)
	}
	// Output: it responded with 401 to OPTIONS: check that the URL template contains the function key (?code=…), and that no App Service authentication (EasyAuth) or gateway in front of the handler rejects the request; the preflight has no other key
}

func ExampleConnectRequest() {
	body, err := json.Marshal(upstream.ConnectRequest{
		Claims:       token.ClaimsMap(map[string]any{"exp": 1629186974.0}),
		Query:        url.Values{"access_token": {"secret"}, "room": {"1"}},
		Subprotocols: []string{"json.webpubsub.azure.v1"},
	})
	fmt.Println(string(body), err)
	// Output: {"claims":{"exp":["1629186974"]},"query":{"room":["1"]},"headers":{},"subprotocols":["json.webpubsub.azure.v1"],"clientCertificates":[]} <nil>
}

func ExampleParseConnectResponse() {
	res, err := upstream.ParseConnectResponse([]byte(`{"userId":"bob","roles":[]}`))
	fmt.Println(*res.UserID, res.Roles != nil, len(res.Groups), err)
	// Output: bob true 0 <nil>
}
