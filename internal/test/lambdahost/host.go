// Package lambdahost runs a function's program as AWS Lambda does, behind a
// buffered Function URL or an HTTP API.
//
//	host := lambdahost.Start(t, "/tmp/bootstrap", "WebPubSubHub=chat")
//	resp, err := http.Get(host.URL() + "/api/negotiate")
//
// [Start] imitates the Runtime API, as the AWS Lambda developer guide describes it
// ("Using the Lambda runtime API for custom runtimes"): deadlines are announced but
// not enforced. [StartEmulator] runs AWS's own emulator, which enforces them. The
// fronts are imitations in both cases.
package lambdahost

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"example.com/webpubsub/internal/test/childprocess"
)

// Host is a running function with its platform.
type Host struct {
	// Process is the function's program, or AWS's emulator that runs it.
	*childprocess.Process
	platform
	front *httptest.Server
}

// platform is what hands events to the function.
type platform interface {
	// Invoke hands the event to the function and returns its response, or the
	// [*FunctionError] that it reported.
	Invoke(ctx context.Context, event []byte) ([]byte, error)
}

// FunctionError is what a function reports in place of a response.
type FunctionError struct {
	Message string `json:"errorMessage"`
	Type    string `json:"errorType"`
}

func (e *FunctionError) Error() string { return fmt.Sprintf("%s: %s", e.Type, e.Message) }

// serveURL starts the Function URL. kill ends the program.
func (h *Host) serveURL(tb testing.TB, kill func()) *Host {
	h.front = httptest.NewServer(http.HandlerFunc(h.functionURL))
	tb.Cleanup(h.front.Close)
	tb.Cleanup(kill) // first, or a hanging function would keep the front open
	return h
}

// URL returns the Function URL, without a slash at its end.
func (h *Host) URL() string { return h.front.URL }
