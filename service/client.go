package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"

	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/names"
)

const (
	moduleName    = "webpubsub"
	moduleVersion = "v0.1.0"
)

// The versions of the data plane that are generally available (REST API
// specification, data-plane/WebPubSub).
const (
	v2021 = "2021-10-01"
	v2022 = "2022-11-01" // filter, groups of a token, leaving all groups
	v2023 = "2023-07-01" // bulk membership, time to live
	v2401 = "2024-01-01" // MQTT tokens
	v2412 = "2024-12-01" // listing the connections of a group
)

var apiVersions = []string{v2021, v2022, v2023, v2401, v2412}

// ClientOptions configures a [Client]. The zero value, or nil, is ready to use.
type ClientOptions struct {
	// ClientOptions are the options that every client of the Azure SDK has.
	//
	// APIVersion is 2024-12-01 by default; 2021-10-01, 2022-11-01, 2023-07-01
	// and 2024-01-01 are accepted too. A call that needs a newer version than
	// the chosen one fails before anything is sent, since the service would
	// ignore a filter that it does not know and deliver to everybody.
	//
	// Cloud matters to [NewClient] only: it decides for which audience tokens
	// are asked. The public cloud and Azure China are known; for any other,
	// set Cloud.Services[ServiceName].Audience.
	azcore.ClientOptions

	// ReverseProxyEndpoint is where requests go when the service stands behind a
	// gateway such as API Management: it replaces the endpoint in every request,
	// while tokens stay signed for the endpoint itself. The URL of a client
	// access token keeps the endpoint. Default: requests go to the endpoint.
	ReverseProxyEndpoint string

	// RetrySends lets a send be repeated after an unclear outcome, as every
	// other call is: the message arrives at least once, perhaps twice. Default:
	// false, see Retries in the package documentation.
	RetrySends bool
}

// Client calls the REST API of one hub. Make it with [NewClient],
// [NewClientWithKey] or [NewClientFromConnectionString].
type Client struct {
	az         *azcore.Client
	endpoint   string
	hub        string
	apiVersion string
	key        *azcore.KeyCredential // nil with a token credential
}

// NewClient returns a client that authenticates with Microsoft Entra. The
// endpoint is the resource's URL, for example
// https://contoso.webpubsub.azure.com; with http it is refused unless
// InsecureAllowCredentialWithHTTP is set.
func NewClient(endpoint string, cred azcore.TokenCredential, hub string, o *ClientOptions) (*Client, error) {
	if cred == nil {
		return nil, errors.New("service: the credential is nil: pass one of azidentity, or use NewClientWithKey")
	}
	return newClient(endpoint, hub, o, cred, nil)
}

// NewClientWithKey returns a client that signs its tokens with an access key of
// the resource. The key may be replaced while the client is in use, with
// [azcore.KeyCredential.Update].
func NewClientWithKey(endpoint string, key *azcore.KeyCredential, hub string, o *ClientOptions) (*Client, error) {
	if key == nil || *key == (azcore.KeyCredential{}) || readKey(key) == "" {
		return nil, errors.New("service: the access key is empty: take one from the resource's Keys page")
	}
	return newClient(endpoint, hub, o, nil, key)
}

// NewClientFromConnectionString returns a client for a connection string as the
// portal shows it, Endpoint=…;AccessKey=…;Version=1.0; and authenticates as
// [NewClientWithKey] does.
func NewClientFromConnectionString(connectionString, hub string, o *ClientOptions) (*Client, error) {
	cs, err := connstr.Parse(connectionString)
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	return NewClientWithKey(cs.Endpoint, azcore.NewKeyCredential(cs.AccessKey), hub, o)
}

func newClient(endpoint, hub string, o *ClientOptions, cred azcore.TokenCredential, key *azcore.KeyCredential) (*Client, error) {
	if o == nil {
		o = &ClientOptions{}
	}
	endpoint, err := connstr.Endpoint(endpoint, "")
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	if err := names.Hub(hub); err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	c := &Client{endpoint: endpoint, hub: hub, apiVersion: v2412, key: key}
	if o.APIVersion != "" {
		if !slices.Contains(apiVersions, o.APIVersion) {
			return nil, fmt.Errorf("service: unknown APIVersion %q: use one of %s", o.APIVersion, strings.Join(apiVersions, ", "))
		}
		c.apiVersion = o.APIVersion
	}
	perRetry := []policy.Policy{}
	if !o.RetrySends {
		perRetry = append(perRetry, sendOnce{})
	}
	target := endpoint
	if o.ReverseProxyEndpoint != "" {
		if target, err = connstr.Endpoint(o.ReverseProxyEndpoint, ""); err != nil {
			return nil, fmt.Errorf("service: reverse proxy: %w", err)
		}
	}
	if key != nil {
		perRetry = append(perRetry, withAuth{keyPolicy{key}})
	} else {
		// azcore would refuse too, but only at the first call, and it does not
		// see that a proxy is reached without TLS.
		if !o.InsecureAllowCredentialWithHTTP && (isHTTP(endpoint) || isHTTP(target)) {
			return nil, errors.New("service: a token credential is not sent over http, where anybody can read it: use https, or an access key, or set ClientOptions.InsecureAllowCredentialWithHTTP")
		}
		perRetry = append(perRetry, withAuth{runtime.NewBearerTokenPolicy(cred, []string{scope(o.Cloud)}, &policy.BearerTokenOptions{
			InsecureAllowCredentialWithHTTP: o.InsecureAllowCredentialWithHTTP,
		})})
	}
	if target != endpoint {
		// After the token: its audience is the endpoint, not the proxy.
		perRetry = append(perRetry, proxyPolicy{endpoint: endpoint, proxy: target})
	}
	az := o.ClientOptions
	// The version is set by newRequest; azcore's policy would encode the query
	// a second time.
	az.APIVersion = ""
	c.az, err = azcore.NewClient(moduleName, moduleVersion, runtime.PipelineOptions{
		AllowedHeaders:         []string{"api-supported-versions", "x-ms-error-code"},
		AllowedQueryParameters: []string{"clientType", "maxpagesize", "messageTtlSeconds", "minutesToExpire", "top"},
		PerCall:                []policy.Policy{runtime.NewRequestIDPolicy()},
		PerRetry:               perRetry,
		Tracing:                runtime.TracingOptions{Namespace: "Microsoft.WebPubSub"},
	}, &az)
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	return c, nil
}

