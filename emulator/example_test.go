package emulator_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/service"
)

func ExampleNew() {
	srv, err := emulator.Start(emulator.Options{Addr: "127.0.0.1:0"}) // or localhost:8080
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	chat, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(chat.GetServiceStatus(context.Background(), nil))
	// Output: <nil>
}

// In a test the emulator closes with the test.
func ExampleStart() {
	testChat := func(t emulator.TB) {
		srv := emulator.StartT(t, emulator.Options{})
		fmt.Println(strings.HasPrefix(srv.ConnectionString(), "Endpoint=http://127.0.0.1:"))
	}
	run(testChat)
	// Output: true
}

// With TLS the emulator makes its own certificate, which [emulator.Server.Client]
// trusts.
func ExampleServer_Client() {
	srv, err := emulator.Start(emulator.Options{TLS: true})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	resp, err := srv.Client().Head(srv.URL() + "/api/health")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status, resp.TLS.PeerCertificates[0].Issuer.CommonName)
	// Output: 200 OK Web PubSub emulator CA
}

// The journal says what happened, and of what was refused also why.
func ExampleServer_Journal() {
	srv, err := emulator.Start(emulator.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	ctx := context.Background()
	chat, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		log.Fatal(err)
	}
	_ = chat.SendToGroup(ctx, "news", webpubsub.Text("hello"), nil)
	_, _, _ = websocket.DefaultDialer.Dial(srv.ClientURL("chat"), nil) // without a token

	for _, e := range srv.Journal() {
		if e.Kind != emulator.EntryREST {
			fmt.Println(e)
		}
	}
	// Output:
	// sent news in chat, 5 bytes to 0
	// rejected handshake in chat -> 401: the access token is missing: give it as the query parameter access_token, or allow anonymous clients for the hub
}

// Beside its own listener an emulator is an [http.Handler].
func ExampleServer_ServeHTTP() {
	srv, err := emulator.Start(emulator.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	mine := httptest.NewServer(srv)
	defer mine.Close()

	resp, err := http.Head(mine.URL + "/api/health")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// run stands for the test runner in an example.
func run(test func(emulator.TB)) {
	var tb exampleTB
	test(&tb)
	for _, f := range tb.cleanups {
		f()
	}
}

type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (*exampleTB) Helper()                   {}
func (tb *exampleTB) Cleanup(f func())       { tb.cleanups = append(tb.cleanups, f) }
func (*exampleTB) Fatalf(f string, a ...any) { log.Fatalf(f, a...) }
