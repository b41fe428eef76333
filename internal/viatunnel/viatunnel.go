// Package viatunnel marks the requests that arrived through the tunnel of the
// service, which was authenticated when it was opened. Only package tunnel marks
// requests, and a request from the network cannot carry the mark.
package viatunnel

import "context"

type key struct{}

// Mark returns a context that is marked.
func Mark(ctx context.Context) context.Context { return context.WithValue(ctx, key{}, true) }

// Marked reports whether the context is marked.
func Marked(ctx context.Context) bool { return ctx.Value(key{}) != nil }
