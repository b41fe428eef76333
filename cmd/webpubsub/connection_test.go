package main

import (
	"crypto/rand"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A resource that the templates deploy has no keys. The commands then sign in, here
// by the managed identity of a platform that is not there.
func TestSendSignsIn(t *testing.T) {
	asked := make(chan string, 10)
	identity := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Query().Get("resource")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"access_token":"verysecret","expires_on":"4102444800","resource":"x","token_type":"Bearer"}`))
	}))
	defer identity.Close()
	t.Setenv("IDENTITY_ENDPOINT", identity.URL)
	t.Setenv("IDENTITY_HEADER", "h")
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
	t.Setenv("AZURE_CLIENT_ID", rand.Text()) // tokens are remembered by it
	service := httptest.NewUnstartedServer(nil)
	service.Config.ErrorLog = log.New(io.Discard, "", 0) // of the refused handshake
	service.StartTLS()
	defer service.Close()

	settings := []string{"WebPubSubConnectionString__serviceUri=" + service.URL, "WebPubSubHub=lobby"}
	_, _, err := call(t, settings, "send", "hello")
	// So far it came: the certificate is nobody's.
	if err == nil || !strings.Contains(err.Error(), "certificate") || !strings.Contains(err.Error(), "/hubs/lobby/") || strings.Contains(err.Error(), "verysecret") {
		t.Errorf("got %v", err)
	}
	select {
	case resource := <-asked:
		if resource != "https://webpubsub.azure.com" {
			t.Errorf("the token is for %s", resource)
		}
	default:
		t.Error("nobody has signed in")
	}

	// A connection string that is given is meant.
	out, _, err := call(t, settings, "token", "-connection-string", "Endpoint=http://localhost:1;AccessKey=key;")
	if err != nil || !strings.HasPrefix(out, "ws://localhost:1/client/hubs/lobby?") {
		t.Errorf("got %s, %v", out, err)
	}
}

// A request for a managed identity's token carries a secret header, which an
// http.Client sends along with a redirect to any host.
func TestSignInDoesNotFollowRedirects(t *testing.T) {
	elsewhere := newFakeService(t, accept)
	identity := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/steal", http.StatusTemporaryRedirect))
	defer identity.Close()
	t.Setenv("IDENTITY_ENDPOINT", identity.URL)
	t.Setenv("IDENTITY_HEADER", "h")
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
	t.Setenv("AZURE_CLIENT_ID", rand.Text())
	for _, tt := range []struct{ flag, want string }{
		{"-v=false", "cannot sign in to Azure: run az login"},
		{"-v", "redirected to " + elsewhere.URL + "/steal, which is not followed"},
	} {
		_, errOut, status := exit(t, "", []string{"WebPubSubConnectionString__serviceUri=https://127.0.0.1:1"}, "send", tt.flag, "hello")
		if status != 1 || !strings.Contains(errOut, tt.want) {
			t.Errorf("%s: status %d, %s", tt.flag, status, errOut)
		}
	}
	if len(elsewhere.requests) > 0 {
		t.Error("the redirect was followed")
	}
}
