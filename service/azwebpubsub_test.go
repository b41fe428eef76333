package service_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/service"
)

// identity is an identity of Microsoft Entra as the emulator takes it, which
// looks at everything but the signature.
type identity struct{}

func (identity) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	expires := time.Now().Add(time.Hour)
	part := func(format string, args ...any) string {
		return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, format, args...))
	}
	return azcore.AccessToken{
		Token:     part(`{"alg":"none"}`) + "." + part(`{"aud":%q,"exp":%d}`, strings.TrimSuffix(o.Scopes[0], "/.default"), expires.Unix()) + ".",
		ExpiresOn: expires,
	}, nil
}

// The official Go client, azwebpubsub 0.1.0, has defects that each cost somebody
// a day (https://github.com/Azure/azure-sdk-for-go/issues/27422). Here every one is told by
// what a user did, with both kinds of credential, until the client is connected.
func TestDefectsOfAzwebpubsub(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{TLS: true, AllowUnverifiedEntra: true})
	o := &service.ClientOptions{ClientOptions: azcore.ClientOptions{Transport: srv.Client()}}
	makers := map[string]func(endpoint string) (*service.Client, error){
		"key": func(endpoint string) (*service.Client, error) {
			return service.NewClientWithKeyCredential(endpoint, "chat", service.NewKeyCredential(emulator.DefaultAccessKey), o)
		},
		"identity": func(endpoint string) (*service.Client, error) {
			return service.NewClient(endpoint, "chat", identity{}, o)
		},
	}
	for name, newClient := range makers {
		t.Run(name, func(t *testing.T) {
			c, err := newClient(srv.URL())
			if err != nil {
				t.Fatal(err)
			}

			// "I passed nil for the options, as the documentation allows." It
			// dereferenced them.
			defaults, err := c.GetClientAccessToken(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}

			// "I set a user and no expiry." It asked for a token of 0 minutes, and
			// the service answered 400.
			unset, err := c.GetClientAccessToken(t.Context(), &service.GetClientAccessTokenOptions{UserID: "alice"})
			if err != nil {
				t.Fatal(err)
			}
			for _, token := range []service.ClientAccessToken{defaults, unset} {
				if left := time.Until(verify(t, token.Token, emulator.DefaultAccessKey).Expires); left < 59*time.Minute || left > 61*time.Minute {
					t.Errorf("the token lasts %v, want an hour", left)
				}
			}

			// "I computed the expiry from two dates, the wrong way round." It made a
			// token that had expired already, and the browser got a bare 401.
			_, err = c.GetClientAccessToken(t.Context(), &service.GetClientAccessTokenOptions{Expiry: -time.Hour})
			if err == nil || !strings.Contains(err.Error(), "Expiry is negative") {
				t.Errorf("a negative expiry: %v", err)
			}

			// "I copied the endpoint from the portal's overview, where it has no
			// slash." It signed for https://hostclient/hubs/chat. With a slash, or
			// two, it must work as well.
			for _, slashes := range []string{"", "/", "//"} {
				c, err := newClient(srv.URL() + slashes)
				if err != nil {
					t.Fatal(err)
				}
				connectOver(t, srv, c)
				// "I asked whether the connection may send." 200 and 404 were both a
				// success without an answer.
				may, err := c.HasPermission(t.Context(), service.PermissionSendToGroup, "nobody", "g", nil)
				if err != nil || may {
					t.Errorf("endpoint with %q: %v, %v", slashes, may, err)
				}
			}
		})
	}
}
