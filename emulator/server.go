package emulator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/entra"
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
	upstream  *upstream.Dispatcher
	identity  *entra.Issuer
	journal   journal
	file      *hubsFile  // nil without Options.HubsFile
	dashboard *dashboard // nil without Options.Dashboard
	keyID     string     // of the tokens that the REST API issues

	ctx    context.Context // ends when the server closes; deliveries run in it
	cancel context.CancelFunc
	tasks  sync.WaitGroup // every goroutine that the server starts
	busy   activity       // what WaitIdle waits for
	faults atomic.Pointer[[]*Injected]

	access     access                 // of the options
	fileAccess atomic.Pointer[access] // of the file

	mu         sync.RWMutex
	hubs       map[string]*hub
	configured map[string]*hubSettings // by lower-case name, see SetHub
	links      map[*link]struct{}      // every WebSocket that stands
	fromFile   map[string]*hubSettings // the same of file; goes before configured
	closed     bool
	sweep      *timer
}

// TB is the part of [testing.TB] that [Start] needs.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Start runs an emulator for the length of a test. It fails the test where it
// cannot start, and closes with it.
func Start(tb TB, o Options) *Server {
	tb.Helper()
	s, err := New(o)
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

// New starts an emulator. It listens when New returns. It fails where an option
// breaks a rule or the address is taken.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	configured, err := newHubSettings(o.Hubs)
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	allowed, err := newAccess(o.AllowHosts, o.AllowOrigins)
	if err != nil {
		return nil, fmt.Errorf("emulator: %w", err)
	}
	file, fromFile, err := openHubsFile(o.HubsFile)
	if err != nil {
		return nil, fmt.Errorf("emulator: hub settings: %w", err)
	}
	listeners := []net.Listener{o.Listener}
	if o.Listener == nil {
		if listeners, err = listen(o.Addr); err != nil {
			return nil, fmt.Errorf("emulator: cannot listen on %s (is another emulator running there?): %w", o.Addr, err)
		}
	}
	s := &Server{
		opts: o, keyID: newKeyID(),
		hubs: make(map[string]*hub), links: make(map[*link]struct{}),
		configured: configured, file: file, fromFile: fromFile.hubs, access: allowed,
	}
	s.fileAccess.Store(&fromFile.access)
	if err := s.secure(listeners); err != nil {
		for _, l := range listeners {
			_ = l.Close()
		}
		return nil, err
	}
	s.host = publicHost(o.Addr, listeners[0].Addr())
	s.url = s.scheme("http") + "://" + s.host
	s.client = newHTTPClient(s.authority)
	s.journal = journal{clock: o.Clock, logger: o.Logger, observe: o.Observe}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	hostname, _, _ := net.SplitHostPort(s.host)
	s.identity = entra.New(s.AuthorityHost(), o.Clock.Now)
	var events *http.Client // nil: the dispatcher's own
	if o.Transport != nil {
		events = &http.Client{Transport: o.Transport}
	}
	s.upstream = upstream.New(upstream.Options{
		Client: events,
		Origin: strings.Trim(hostname, "[]"),
		Keys:   o.keys(),
		Token:  s.identity.Token,
		Now:    o.Clock.Now,
		Sleep:  o.Clock.sleep,

		SignatureLines: o.SignatureLines,
		Observe:        s.journalAttempt, // the log is made from the journal
	})
	if o.Dashboard {
		s.dashboard = newDashboard(s)
	}
	s.http = &http.Server{
		Handler:           s,
		ErrorLog:          s.httpLog(),
		ReadHeaderTimeout: 10 * time.Second, // bodies: see boundBody
		WriteTimeout:      10 * time.Minute, // more than a connect event may take, with its retries
		IdleTimeout:       2 * time.Minute,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, headConnKey{}, c)
		},
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateIdle {
				c.(*headConn).restart()
			}
		},
	}
	s.mu.Lock()
	s.scheduleSweep()
	s.mu.Unlock()
	for _, l := range listeners {
		l := headListener{Listener: l, failed: s.handshakeFailed}
		if s.authority != nil {
			l.config = s.authority.config()
		}
		s.tasks.Go(func() { _ = s.http.Serve(l) })
	}
	return s, nil
}

// publicHost is the host and port that clients use: the name that the address
// was given by, or the listener's own, with the port that was found.
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

