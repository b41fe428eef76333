package service

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"example.com/webpubsub/internal/token"
)

// ServiceName is the key of Web PubSub in cloud.Configuration.Services.
const ServiceName cloud.ServiceName = "webpubsub"

// requestTokenLifetime is short because a token serves one request. Together
// with the five minutes that the service adds, the clock may be ten minutes slow.
const requestTokenLifetime = 5 * time.Minute

// scope returns the scope to ask Entra for.
func scope(c cloud.Configuration) string {
	audience := "https://webpubsub.azure.com"
	if a := c.Services[ServiceName].Audience; a != "" {
		audience = strings.TrimRight(a, "/")
	} else if c.ActiveDirectoryAuthorityHost == cloud.AzureChina.ActiveDirectoryAuthorityHost {
		audience = "https://webpubsub.azure.cn"
	}
	return audience + "/.default"
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

// keyPolicy signs one token per try: the audience is the URL as it stands,
// query included (Azure Web PubSub reference, data plane REST API). The claims
// iat and nbf are left out, as the official clients for Go, Java and Python
// leave them out: they add nothing to a token this short, and nbf makes a
// machine whose clock is fast fail.
type keyPolicy struct{ key *azcore.KeyCredential }

func (p keyPolicy) Do(req *policy.Request) (*http.Response, error) {
	jwt, err := sign(p.key, token.Claims{
		Audience: req.Raw().URL.String(),
		Expires:  time.Now().Add(requestTokenLifetime),
	})
	if err != nil {
		return nil, final{err}
	}
	req.Raw().Header.Set("Authorization", "Bearer "+jwt)
	return req.Next()
}

func sign(cred *azcore.KeyCredential, claims token.Claims) (string, error) {
	key := readKey(cred)
	if key == "" {
		return "", errors.New("the access key has been updated to nothing")
	}
	return token.Sign(key, claims)
}

// readKey returns the current key. azcore keeps the key to itself and offers
// only a policy that writes it into a header; so it writes it into the header
// of a request that goes nowhere: with no policy left, Do fails after that.
func readKey(cred *azcore.KeyCredential) string {
	const header = "Key"
	scratch, err := runtime.NewRequestFromRequest(&http.Request{URL: &url.URL{Scheme: "https"}, Header: http.Header{}})
	if err != nil {
		return ""
	}
	_, _ = runtime.NewKeyCredentialPolicy(cred, header, nil).Do(scratch)
	return scratch.Raw().Header.Get(header)
}

// proxyPolicy sends requests for the endpoint to the reverse proxy.
type proxyPolicy struct{ endpoint, proxy string }

func (p proxyPolicy) Do(req *policy.Request) (*http.Response, error) {
	raw := req.Raw()
	if rest, ok := strings.CutPrefix(raw.URL.String(), p.endpoint); ok {
		u, err := url.Parse(p.proxy + rest)
		if err != nil {
			return nil, final{err}
		}
		raw.URL, raw.Host = u, u.Host
	}
	return req.Next()
}
