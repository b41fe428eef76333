package emulator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/emulator/access"
	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/control"
	"example.com/webpubsub/internal/emulator/endpoint"
	"example.com/webpubsub/internal/emulator/entra"
	"example.com/webpubsub/internal/emulator/events"
	"example.com/webpubsub/internal/emulator/fault"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/limits"
	"example.com/webpubsub/internal/emulator/listeners"
	"example.com/webpubsub/internal/emulator/network"
	"example.com/webpubsub/internal/emulator/rest"
	"example.com/webpubsub/internal/emulator/session"
	"example.com/webpubsub/internal/emulator/settings"
	"example.com/webpubsub/internal/emulator/task"
	"example.com/webpubsub/internal/emulator/transport"
	"example.com/webpubsub/internal/emulator/tunnels"
	"example.com/webpubsub/internal/tunnelwire"
	"example.com/webpubsub/internal/upstream"
)

// Server is a running emulator.
type Server struct {
	opts      Options
	url       string
	host      string // of url, with port
	http      *http.Server
	client    *http.Client
	authority *authority // nil without TLS

	// The rooms, see the package comments below internal/emulator.
	tasks     task.Group
	journal   *journal.Journal
	faults    *fault.Set
	network   *network.Simulator
	limits    *limits.Limiter
	settings  *settings.Store
	broker    *broker.Broker
	transport *transport.Transport
	upstream  *upstream.Dispatcher
	outbound  http.RoundTripper // of upstream
	listeners *listeners.Set
	identity  *entra.Issuer
	rest      *rest.API
	endpoint  *endpoint.Endpoint
	tunnels   *tunnels.Registry
	control   *control.API // nil without Options.Control
	handlers  control.Handlers
	access    *access.Policy

	ctx    context.Context // ends when the server closes; deliveries run in it
	cancel context.CancelFunc
}

// TB is the part of [testing.TB] that [StartT] needs.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// StartT starts an emulator for the duration of a test. It fails the test if it
// cannot start, and is closed when the test ends.
func StartT(tb TB, o Options) *Server {
	tb.Helper()
	s, err := Start(o)
	if err != nil {
		tb.Fatalf("%v", err)
		return nil
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Fatalf("%v", err)
		}
	})
	return s
}

// Start starts an emulator, which listens when Start returns. It fails if an
// option breaks a rule or the address is in use. Call [Server.Close] to stop it.
func Start(o Options) (*Server, error) {
	o = o.withDefaults()
	store, err := settings.New(internalHubs(o.Hubs), o.HubsFile, o.Settings.internal())
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	allowed, err := access.NewNames(o.AllowHosts, o.AllowOrigins)
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	public, err := o.publicAddress()
	if err == nil {
		err = o.checkControl()
	}
	if err == nil {
		err = network.Conditions(o.NetworkConditions).Check()
	}
	var tier limits.Tier
	if err == nil {
		tier, err = o.tier()
	}
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	listeners := []net.Listener{o.Listener}
	if o.Listener == nil {
		if listeners, err = transport.Listen(o.Addr); err != nil {
			return nil, fmt.Errorf("emulator: cannot listen on %s (is another emulator running there?): %w", o.Addr, err)
		}
	}
	s := &Server{opts: o, settings: store}
	err = o.checkControlAddress(listeners)
	if err != nil {
		err = fmt.Errorf("emulator: %w", err)
	} else {
		err = s.prepareTLS(listeners)
	}
	if err != nil {
		for _, l := range listeners {
			_ = l.Close()
		}
		return nil, err
	}
	s.host = publicHost(o.Addr, listeners[0].Addr())
	s.url = s.scheme("http") + "://" + s.host
	s.client = newHTTPClient(s.authority)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.limits = limits.New(tier, func(hub string) *limits.Firewall { return &s.settings.Hub(hub).Firewall }, s.messagesUsedUp)
	s.wire(allowed, public)
	s.http = &http.Server{
		Handler:           s,
		ErrorLog:          s.httpLog(),
		ReadHeaderTimeout: 10 * time.Second, // bodies: see transport.BoundBody
		WriteTimeout:      10 * time.Minute, // more than a connect event may take, with its retries
		IdleTimeout:       2 * time.Minute,
	}
	transport.PrepareServer(s.http)
	s.tasks.Background(s.sweep)
	for _, l := range listeners {
		l := transport.Listener{Listener: l, Failed: s.handshakeFailed}
		if s.authority != nil {
			l.Config = s.authority.config(o.RequestClientCertificates)
		}
		s.tasks.Background(func() { _ = s.http.Serve(l) })
	}
	return s, nil
}

