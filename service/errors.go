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

// explain prefixes an error with the method and the remedy.
func (c *Client) explain(method string, err error) error {
	var re *azcore.ResponseError
	if errors.As(err, &re) {
		if r := c.remedy(method, re.StatusCode); r != "" {
			return fmt.Errorf("service: %s: %s: %w", method, r, err)
		}
	}
	return fmt.Errorf("service: %s: %w", method, err)
}

func (c *Client) remedy(method string, status int) string {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return "check that the endpoint is the URL of the resource, and that a gateway is set as ReverseProxyEndpoint"
	case http.StatusUnauthorized:
		if c.key != nil {
			return "the service rejected the access token: check that the access key belongs to this endpoint, " +
				"that a gateway is set as ReverseProxyEndpoint, and the system clock"
		}
		return "the service rejected the Entra token: check that the tenant of the credential is that of the resource, the cloud, and the system clock"
	case http.StatusForbidden:
		if c.key != nil {
			return "the service rejected the access key: access keys may be disabled on the resource (then use NewClient), or its network rules exclude this machine"
		}
		return `the identity is not authorized: assign it the role "Web PubSub Service Owner" on the resource (an assignment can take several minutes to take effect), ` +
			"and check the network rules of the resource"
	case http.StatusNotFound:
		switch method {
		case "AddUserToGroup":
			return "the user has no open connection: membership belongs to connections, not to users, so add users after they have connected, " +
				"or set the groups in the client access token or in the response to the connect event"
		case "AddConnectionToGroup", "GrantPermission":
			return "the connection does not exist, or has been closed"
		}
	case http.StatusTooManyRequests:
		return "too many requests for the units of the resource: send less often, or add units"
	case http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return "the request URL is too long: use fewer excluded connections, a shorter filter, or shorter names"
	}
	return ""
}

// nonRetriableError is an error after which azcore does not retry.
type nonRetriableError struct{ error }

func (e nonRetriableError) Unwrap() error { return e.error }

// NonRetriable marks the error for azcore's retry policy.
func (nonRetriableError) NonRetriable() {}

// statusError is the status of a response to a send, which is not retried.
type statusError struct{ error }

func (e statusError) Unwrap() error { return e.error }

// NonRetriable marks the error for azcore's retry policy.
func (statusError) NonRetriable() {}

type isSend struct{}

// sendOnce prevents the retry policy from retrying a send unless it is certain
// that the service did not accept it.
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
		return resp, nonRetriableError{err}
	}
	if resp.StatusCode == http.StatusAccepted || resp.StatusCode == http.StatusTooManyRequests {
		return resp, nil
	}
	// The response is returned too, for policy.WithCaptureResponse.
	return resp, statusError{runtime.NewResponseError(resp)}
}

// neverSent reports whether no connection was established, so that no byte of
// the request can have been sent.
func neverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}
