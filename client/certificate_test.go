package client_test

import (
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"example.com/webpubsub/client"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/internal/test/testcert"
	"example.com/webpubsub/service"
)

// The certificate of Options.TLSConfig reaches the connect callback, which decides
// by its thumbprint.
func TestClientCertificate(t *testing.T) {
	device := testcert.SelfSigned(t, "device-7")
	thumbprint := fmt.Sprintf("%X", sha1.Sum(device.Certificate[0]))
	h, err := handler.New(handler.Options{
		ConnectionStrings: []string{"Endpoint=https://localhost;AccessKey=" + emulator.DefaultAccessKey + ";Version=1.0;"},
		AllowedOrigins:    []string{"127.0.0.1"},
		Logger:            slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.OnConnect(func(_ context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		if len(r.ClientCertificates) != 1 || r.ClientCertificates[0].Thumbprint != thumbprint {
			return nil, handler.Reject(http.StatusForbidden, "unknown certificate")
		}
		cert, err := r.ClientCertificates[0].Parse()
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(cert.Raw, device.Certificate[0]) {
			t.Error("the content is another certificate")
		}
		return &handler.ConnectResponse{UserID: cert.Subject.CommonName}, nil
	})
	events := httptest.NewServer(h)
	t.Cleanup(events.Close)
	hubs := map[string]emulator.HubSettings{"chat": {EventHandlers: []emulator.EventHandler{{URL: events.URL, SystemEvents: []string{"connect"}}}}}

	for _, tt := range []struct {
		name        string
		requested   bool
		presents    []tls.Certificate
		maxVersion  uint16
		user        string
		wantAnError bool
	}{
		{name: "TLS 1.3", requested: true, presents: []tls.Certificate{device}, user: "device-7"},
		{name: "TLS 1.2", requested: true, presents: []tls.Certificate{device}, maxVersion: tls.VersionTLS12, user: "device-7"},
		{name: "another", requested: true, presents: []tls.Certificate{testcert.SelfSigned(t, "device-7")}, wantAnError: true},
		{name: "none", requested: true, wantAnError: true},
		{name: "not requested", presents: []tls.Certificate{device}, wantAnError: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := emulator.StartT(t, emulator.Options{TLS: true, RequestClientCertificates: tt.requested, Hubs: hubs})
			hub, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", &service.ClientOptions{
				ClientOptions: azcore.ClientOptions{Transport: srv.Client()},
			})
			if err != nil {
				t.Fatal(err)
			}
			credential := func(ctx context.Context) (string, error) {
				token, err := hub.GetClientAccessToken(ctx, nil)
				return token.URL, err
			}
			c, err := client.New(credential, client.Options{TLSConfig: &tls.Config{
				RootCAs: srv.CertPool(), Certificates: tt.presents, MaxVersion: tt.maxVersion,
			}})
			if err != nil {
				t.Fatal(err)
			}
			connected := make(chan client.ConnectedEvent, 1)
			c.OnConnected(func(_ context.Context, e client.ConnectedEvent) { connected <- e })
			err = c.Start(t.Context())
			var rejected *client.HandshakeError
			switch {
			case tt.wantAnError && errors.As(err, &rejected) && rejected.StatusCode == http.StatusForbidden:
				return
			case tt.wantAnError || err != nil:
				t.Fatalf("Start: %v", err)
			}
			if e := <-connected; e.UserID != tt.user {
				t.Errorf("user %q, want the name in the certificate", e.UserID)
			}
			if err := c.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
