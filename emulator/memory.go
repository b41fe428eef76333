package emulator

import (
	"context"
	"net"

	"example.com/webpubsub/internal/emulator/memnet"
)

// MemoryListener is an in-memory network: pass it to an emulator as
// [Options.Listener], and its DialContext to the clients. It uses no operating
// system resources, so emulator and clients can run in a bubble of
// testing/synctest, in virtual time.
//
// Connections behave like TCP: each direction buffers 64 KiB and then blocks the
// writer, deadlines work, and closing lets what was written arrive, unless
// SetLinger(0) was called.
type MemoryListener struct{ network *memnet.Listener }

// NewMemoryListener returns a new network.
func NewMemoryListener() *MemoryListener { return &MemoryListener{memnet.Listen()} }

// Accept returns the next connection that was dialed.
func (l *MemoryListener) Accept() (net.Conn, error) { return l.network.Accept() }

// Close rejects new connections. It does not affect the others.
func (l *MemoryListener) Close() error { return l.network.Close() }

// Addr returns "localhost:80", so that an emulator's addresses look like others.
func (l *MemoryListener) Addr() net.Addr { return l.network.Addr() }

// DialContext connects to the listener, whatever the address. Its signature is
// that of [net.Dialer.DialContext].
func (l *MemoryListener) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return l.network.DialContext(ctx, network, addr)
}
