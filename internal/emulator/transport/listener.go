package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Listen listens on an address. localhost is both loopback addresses, on one
// port, as far as this machine has them: clients try them in either order.
func Listen(addr string) ([]net.Listener, error) {
	one := func() ([]net.Listener, error) {
		l, err := net.Listen("tcp", addr)
		return []net.Listener{l}, err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil || !strings.EqualFold(host, "localhost") {
		return one()
	}
	for tries := 10; ; tries-- {
		v4, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", port))
		if err != nil {
			if errors.Is(err, syscall.EADDRINUSE) {
				return nil, err
			}
			return one() // a machine without IPv4, or an address that cannot be read
		}
		_, found, _ := net.SplitHostPort(v4.Addr().String())
		v6, err := net.Listen("tcp6", net.JoinHostPort("::1", found))
		if err == nil {
			return []net.Listener{v4, v6}, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return []net.Listener{v4}, nil // a machine without IPv6
		}
		_ = v4.Close()
		if port != "0" || tries == 0 {
			return nil, err
		}
	}
}

// Listener accepts connections that record the heads of requests, with TLS above
// them if Config is set. See [PrepareServer] and [AsSent].
type Listener struct {
	net.Listener
	// Config is that of TLS. nil: none.
	Config *tls.Config
	// Failed is called if a TLS handshake fails.
	Failed func(net.Conn, error)
}

func (l Listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	h := &headConn{Conn: c, failed: l.Failed}
	if l.Config != nil {
		h.tls = tls.Server(c, l.Config)
		h.Conn = h.tls
	}
	h.recording.Store(true)
	return h, nil
}

// headConn records the head of the newest request, since net/http does not keep
// how the client spelled the names of the headers, which an event handler gets in
// the connect event. net/http has no part in TLS, for it can only be above this.
type headConn struct {
	net.Conn
	tls    *tls.Conn // Conn, or nil
	shaken sync.Once
	failed func(net.Conn, error)
	broken bool // the handshake failed

	recording atomic.Bool
	mu        sync.Mutex
	head      []byte
}

// maxHead is how much of a head is recorded. Names beyond it have the spelling of
// net/http.
const maxHead = 64 << 10

func (c *headConn) Read(b []byte) (int, error) {
	if c.tls != nil {
		c.shaken.Do(c.handshake)
		if c.broken {
			return 0, io.EOF
		}
	}
	n, err := c.Conn.Read(b)
	if c.recording.Load() {
		c.mu.Lock()
		if room := maxHead - len(c.head); c.recording.Load() && n <= room {
			c.head = append(c.head, b[:n]...)
		} else {
			c.head = nil
			c.recording.Store(false)
		}
		c.mu.Unlock()
	}
	return n, err
}

// handshake does what net/http does with a connection that is a *tls.Conn.
func (c *headConn) handshake() {
	err := c.tls.Handshake()
	if err == nil {
		return
	}
	c.broken = true
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil {
		switch string(header.RecordHeader[:]) {
		case "GET /", "HEAD ", "POST ", "PUT /", "DELET", "OPTIO":
			_, _ = io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
			err = ErrPlainHTTP
		}
	}
	c.failed(c, err)
}

// ErrPlainHTTP is why the TLS handshake of an HTTP client fails.
var ErrPlainHTTP = errors.New("the client sent an HTTP request to an HTTPS server")

// restart begins to record the next request.
func (c *headConn) restart() { c.reset(true) }

// stop ends the recording, as what follows are no more requests.
func (c *headConn) stop() { c.reset(false) }

func (c *headConn) reset(record bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.head = nil
	c.recording.Store(record)
}

// NetConn returns the connection below, as that of [tls.Conn] does.
func (c *headConn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends the sending side if the connection has two sides.
func (c *headConn) CloseWrite() error { return closeWrite(c.Conn) }

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// spellings returns the names of the headers of a request as its client wrote
// them, by their canonical form. Of a repeated one the first counts.
func (c *headConn) spellings(r *http.Request) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := bytes.LastIndex(c.head, fmt.Appendf(nil, " %s %s\r\n", r.RequestURI, r.Proto))
	if start < 0 {
		return nil
	}
	names := make(map[string]string)
	lines := bytes.SplitSeq(c.head[start:], []byte("\r\n"))
	first := true
	for line := range lines {
		if first {
			first = false
			continue
		}
		name, _, ok := strings.Cut(string(line), ":")
		if !ok {
			break // the end
		}
		key := textproto.CanonicalMIMEHeaderKey(name)
		if _, ok := names[key]; !ok {
			names[key] = name
		}
	}
	return names
}

// knownSpellings are names that are not written as net/http does. They are for
// requests that another server has read.
var knownSpellings = func() map[string]string {
	m := make(map[string]string)
	for _, name := range []string{
		"Sec-WebSocket-Accept", "Sec-WebSocket-Extensions", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol", "Sec-WebSocket-Version",
		"DNT", "Sec-GPC", "TE", "WWW-Authenticate", "X-UA-Compatible", "X-XSS-Protection",
		"X-ARR-LOG-ID", "X-ARR-SSL", "CLIENT-IP", "DISGUISED-HOST", "X-SITE-DEPLOYMENT-ID", "WAS-DEFAULT-HOSTNAME",
		"X-Forwarded-TlsVersion", "X-AppService-Proto", "X-Azure-FDID", "X-Azure-ClientIP", "X-Azure-SocketIP",
		"X-MS-CLIENT-PRINCIPAL", "X-MS-CLIENT-PRINCIPAL-ID", "X-MS-CLIENT-PRINCIPAL-IDP", "X-MS-CLIENT-PRINCIPAL-NAME",
		"traceparent", "tracestate", "baggage", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform",
		"x-ms-client-request-id", "x-ms-request-id", "x-ms-useragent",
	} {
		m[textproto.CanonicalMIMEHeaderKey(name)] = name
	}
	return m
}()

// AsSent returns the headers of a request by the names that its client wrote.
func AsSent(r *http.Request) map[string][]string {
	names := knownSpellings
	if c, ok := r.Context().Value(headConnKey{}).(*headConn); ok {
		if sent := c.spellings(r); sent != nil {
			names = sent
		}
	}
	out := make(map[string][]string, len(r.Header)+1)
	add := func(key string, values []string) {
		name, ok := names[key]
		if !ok {
			name = key
		}
		out[name] = values
	}
	for key, values := range r.Header {
		add(key, values)
	}
	add("Host", []string{r.Host}) // net/http keeps it apart
	return out
}

type headConnKey struct{}

// PrepareServer sets what a server needs for the connections of a [Listener].
func PrepareServer(s *http.Server) {
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, headConnKey{}, c)
	}
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateIdle {
			c.(*headConn).restart()
		}
	}
}

// SetTLS sets r.TLS for a request of a [Listener], which net/http does not.
func SetTLS(r *http.Request) {
	if c, ok := r.Context().Value(headConnKey{}).(*headConn); ok && c.tls != nil && r.TLS == nil {
		state := c.tls.ConnectionState()
		r.TLS = &state
	}
}

// BodyTimeout is how long the body of a request, at most 1 MiB, may take.
const BodyTimeout = time.Minute

// BoundBody ends a request whose body comes too slowly. The deadline also applies
// to what net/http reads after a handler that has left some. It is not
// [http.Server.ReadTimeout], which would cancel a handshake whose connect event
// takes longer.
func BoundBody(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	c := http.NewResponseController(w)
	if c.SetReadDeadline(time.Now().Add(BodyTimeout)) == nil {
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
