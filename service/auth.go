package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"example.com/webpubsub/internal/azclient"
	"example.com/webpubsub/internal/token"
)

// ServiceName is the key of Web PubSub in cloud.Configuration.Services.
const ServiceName = azclient.ServiceName

// requestTokenLifetime is short because a token is used for one request.
// Together with the five minutes that the service adds, the clock may be ten
// minutes slow.
const requestTokenLifetime = 5 * time.Minute

// KeyCredential returns the access key of a resource that the next token is
// signed with. It is called for every request and every client access token,
// concurrently, so it should cache a key that is expensive to get. A request
// fails if it returns an error or an empty key, and is not retried then.
//
// [NewKeyCredential] returns a KeyCredential for a fixed key. To rotate keys
// without restarting the program, pass a function that returns the current key:
//
//	var key atomic.Value // of string
//	credential := func(context.Context) (string, error) { return key.Load().(string), nil }
type KeyCredential func(ctx context.Context) (accessKey string, err error)

// NewKeyCredential returns a credential for a fixed access key. It returns nil
// if the key is empty, which [NewClientWithKeyCredential] rejects.
func NewKeyCredential(accessKey string) KeyCredential {
	if accessKey == "" {
		return nil
	}
	return func(context.Context) (string, error) { return accessKey, nil }
}

// sign returns a token that is signed with the current key.
func (k KeyCredential) sign(ctx context.Context, claims token.Claims) (string, error) {
	key, err := k(ctx)
	if err != nil {
		return "", fmt.Errorf("get access key: %w", err)
	}
	if key == "" {
		return "", errors.New("access key is empty: the KeyCredential returned none")
	}
	return token.Sign(key, claims)
}

type isAnonymous struct{}

// withAuth applies an authentication policy except to anonymous requests.
type withAuth struct{ policy.Policy }

func (p withAuth) Do(req *policy.Request) (*http.Response, error) {
	if req.OperationValue(&isAnonymous{}) {
		return req.Next()
	}
	return p.Policy.Do(req)
}

// keyPolicy signs one token per try: the audience is the URL as it is sent,
// query included (Azure Web PubSub reference, data plane REST API). The claims
// iat and nbf are left out, as the official clients for Go, Java and Python
// leave them out: they add nothing to a token this short, and nbf makes requests
// fail on a machine whose clock is fast.
type keyPolicy struct{ key KeyCredential }

func (p keyPolicy) Do(req *policy.Request) (*http.Response, error) {
	jwt, err := p.key.sign(req.Raw().Context(), token.Claims{
		Audience: req.Raw().URL.String(),
		Expires:  time.Now().Add(requestTokenLifetime),
	})
	if err != nil {
		return nil, nonRetriableError{err}
	}
	req.Raw().Header.Set("Authorization", "Bearer "+jwt)
	return req.Next()
}

// proxyPolicy sends requests for the endpoint to the reverse proxy.
type proxyPolicy struct{ endpoint, proxy string }

func (p proxyPolicy) Do(req *policy.Request) (*http.Response, error) {
	raw := req.Raw()
	if rest, ok := strings.CutPrefix(raw.URL.String(), p.endpoint); ok {
		u, err := url.Parse(p.proxy + rest)
		if err != nil {
			return nil, nonRetriableError{err}
		}
		raw.URL, raw.Host = u, u.Host
	}
	return req.Next()
}
