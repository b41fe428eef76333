package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"example.com/webpubsub/internal/azclient"
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

// ClientOptions contains the optional parameters of the Client constructors. The
// zero value, or nil, selects the defaults.
type ClientOptions struct {
	// ClientOptions are the options of every client of the Azure SDK.
	//
	// APIVersion can be 2021-10-01, 2022-11-01, 2023-07-01, 2024-01-01 or
	// 2024-12-01. A call that needs a newer version than the selected one returns
	// an error, since the service would ignore, for example, a filter that it does
	// not know and deliver to every connection. Default: 2024-12-01.
	//
	// Cloud selects the audience of tokens and is used by [NewClient] only. The
	// public cloud and Azure China are known; for any other, set
	// Cloud.Services[ServiceName].Audience. Default: the public cloud.
	//
	// Transport sends the requests. The CheckRedirect function of an *http.Client
	// is not used: redirects are never followed. Default: an http.Client with the
	// settings of the Azure SDK.
	azcore.ClientOptions

	// ReverseProxyEndpoint is the URL of a gateway in front of the service, such as
	// API Management. Requests are sent to it in place of the endpoint; tokens are
	// still signed for the endpoint, and the URL of a client access token still
	// contains the endpoint. Default: requests are sent to the endpoint.
	ReverseProxyEndpoint string

	// RetrySends retries sends like every other request: a message is delivered at
	// least once, possibly twice. Default: false, see Retries in the package
	// documentation.
	RetrySends bool

	// Logger receives a warning when a client is granted a user ID, role or group
	// that the REST API cannot address, at most one for each of the three.
	// Default: slog.Default().
	Logger *slog.Logger
}

// Client sends requests for one hub. It is created by [NewClient],
// [NewClientWithKeyCredential] or [NewClientFromConnectionString].
type Client struct {
	az         *azcore.Client
	endpoint   string
	hub        string
	apiVersion string
	key        KeyCredential // nil with a token credential
	logger     *slog.Logger

	mu     sync.Mutex
	warned map[string]bool // kinds of unaddressable names that were logged
}

// NewClient returns a client that authenticates with Microsoft Entra. The
// endpoint is the URL of the resource, for example
// https://contoso.webpubsub.azure.com. It must be https, unless
// ClientOptions.InsecureAllowCredentialWithHTTP is set.
func NewClient(endpoint, hub string, credential azcore.TokenCredential, options *ClientOptions) (*Client, error) {
	if credential == nil {
		return nil, errors.New("service: credential is nil: pass a credential of azidentity, or use NewClientWithKeyCredential")
	}
	return newClient(endpoint, hub, options, credential, nil)
}

// NewClientWithKeyCredential returns a client that signs its tokens with an
// access key of the resource: service.NewKeyCredential(accessKey), or a function
// that returns the current key.
func NewClientWithKeyCredential(endpoint, hub string, credential KeyCredential, options *ClientOptions) (*Client, error) {
	if credential == nil {
		return nil, errors.New("service: access key is empty: copy one from the Keys page of the resource")
	}
	return newClient(endpoint, hub, options, nil, credential)
}

// NewClientFromConnectionString returns a client for a connection string as the
// portal displays it, Endpoint=…;AccessKey=…;Version=1.0; and authenticates like
// [NewClientWithKeyCredential].
func NewClientFromConnectionString(connectionString, hub string, options *ClientOptions) (*Client, error) {
	cs, err := connstr.Parse(connectionString)
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}
	return NewClientWithKeyCredential(cs.Endpoint, hub, NewKeyCredential(cs.AccessKey), options)
}

func newClient(endpoint, hub string, o *ClientOptions, cred azcore.TokenCredential, key KeyCredential) (*Client, error) {
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
	c := &Client{endpoint: endpoint, hub: hub, apiVersion: v2412, key: key, logger: o.Logger}
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
			return nil, fmt.Errorf("service: ReverseProxyEndpoint: %w", err)
		}
	}
	if key != nil {
		perRetry = append(perRetry, withAuth{keyPolicy{key}})
	} else {
		// azcore would fail too, but only at the first call, and it does not see
		// that a gateway is reached without TLS.
		if !o.InsecureAllowCredentialWithHTTP && (isHTTP(endpoint) || isHTTP(target)) {
			return nil, errors.New("service: token credentials require https: use an https endpoint or an access key, or set ClientOptions.InsecureAllowCredentialWithHTTP")
		}
		perRetry = append(perRetry, withAuth{runtime.NewBearerTokenPolicy(cred, []string{azclient.Scope(o.Cloud)}, &policy.BearerTokenOptions{
			InsecureAllowCredentialWithHTTP: o.InsecureAllowCredentialWithHTTP,
		})})
	}
	if target != endpoint {
		// After the token: its audience is the endpoint, not the gateway.
		perRetry = append(perRetry, proxyPolicy{endpoint: endpoint, proxy: target})
	}
	az := o.ClientOptions
	// The version is set by newRequest; azcore's policy would encode the query
	// a second time.
	az.APIVersion = ""
	az.Transport = azclient.Transport(o.Transport)
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

// Endpoint returns the URL of the resource, without a trailing slash.
func (c *Client) Endpoint() string { return c.endpoint }

// Hub returns the name of the hub.
func (c *Client) Hub() string { return c.hub }

// GetServiceStatusOptions contains the optional parameters of
// [Client.GetServiceStatus]. There are none yet.
type GetServiceStatusOptions struct{}

// GetServiceStatus reports whether the service is available: it returns nil if
// it is. The request needs no permission and contains no credential.
func (c *Client) GetServiceStatus(ctx context.Context, _ *GetServiceStatusOptions) error {
	_, err := c.do(ctx, request{name: "GetServiceStatus", verb: http.MethodHead, path: []string{"api", "health"}, anonymous: true}, http.StatusOK)
	return err
}

// requireVersion fails if the selected API version is older than the feature.
func (c *Client) requireVersion(version, feature string) error {
	if c.apiVersion < version {
		return fmt.Errorf("%s needs API version %s, the client is set to %s", feature, version, c.apiVersion)
	}
	return nil
}

func isHTTP(u string) bool { return strings.HasPrefix(u, "http:") }
