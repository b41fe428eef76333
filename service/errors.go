package service

import (
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// explain puts the method and what to do about it in front of an error.
func (c *Client) explain(method string, err error) error {
	var re *azcore.ResponseError
	if errors.As(err, &re) {
		if hint := c.hint(method, re.StatusCode); hint != "" {
			return fmt.Errorf("service: %s: %s: %w", method, hint, err)
		}
	}
	return fmt.Errorf("service: %s: %w", method, err)
}

func (c *Client) hint(method string, status int) string {
	switch status {
	case http.StatusUnauthorized:
		if c.key != nil {
			return "the service refused the token: check that the access key and the endpoint are of the same resource, " +
				"that a gateway in front of it is given as ReverseProxyEndpoint, and this machine's clock"
		}
		return "the service refused the Entra token: check that the credential's tenant is the resource's, the cloud, and this machine's clock"
	case http.StatusForbidden:
		if c.key != nil {
			return "the service refused the access key: keys may be disabled on the resource (then use NewClient), or its network rules exclude this machine"
		}
		return `the identity may not do this: give it the role "Web PubSub Service Owner" on the resource (a new role takes some minutes to count), ` +
			"and check that the resource's network rules admit this machine"
	case http.StatusNotFound:
		switch method {
		case "AddUserToGroup":
			return "the user has no open connection: membership belongs to connections, not to users, so add users once they are connected, " +
				"or name the groups in the client access token or in the reply to the connect event"
		case "AddConnectionToGroup", "GrantPermission":
			return "there is no such connection, or it has been closed"
		}
	case http.StatusTooManyRequests:
		return "too many requests for the units of the resource: send less often, or add units"
	}
	return ""
}

// final is an error after which azcore does not try again.
type final struct{ error }

func (e final) Unwrap() error { return e.error }

// NonRetriable marks the error for azcore's retry policy.
func (final) NonRetriable() {}

type isSend struct{}

// sendOnce keeps the retry policy from repeating a send unless it is certain
// that the service did not take it.
type sendOnce struct{}

func (sendOnce) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	if !req.OperationValue(&isSend{}) {
		return resp, err
	}
	if err != nil {
		if neverSent(err) {
			return resp, err
		}
		return resp, final{err}
	}
	if resp.StatusCode == http.StatusAccepted || resp.StatusCode == http.StatusTooManyRequests {
		return resp, nil
	}
	// The response goes along for policy.WithCaptureResponse.
	return resp, final{runtime.NewResponseError(resp)}
}

// neverSent reports whether no connection was made, so that no byte of the
// request can have left.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}
