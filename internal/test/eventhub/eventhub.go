// Package eventhub is a peer for senders of events to Azure Event Hubs, for tests. It
// speaks the part of AMQP 1.0 that a sender uses, written from the OASIS standard: SASL
// ANONYMOUS, a token for $cbs, links to event hubs, and batches in the format of Event
// Hubs. It has no partitions, no readers and no limits but the size of a message.
package eventhub

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
)

const (
	keyName = "test"
	key     = "test-key"
	// maxMessage is the largest message in bytes.
	maxMessage = 1 << 20
	// batchFormat is the message format of a batch, of which each data section is a
	// message.
	batchFormat = 0x80013700
)

// Event is an event as a reader of the event hub gets it.
type Event struct {
	EventHub, MessageID, ContentType, PartitionKey string

	Properties map[string]any
	Body       []byte
}

// Server is the peer.
type Server struct {
	addr   string
	events chan Event
	wg     sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	tokens []string
	refuse []string // conditions of the next batches
	closed bool
}

// Start starts a peer on a free port, with TLS if config is not nil. It is stopped
// after the test.
func Start(tb testing.TB, config *tls.Config) *Server {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{addr: l.Addr().String(), events: make(chan Event, 100_000), conns: make(map[net.Conn]bool)}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.serve(c) })
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.Disconnect()
		s.wg.Wait()
	})
	return s
}

func (s *Server) serve(c net.Conn) {
	s.mu.Lock()
	s.conns[c] = true
	if s.closed {
		_ = c.Close()
	}
	s.mu.Unlock()
	// A sender that breaks a rule gets no answer; the test then misses events.
	_ = (&conn{s: s, Conn: c, r: bufio.NewReader(c), links: make(map[uint32]*link)}).serve()
	_ = c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Addr returns host and port.
func (s *Server) Addr() string { return s.addr }

// ConnectionString returns that of an emulator of Event Hubs, without TLS.
func (s *Server) ConnectionString() string { return s.connectionString(key) }

// WrongConnectionString returns one with another key, which is not authorized.
func (s *Server) WrongConnectionString() string { return s.connectionString("wrong") }

func (s *Server) connectionString(key string) string {
	return fmt.Sprintf("Endpoint=sb://%s;SharedAccessKeyName=%s;SharedAccessKey=%s;UseDevelopmentEmulator=true;", s.addr, keyName, key)
}

// Events returns the events as they arrive.
func (s *Server) Events() <-chan Event { return s.events }

// Tokens returns the tokens that were given to $cbs.
func (s *Server) Tokens() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.tokens...)
}

// Refuse rejects the next batches with these error conditions.
func (s *Server) Refuse(conditions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = append(s.refuse, conditions...)
}

// Disconnect closes all connections.
func (s *Server) Disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close()
	}
}

// sections are the sections of a message.
type sections struct {
	annotations, application map[any]any

	properties described
	data       [][]byte
	value      any
}

func parse(b []byte) (s sections, err error) {
	for r := (&reader{b}); len(r.b) > 0; {
		v, err := r.value()
		if err != nil {
			return s, err
		}
		d, _ := v.(described)
		switch d.code {
		case codeAnnotations:
			s.annotations, _ = d.value.(map[any]any)
		case codeProperties:
			s.properties = d
		case codeApplicationProperties:
			s.application, _ = d.value.(map[any]any)
		case codeData:
			data, _ := d.value.([]byte)
			s.data = append(s.data, data)
		case codeValue:
			s.value = d.value
		}
	}
	return s, nil
}

// authorize accepts a token of Entra unseen, and verifies a shared access signature
// (Microsoft Learn, "Authorizing access to Event Hubs resources using Shared Access
// Signatures").
func (s *Server) authorize(m sections) bool {
	token, _ := m.value.(string)
	s.mu.Lock()
	s.tokens = append(s.tokens, token)
	s.mu.Unlock()
	if m.application["operation"] != "put-token" {
		return false
	}
	if m.application["type"] == "jwt" {
		return token != ""
	}
	signed, ok := strings.CutPrefix(token, "SharedAccessSignature ")
	q, err := url.ParseQuery(signed)
	if !ok || err != nil || q.Get("skn") != keyName {
		return false
	}
	_, resource, _ := strings.Cut(signed, "sr=")
	resource, _, _ = strings.Cut(resource, "&")
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(resource + "\n" + q.Get("se")))
	return q.Get("sig") == base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// received takes a message for an event hub, and returns the error condition with
// which it is rejected, if any.
func (s *Server) received(l *link, m sections) (condition string) {
	s.mu.Lock()
	if len(s.refuse) > 0 {
		condition = s.refuse[0]
		s.refuse = s.refuse[1:]
	}
	s.mu.Unlock()
	if condition != "" {
		return condition
	}
	all := []sections{m}
	if l.format == batchFormat {
		all = nil
		for _, data := range m.data {
			one, err := parse(data)
			if err != nil {
				return "amqp:decode-error"
			}
			all = append(all, one)
		}
	}
	for _, one := range all {
		e := Event{EventHub: l.entity, Properties: make(map[string]any)}
		e.MessageID, _ = field(one.properties, 0).(string)
		contentType, _ := field(one.properties, 6).(symbol)
		e.ContentType = string(contentType)
		// The key of the batch decides where its events go.
		e.PartitionKey, _ = m.annotations[symbol("x-opt-partition-key")].(string)
		for k, v := range one.application {
			name, _ := k.(string)
			e.Properties[name] = v
		}
		for _, d := range one.data {
			e.Body = append(e.Body, d...)
		}
		s.events <- e
	}
	return ""
}