// wire makes the rooms, from the lowest to the highest.
func (s *Server) wire(allowed access.Names, public *url.URL) {
	o := &s.opts
	var observe func(journal.Entry)
	if o.Observe != nil {
		observe = func(e journal.Entry) { o.Observe(publicEntry(e)) }
	}
	s.journal = journal.New(o.Logger, observe)
	s.journal.Limit(o.JournalSize, max(o.JournalDetailBytes, 0))
	s.faults = fault.NewSet(s.ctx, func(f fault.Fault, t fault.Target) {
		s.journal.Add(journal.Entry{Kind: journal.Fault, Hub: t.Hub, UserID: t.UserID, ConnectionID: t.ConnectionID, Name: f.String()})
	})
	s.network = network.New(network.Conditions(o.NetworkConditions))
	s.broker = broker.New(s.journal)
	s.transport = transport.New(&s.tasks, s.network, o.MaxPendingMessages, o.MaxPendingBytes)
	s.access = &access.Policy{
		Host: s.host, Public: public, Keys: o.keys(), AllowUnverifiedEntra: o.AllowUnverifiedEntra,
		Allowed: allowed, File: s.settings.Allowed,
	}

	s.identity = entra.New(s.AuthorityHost(), time.Now)
	hostname, _, _ := net.SplitHostPort(s.host)
	if s.outbound = o.Transport; s.outbound == nil {
		s.outbound = upstream.NewTransport()
	}
	s.wireTunnels()
	s.upstream = upstream.New(upstream.Options{
		Client: &http.Client{Transport: events.NewTransport(s.outbound, s.network.HandlerLatency)},
		Origin: strings.Trim(hostname, "[]"),
		Keys:   o.keys(),
		Token:  s.identity.Token,
		Tunnel: func(hub string) http.RoundTripper {
			return events.NewTransport(s.tunnels.Transport(hub), s.network.HandlerLatency)
		},
		SignatureLines: o.SeparateSignatureHeaders,
		Observe:        s.attempted,
	})
	s.listeners = &listeners.Set{
		Context: s.ctx, Journal: s.journal, Tasks: &s.tasks,
		Credential: o.EventHubsCredential, Transport: s.outbound, Stdout: os.Stdout,
	}
	listened := func(e upstream.Event) []listeners.Listener { return s.settings.Hub(e.Hub).EventListeners }
	dispatcher := &events.Dispatcher{
		Context: s.ctx, Upstream: s.upstream, Journal: s.journal, Tasks: &s.tasks,
		MaxNotifications: o.MaxPendingMessages, Sent: s.limits.Sent,
		Handlers: func(hub string) []upstream.Handler { return s.settings.Hub(hub).EventHandlers },
		Listen:   func(e upstream.Event) bool { return s.listeners.Send(listened(e), e) },
		Listened: func(e upstream.Event) bool {
			return slices.ContainsFunc(listened(e), func(l listeners.Listener) bool { return l.Matches(e) })
		},
	}
	sessions := &session.Server{
		Limits:    s.limits,
		Transport: s.transport, Tasks: &s.tasks, Journal: s.journal, Faults: s.faults,
		RecoveryWindow: o.RecoveryWindow, MaxMessages: o.MaxPendingMessages, MaxBytes: o.MaxPendingBytes,

		KeepAlive:              func(hub string) time.Duration { return s.settings.Hub(hub).KeepAlive },
		RequireGroupStateRoles: func() bool { return o.RequireGroupStateRoles || s.settings.RequireGroupStateRoles() },
	}
	s.endpoint = &endpoint.Endpoint{
		Context: s.ctx, Broker: s.broker, Sessions: sessions, Events: dispatcher,
		Settings: s.settings, Access: s.access, Journal: s.journal, Limits: s.limits,
	}
	sessions.ReconnectionToken = s.endpoint.ReconnectionToken
	keyID := newKeyID()
	s.rest = &rest.API{Broker: s.broker, Journal: s.journal, Access: s.access, KeyID: keyID}
	if o.Control {
		s.control = s.newControl(control.Config{Events: dispatcher, KeyID: keyID})
	}
}

// attempted is called after each request to an event handler.
func (s *Server) attempted(ctx context.Context, a upstream.Attempt) {
	s.handlers.Observe(a)
	events.JournalAttempt(ctx, s.journal, a)
}

// publicHost is the host and port that clients use: the name that the address
// was given by, or the listener's own, with the actual port.
func publicHost(addr string, l net.Addr) string {
	own, port, err := net.SplitHostPort(l.String())
	if err != nil {
		return "localhost" // a listener without ports, such as a Unix socket
	}
	name := own
	if addr != "" {
		name, _, err = net.SplitHostPort(addr)
	}
	if ip := net.ParseIP(name); err != nil || name == "" || (ip != nil && ip.IsUnspecified()) {
		name = "localhost"
	}
	return net.JoinHostPort(name, port)
}