// secure makes what TLS needs, if it is on, and keeps what anybody may enter off
// the network.
func (s *Server) secure(listeners []net.Listener) (err error) {
	if s.opts.AllowUnverifiedEntra {
		for _, l := range listeners {
			if err := loopback(l.Addr()); err != nil {
				return err
			}
		}
	}
	if !s.opts.TLS {
		return nil
	}
	if s.authority, err = newAuthority(); err != nil {
		return fmt.Errorf("emulator: make a certificate: %w", err)
	}
	return nil
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

// ClientURL returns the WebSocket address of a hub, without an access token.
func (s *Server) ClientURL(hub string) string {
	return s.scheme("ws") + "://" + s.host + clientEndpoint + url.PathEscape(hub)
}

// MQTTURL returns the address of a hub for MQTT 3.1.1 and 5.0 over WebSocket,
// without an access token.
func (s *Server) MQTTURL(hub string) string {
	return s.scheme("ws") + "://" + s.host + mqttEndpoint + url.PathEscape(hub)
}

// Close cuts every connection, as a crash would, stops listening, and returns
// when all goroutines have ended. Events that are being delivered are given up.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.sweep.stop()
	hubs := s.allHubs()
	for l := range s.links {
		l.cut()
	}
	s.mu.Unlock()

	err := s.http.Close()
	s.cancel()
	s.client.CloseIdleConnections()
	for _, h := range hubs {
		for _, c := range h.all() {
			c.abandon()
		}
	}
	s.tasks.Wait()
	s.upstream.Close()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// track registers a link that Close is to cut. It reports false where the server
// is closed.
func (s *Server) track(l *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.links[l] = struct{}{}
	}
	return !s.closed
}

func (s *Server) untrack(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l)
}

// hub returns the hub of that name, made on first use by a caller who has
// proven to be allowed in. Names are compared without case.
func (s *Server) hub(name string) *hub {
	key := strings.ToLower(name)
	s.mu.RLock()
	h := s.hubs[key]
	s.mu.RUnlock()
	if h != nil {
		return h
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h = s.hubs[key]; h == nil {
		h = newHub(s, key)
		s.hubs[key] = h
	}
	return h
}

// peek returns the hub of that name; one that is not in use yet is made, but
// not kept, so that strangers cannot fill the memory with names.
func (s *Server) peek(name string) *hub {
	key := strings.ToLower(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if h := s.hubs[key]; h != nil {
		return h
	}
	return newHub(s, key)
}

// allHubs needs s.mu.
func (s *Server) allHubs() []*hub {
	hubs := make([]*hub, 0, len(s.hubs))
	for _, h := range s.hubs {
		hubs = append(hubs, h)
	}
	return hubs
}

// ServeHTTP answers the REST API and the client endpoint, so that an emulator
// can also be mounted on a server of one's own. Its names must be allowed in
// [Options.AllowHosts] if they are not localhost or an address. The connect event
// then has the names of headers in Go's canonical spelling, but for common ones
// that are known to be written otherwise, such as Sec-WebSocket-Key; on its own
// listener the emulator has them as the client sent them.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		http.Error(w, "the emulator is closing", http.StatusServiceUnavailable)
		return
	}
	defer s.leave()
	if c, ok := r.Context().Value(headConnKey{}).(*headConn); ok && c.tls != nil && r.TLS == nil {
		state := c.tls.ConnectionState()
		r.TLS = &state
	}
	boundBody(w, r)
	if why := s.checkHost(r); why != "" {
		s.journal.add(Entry{Kind: KindRefused, Name: "host", Status: http.StatusForbidden, Reason: why})
		http.Error(w, why, http.StatusForbidden)
		return
	}
	path := r.URL.Path
	lower := strings.ToLower(path) // see clientHub
	switch {
	case strings.HasPrefix(path, "/api/"):
		s.serveREST(w, r)
	case lower == "/client" || strings.HasPrefix(lower, "/client/") || strings.HasPrefix(lower, mqttEndpoint):
		s.serveClient(w, r)
	case strings.HasPrefix(path, authorityPath+"/"):
		http.StripPrefix(authorityPath, s.identity).ServeHTTP(w, r)
	case s.dashboard != nil && (strings.HasPrefix(path, dashboardPath) || path == strings.TrimSuffix(dashboardPath, "/")):
		s.dashboard.ServeHTTP(w, r)
	case path == "/":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "Web PubSub emulator. Connection string: Endpoint=%s;AccessKey=<key>;Version=1.0;\n", s.url)
	case path == "/favicon.ico": // asked for by every browser
		http.NotFound(w, r)
	default:
		s.journal.add(Entry{Kind: KindRefused, Name: r.Method + " " + path, Status: http.StatusNotFound, Reason: elsewhere(path)})
		http.NotFound(w, r)
	}
}

// bodyTimeout is how long the body of a request, at most 1 MiB, may take.
const bodyTimeout = time.Minute

// boundBody ends a request whose body comes too slowly. The deadline also holds
// for what net/http reads after a handler that has left some. It is no
// [http.Server.ReadTimeout], which would cancel a handshake whose connect event
// takes longer.
func boundBody(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	c := http.NewResponseController(w)
	if c.SetReadDeadline(time.Now().Add(bodyTimeout)) == nil {
		r.Body = boundedBody{r.Body, c}
	}
}

type boundedBody struct {
	io.ReadCloser
	conn *http.ResponseController
}

func (b boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

// elsewhere says where to go instead of a path that is not served.
func elsewhere(path string) string {
	if strings.HasPrefix(path, clientPaths["socketio"]) {
		return "Socket.IO clients get tokens here, but no connection: the emulator does not speak that protocol"
	}
	return "there is nothing here: REST calls go to /api/hubs/{hub}, clients to " + clientEndpoint + "{hub} or " + mqttEndpoint + "{hub}"
}