// Endpoint returns the resource's URL, without a trailing slash.
func (c *Client) Endpoint() string { return c.endpoint }

// Hub returns the hub that the client is bound to.
func (c *Client) Hub() string { return c.hub }

// Health asks whether the service is up. It returns nil when it is; the call
// needs no permission and sends no credential.
func (c *Client) Health(ctx context.Context) error {
	_, err := c.do(ctx, request{name: "Health", verb: http.MethodHead, path: []string{"api", "health"}, anonymous: true}, http.StatusOK)
	return err
}

// request is one call of the REST API.
type request struct {
	name string // the method's, for spans and errors
	verb string
	path []string // segments, not yet escaped
	query,
	header map[string][]string
	body        []byte
	contentType string
	send        bool // not to be repeated
	secret      bool // the answer must not be logged
	anonymous   bool // no credential is sent
}

// hubPath returns the segments of a path below the hub.
func (c *Client) hubPath(segments ...string) []string {
	return append([]string{"api", "hubs", c.hub}, segments...)
}

// do sends a request and returns the response if its status is one of ok.
func (c *Client) do(ctx context.Context, r request, ok ...int) (resp *http.Response, err error) {
	ctx, end := runtime.StartSpan(ctx, "Client."+r.name, c.az.Tracer(), nil)
	defer func() { end(err) }()
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("service: %s: %w", r.name, err)
	}
	resp, err = c.az.Pipeline().Do(req)
	if err == nil && !runtime.HasStatusCode(resp, ok...) {
		err = runtime.NewResponseError(resp)
	}
	if err != nil {
		return nil, c.explain(r.name, err)
	}
	return resp, nil
}

func (c *Client) newRequest(ctx context.Context, r request) (*policy.Request, error) {
	u := c.endpoint
	for i, s := range r.path {
		if i > 0 && r.path[i-1] == "groups" {
			if err := names.Group(s); err != nil {
				return nil, err
			}
		}
		if err := checkSegment(s); err != nil {
			return nil, err
		}
		u += "/" + url.PathEscape(s)
	}
	query := make(url.Values)
	maps.Copy(query, r.query)
	query.Set("api-version", c.apiVersion)
	// A blank is %20 in every part of a URL, "+" in some only; the audience of
	// the token repeats the URL.
	u += "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	req, err := runtime.NewRequest(ctx, r.verb, u)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Raw().Header, r.header)
	req.Raw().Header.Set("Accept", "application/json")
	if r.contentType != "" {
		if err := req.SetBody(streaming.NopCloser(bytes.NewReader(r.body)), r.contentType); err != nil {
			return nil, err
		}
	}
	if r.send {
		req.SetOperationValue(isSend{})
	}
	if r.anonymous {
		req.SetOperationValue(isAnonymous{})
	}
	if r.secret {
		runtime.SkipBodyDownload(req)
	}
	return req, nil
}

// checkSegment refuses what cannot be one segment of a URL's path. Servers and
// proxies resolve "." and ".." even when they are percent-encoded (RFC 3986,
// section 6.2.2): a send to the group ".." would become a send to the hub.
func checkSegment(s string) error {
	switch s {
	case "":
		return errors.New("the user id or connection id is empty")
	case ".", "..":
		return fmt.Errorf("the name or id %q cannot be part of a URL: choose another", s)
	}
	return nil
}

// need fails when the chosen API version is older than the feature.
func (c *Client) need(version, feature string) error {
	if c.apiVersion < version {
		return fmt.Errorf("%s needs API version %s, the client is set to %s", feature, version, c.apiVersion)
	}
	return nil
}

func isHTTP(u string) bool { return strings.HasPrefix(u, "http:") }