// newKeyID has the form of the service's: s- and a GUID.
func newKeyID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("s-%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// scheme is http or ws, or what either is called with TLS.
func (s *Server) scheme(plain string) string {
	if s.opts.TLS {
		return plain + "s"
	}
	return plain
}

// URL returns the endpoint, for example "http://127.0.0.1:41235". With
// [Options].TLS it begins with https, and so does that of [Server.ConnectionString].
func (s *Server) URL() string { return s.url }

// ConnectionString returns the connection string with the primary key.
func (s *Server) ConnectionString() string {
	return connstr.ConnectionString{Endpoint: s.url, AccessKey: s.opts.AccessKey}.String()
}

// Close resets every connection, as a crash would, stops listening, and returns
// when all goroutines have ended. Events that are being delivered are cancelled.
func (s *Server) Close() error {
	if !s.tasks.Close() {
		return nil
	}
	s.transport.Close()
	err := s.http.Close()
	s.cancel()
	s.client.CloseIdleConnections()
	for _, c := range s.broker.Conns() {
		c.Session.Abandon()
	}
	s.tasks.Wait()
	s.listeners.Close()
	s.tunnels.Close()
	s.upstream.Close()
	if idle, ok := s.outbound.(interface{ CloseIdleConnections() }); ok && s.opts.Transport == nil {
		idle.CloseIdleConnections()
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// WaitIdle returns when the emulator has no work: no REST call and no handshake
// is in progress, no client's message is being carried out, no event is being
// delivered, and nothing waits to be written to a client. After it, a test can
// assert that nothing more comes.
//
// It does not include what has not been read: a client's message may still be on
// its way, and an event handler may be about to call the REST API. Wait for an
// ack, or for the response of the call, first. What is kept for a client that may
// recover does not count, and neither do timers.
//
// It fails with the context's error when that ends first, as it does if a client
// does not read, or a [Fault] delays something.
func (s *Server) WaitIdle(ctx context.Context) error {
	if err := s.tasks.Idle(ctx); err != nil {
		return fmt.Errorf("emulator: %w", err)
	}
	return nil
}

const sweepInterval = time.Second

// sweep runs the keep-alive of all connections, instead of a timer for each, and
// reads the file of settings again.
func (s *Server) sweep() {
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			s.sweepOnce(now)
		case <-s.ctx.Done():
			return
		}
	}
}

func (s *Server) sweepOnce(now time.Time) {
	if !s.tasks.Enter() {
		return
	}
	defer s.tasks.Leave()
	for _, c := range s.broker.Conns() {
		c.Session.KeepAlive(now)
	}
	switch path, err := s.settings.Reload(); {
	case err != nil:
		s.journal.Add(journal.Entry{Kind: journal.Rejected, Name: "hub settings", Reason: err.Error() + "; the previous settings remain in force"})
	case path != "":
		s.journal.Add(journal.Entry{Kind: journal.Reloaded, Name: path})
	}
}

// ServeHTTP serves the REST API and the client endpoints, so that an emulator can
// also be mounted on another server. The names of that server must be allowed in
// [Options.AllowHosts] if they are not localhost or an address. The connect event
// then has the names of headers in Go's canonical spelling, but for common ones
// that are known to be written otherwise, such as Sec-WebSocket-Key; on its own
// listener the emulator has them as the client sent them.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.tasks.Enter() {
		http.Error(w, "the emulator is closing", http.StatusServiceUnavailable)
		return
	}
	defer s.tasks.Leave()
	transport.SetTLS(r)
	transport.BoundBody(w, r)
	if why := s.access.CheckHost(r); why != "" {
		s.journal.Add(journal.Entry{Kind: journal.Rejected, Name: "host", Status: http.StatusForbidden, Reason: why})
		http.Error(w, why, http.StatusForbidden)
		return
	}
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/api/"):
		s.rest.ServeHTTP(w, r)
	case endpoint.Serves(path):
		s.endpoint.ServeHTTP(w, r)
	case path == tunnelwire.Path:
		s.serveTunnel(w, r)
	case strings.HasPrefix(path, authorityPath+"/"):
		http.StripPrefix(authorityPath, s.identity).ServeHTTP(w, r)
	case s.servesControl(path):
		s.control.ServeHTTP(w, r)
	case path == "/":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "Web PubSub emulator. Connection string: Endpoint=%s;AccessKey=<key>;Version=1.0;\n", s.url)
	case path == "/favicon.ico": // requested by every browser
		http.NotFound(w, r)
	default:
		s.journal.Add(journal.Entry{Kind: journal.Rejected, Name: r.Method + " " + path, Status: http.StatusNotFound, Reason: notFoundHint(path)})
		http.NotFound(w, r)
	}
}

// notFoundHint returns what to use in place of a path that is not served.
func notFoundHint(path string) string {
	if strings.HasPrefix(path, access.SocketIOPath) {
		return "Socket.IO clients get tokens here, but no connection: the emulator does not support that protocol"
	}
	return "there is nothing at this path: REST calls go to /api/hubs/{hub}, clients to " + access.ClientPath + "{hub} or " + access.MQTTPath + "{hub}"
}
