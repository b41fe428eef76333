package service_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"example.com/webpubsub"
	"example.com/webpubsub/service"
)

// sender is what an event handler needs of a client.
type sender interface {
	SendToAll(ctx context.Context, m webpubsub.Message, o *webpubsub.SendOptions) error
	SendToGroup(ctx context.Context, group string, m webpubsub.Message, o *webpubsub.SendOptions) error
	SendToUser(ctx context.Context, userID string, m webpubsub.Message, o *webpubsub.SendOptions) error
	SendToConnection(ctx context.Context, connectionID string, m webpubsub.Message, o *webpubsub.SendOptions) error
}

var _ sender = (*service.Client)(nil)

func TestConstructorsRefuse(t *testing.T) {
	key := service.NewKeyCredential(testKey)
	version := func(v string) *service.ClientOptions {
		return &service.ClientOptions{ClientOptions: azcore.ClientOptions{APIVersion: v}}
	}
	proxy := func(p string) *service.ClientOptions { return &service.ClientOptions{ReverseProxyEndpoint: p} }
	tests := []struct {
		name string
		make func() (*service.Client, error)
		want string
	}{
		{"no endpoint", func() (*service.Client, error) { return service.NewClientWithKeyCredential("", "chat", key, nil) }, "not an http or https URL"},
		{"websocket endpoint", func() (*service.Client, error) {
			return service.NewClientWithKeyCredential("wss://h", "chat", key, nil)
		}, "not an http or https URL"},
		{"endpoint with query", func() (*service.Client, error) {
			return service.NewClientWithKeyCredential("https://h?x=1", "chat", key, nil)
		}, "only scheme, host, port and path"},
		{"no hub", func() (*service.Client, error) { return service.NewClientWithKeyCredential("https://h", "", key, nil) }, "invalid hub name"},
		{"hub with slash", func() (*service.Client, error) {
			return service.NewClientWithKeyCredential("https://h", "a/b", key, nil)
		}, "invalid hub name"},
		{"nil key", func() (*service.Client, error) {
			return service.NewClientWithKeyCredential("https://h", "chat", nil, nil)
		}, "access key is empty"},
		{"empty key", func() (*service.Client, error) {
			return service.NewClientWithKeyCredential("https://h", "chat", service.NewKeyCredential(""), nil)
		}, "access key is empty"},
		{"nil credential", func() (*service.Client, error) { return service.NewClient("https://h", "chat", nil, nil) }, "credential is nil"},
		{"Entra over http", func() (*service.Client, error) { return service.NewClient("http://h", "chat", &entra{}, nil) }, "InsecureAllowCredentialWithHTTP"},
		{"Entra over an http proxy", func() (*service.Client, error) {
			return service.NewClient("https://h", "chat", &entra{}, proxy("http://p"))
		}, "InsecureAllowCredentialWithHTTP"},
		{"bad proxy", func() (*service.Client, error) {
			return service.NewClientWithKeyCredential("https://h", "chat", key, proxy("ftp://p"))
		}, "ReverseProxyEndpoint"},
		{"preview version", func() (*service.Client, error) {
			return service.NewClientWithKeyCredential("https://h", "chat", key, version("2021-08-01-preview"))
		}, "use one of 2021-10-01, 2022-11-01"},
		{"connection string without key", func() (*service.Client, error) {
			return service.NewClientFromConnectionString("Endpoint=https://h;", "chat", nil)
		}, "AccessKey is missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := tt.make()
			if err == nil || c != nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "service: ") {
				t.Errorf("error %v, want %q in it", err, tt.want)
			}
		})
	}
}

