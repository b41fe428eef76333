package hosting

import (
	"context"
	"log/slog"
	"net"
	"net/http"
)

// Invoke handles one Lambda event with h.
func Invoke(ctx context.Context, h http.Handler, log *slog.Logger, event []byte) ([]byte, error) {
	return lambdaHandler{h, (&Options{Logger: log}).withDefaults()}.Invoke(ctx, event)
}

// NewServer returns the server that [Run] serves h with.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return newServer(h, (&Options{Logger: log}).withDefaults())
}

// NewStallListener returns l as [Run] serves it.
func NewStallListener(l net.Listener) net.Listener { return stallListener{l} }

// MaxLambdaResponse is the limit of an encoded response.
const MaxLambdaResponse = maxLambdaResponse

// Internals with tests of their own.
var (
	DecodeEvent   = decodeEvent
	Forwarded     = forwarded
	StripBasePath = stripBasePath
	Unavailable   = unavailable
)
