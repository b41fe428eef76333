package tunnel_test

import (
	"context"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"

	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"example.com/webpubsub/handler"
	"example.com/webpubsub/tunnel"
)

// An event handler serves the events of a hub in Azure without a port. The hub
// has the event handler URL tunnel:///api/events.
func ExampleTunnel_Serve() {
	connectionString := os.Getenv("WebPubSubConnectionString")
	events, err := handler.New(handler.Options{ConnectionStrings: []string{connectionString}})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/api/events", events)

	t, err := tunnel.NewFromConnectionString(connectionString, "chat", nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := t.Serve(ctx, mux); err != nil {
		log.Fatal(err)
	}
}

// A server that runs already gets the events through a reverse proxy.
func ExampleNew() {
	credential, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	t, err := tunnel.New("https://contoso.webpubsub.azure.com", "chat", credential, nil)
	if err != nil {
		log.Fatal(err)
	}
	local := &url.URL{Scheme: "http", Host: "localhost:7071"}
	log.Fatal(t.Serve(context.Background(), httputil.NewSingleHostReverseProxy(local)))
}