// TestEndpointForms is the fix of a classic: clients that joined endpoint and
// path without minding slashes signed tokens for https://hostclient/hubs/chat,
// which the service refused with 401.
func TestEndpointForms(t *testing.T) {
	tests := []struct{ endpoint, want string }{
		{"https://contoso.webpubsub.azure.com", "https://contoso.webpubsub.azure.com"},
		{"https://contoso.webpubsub.azure.com/", "https://contoso.webpubsub.azure.com"},
		{"https://contoso.webpubsub.azure.com//", "https://contoso.webpubsub.azure.com"},
		{"contoso.webpubsub.azure.com", "https://contoso.webpubsub.azure.com"},
		{"http://localhost:8080", "http://localhost:8080"},
		{"https://gateway.contoso.com/chat/v1/", "https://gateway.contoso.com/chat/v1"},
	}
	for _, tt := range tests {
		var got *http.Request
		c, err := service.NewClientWithKeyCredential(tt.endpoint, "chat", service.NewKeyCredential(testKey), &service.ClientOptions{
			ClientOptions: azcore.ClientOptions{Transport: transport(func(r *http.Request) (*http.Response, error) {
				got = r
				return response(r, http.StatusAccepted), nil
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		if c.Endpoint() != tt.want || c.Hub() != "chat" {
			t.Errorf("%s: endpoint %s, hub %s", tt.endpoint, c.Endpoint(), c.Hub())
		}
		if err := c.SendToAll(t.Context(), webpubsub.Text("x"), nil); err != nil {
			t.Fatal(err)
		}
		want := tt.want + "/api/hubs/chat/:send?api-version=2024-12-01"
		if got.URL.String() != want {
			t.Errorf("request %s, want %s", got.URL, want)
		}
		jwt := strings.TrimPrefix(got.Header.Get("Authorization"), "Bearer ")
		if aud := verify(t, jwt, testKey).Audience; aud != want {
			t.Errorf("the request's token is for %s, want %s", aud, want)
		}
		token, err := c.GetClientAccessToken(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := "ws" + strings.TrimPrefix(tt.want, "http") + "/client/hubs/chat"; token.BaseURL != want {
			t.Errorf("client URL %s, want %s", token.BaseURL, want)
		}
		if aud, want := verify(t, token.Token, testKey).Audience, tt.want+"/client/hubs/chat"; aud != want {
			t.Errorf("the client's token is for %s, want %s", aud, want)
		}
	}
}

// TestAPIVersions checks that an older version is sent, once, and that what it
// lacks is refused: the service would ignore a filter and send to everybody.
func TestAPIVersions(t *testing.T) {
	srv := newCapture(t, false)
	hi := webpubsub.Text("hi")
	needs := []struct {
		feature, version string
		call             func(context.Context, *service.Client) error
		status           int
	}{
		{"send", "2021-10-01", func(ctx context.Context, c *service.Client) error { return c.SendToAll(ctx, hi, nil) }, 202},
		{"excluded", "2021-10-01", func(ctx context.Context, c *service.Client) error {
			return c.SendToAll(ctx, hi, &webpubsub.SendOptions{Excluded: []string{"c"}})
		}, 202},
		{"filter", "2022-11-01", func(ctx context.Context, c *service.Client) error {
			return c.SendToAll(ctx, hi, &webpubsub.SendOptions{Filter: "true"})
		}, 202},
		{"excluded of a user send", "2022-11-01", func(ctx context.Context, c *service.Client) error {
			return c.SendToUser(ctx, "u", hi, &webpubsub.SendOptions{Excluded: []string{"c"}})
		}, 202},
		{"leave all groups", "2022-11-01", func(ctx context.Context, c *service.Client) error {
			return c.RemoveConnectionFromAllGroups(ctx, "c", nil)
		}, 204},
		{"TTL", "2023-07-01", func(ctx context.Context, c *service.Client) error {
			return c.SendToAll(ctx, hi, &webpubsub.SendOptions{TTL: time.Second})
		}, 202},
		{"bulk", "2023-07-01", func(ctx context.Context, c *service.Client) error {
			return c.AddConnectionsToGroups(ctx, []string{"g"}, "", nil)
		}, 200},
		{"list", "2024-12-01", func(ctx context.Context, c *service.Client) error {
			_, err := c.NewListConnectionsInGroupPager("g", nil).NextPage(ctx)
			return err
		}, 200},
	}
	for _, version := range []string{"2021-10-01", "2022-11-01", "2023-07-01", "2024-01-01", "2024-12-01"} {
		o := srv.options()
		o.APIVersion = version
		c := srv.keyClient(t, o)
		for _, n := range needs {
			srv.answer(n.status, "")
			err := n.call(t.Context(), c)
			if version < n.version {
				if err == nil || !strings.Contains(err.Error(), n.version) || len(srv.take()) > 0 {
					t.Errorf("%s with %s: error %v", n.feature, version, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s with %s: %v", n.feature, version, err)
			}
			if uri := srv.one(t).uri; strings.Count(uri, "api-version="+version) != 1 || strings.Count(uri, "api-version") != 1 {
				t.Errorf("%s with %s: %s", n.feature, version, uri)
			}
		}
	}
}

func TestEntraScope(t *testing.T) {
	own := cloud.Configuration{Services: map[cloud.ServiceName]cloud.ServiceConfiguration{
		service.ServiceName: {Audience: "https://webpubsub.example/"},
	}}
	tests := []struct {
		name  string
		cloud cloud.Configuration
		want  string
	}{
		{"default", cloud.Configuration{}, "https://webpubsub.azure.com/.default"},
		{"public", cloud.AzurePublic, "https://webpubsub.azure.com/.default"},
		{"China", cloud.AzureChina, "https://webpubsub.azure.cn/.default"},
		{"own", own, "https://webpubsub.example/.default"},
	}
	srv := newCapture(t, true)
	for _, tt := range tests {
		cred := &entra{}
		o := srv.options()
		o.Cloud = tt.cloud
		c, err := service.NewClient(srv.URL, "chat", cred, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SendToAll(t.Context(), webpubsub.Text("x"), nil); err != nil {
			t.Fatal(err)
		}
		if len(cred.scopes) != 1 || cred.scopes[0] != tt.want {
			t.Errorf("%s: scopes %v, want %s", tt.name, cred.scopes, tt.want)
		}
	}
}

// TestEntraOverHTTP checks that the option named by the refusal works.
func TestEntraOverHTTP(t *testing.T) {
	srv := newCapture(t, false)
	o := srv.options()
	o.InsecureAllowCredentialWithHTTP = true
	c := srv.entraClient(t, o)
	if err := c.SendToAll(t.Context(), webpubsub.Text("x"), nil); err != nil {
		t.Fatal(err)
	}
	if got := srv.one(t).header.Get("Authorization"); got != "Bearer "+entraToken {
		t.Errorf("Authorization %q", got)
	}
}

// TestReverseProxy checks that the request goes to the gateway, path and all,
// while the token is for the endpoint, and that clients are sent to the endpoint.
func TestReverseProxy(t *testing.T) {
	gateway := newCapture(t, false)
	o := gateway.options()
	o.ReverseProxyEndpoint = gateway.URL + "/webpubsub/"
	c, err := service.NewClientWithKeyCredential("https://contoso.example/base", "chat", service.NewKeyCredential(testKey), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SendToGroup(t.Context(), "a+b c", webpubsub.Text("x"), &webpubsub.SendOptions{Filter: "userId eq 'a b'"}); err != nil {
		t.Fatal(err)
	}
	const rest = "/api/hubs/chat/groups/a+b%20c/:send?api-version=2024-12-01&filter=userId%20eq%20%27a%20b%27"
	r := gateway.one(t)
	if r.uri != "/webpubsub"+rest || r.host != strings.TrimPrefix(gateway.URL, "http://") {
		t.Errorf("request for %s at %s", r.uri, r.host)
	}
	if got := audience(t, r); got != "https://contoso.example/base"+rest {
		t.Errorf("audience %s", got)
	}
	token, err := c.GetClientAccessToken(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if token.BaseURL != "wss://contoso.example/base/client/hubs/chat" {
		t.Errorf("client URL %s", token.BaseURL)
	}
}

// The key is asked for when a token is signed, so a program can rotate keys
// without a restart.
func TestKeyRotation(t *testing.T) {
	srv := newCapture(t, false)
	var key string
	var keyErr error
	c, err := service.NewClientWithKeyCredential(srv.URL, "chat", func(context.Context) (string, error) { return key, keyErr }, srv.options())
	if err != nil {
		t.Fatal(err)
	}
	for _, key = range []string{"first", "second"} {
		if err := c.SendToAll(t.Context(), webpubsub.Text("x"), nil); err != nil {
			t.Fatal(err)
		}
		verify(t, bearer(srv.one(t)), key)
		token, err := c.GetClientAccessToken(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		verify(t, token.Token, key)
	}
	// Neither an empty key nor an error of the vault is retried or sent.
	vault := errors.New("vault is sealed")
	for _, tt := range []struct {
		key  string
		err  error
		want string
	}{{"", nil, "access key is empty"}, {"", vault, "get access key: vault is sealed"}} {
		key, keyErr = tt.key, tt.err
		sendErr := c.SendToAll(t.Context(), webpubsub.Text("x"), nil)
		_, existsErr := c.UserExists(t.Context(), "u", nil)
		_, tokenErr := c.GetClientAccessToken(t.Context(), nil)
		for _, err := range []error{sendErr, existsErr, tokenErr} {
			if err == nil || !strings.Contains(err.Error(), tt.want) || tt.err != nil && !errors.Is(err, tt.err) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		}
		if r := srv.take(); len(r) > 0 {
			t.Errorf("requests were sent: %v", r)
		}
	}
}
