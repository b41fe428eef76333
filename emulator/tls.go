package emulator

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"time"

	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/memnet"
	"example.com/webpubsub/internal/emulator/transport"
)

// authority is a certificate authority that lives as long as the emulator and
// is kept in memory: what trusts it need not trust it for longer.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
	leaf *ecdsa.PrivateKey // of every certificate that is issued
}

// certificateLife is what strict clients still accept.
const certificateLife = 365 * 24 * time.Hour

func newAuthority() (*authority, error) {
	a := &authority{pool: x509.NewCertPool()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if a.leaf, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	t := template("Web PubSub emulator CA")
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	t.MaxPathLenZero = true
	der, err := x509.CreateCertificate(rand.Reader, t, t, a.key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	a.pool.AddCert(a.cert)
	return a, nil
}

func template(name string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // crypto/rand does not fail
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour), // clocks of containers differ
		NotAfter:     time.Now().Add(certificateLife),
	}
}

// issue makes a certificate for the name that the client asks for, so that one
// works whatever the emulator is called: a container's name, an entry in
// /etc/hosts. The loopback names are always in it.
func (a *authority) issue(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	t := template("localhost")
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	t.DNSNames = []string{"localhost"}
	t.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	if hello.ServerName != "" && hello.ServerName != "localhost" {
		t.DNSNames = append(t.DNSNames, hello.ServerName)
	}
	// A client that uses an address sends no name.
	if tcp, ok := hello.Conn.LocalAddr().(*net.TCPAddr); ok {
		t.IPAddresses = append(t.IPAddresses, tcp.IP)
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, a.leaf.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.leaf}, nil
}

// config supports HTTP/1.1 only, which a WebSocket requires.
func (a *authority) config(clientCertificates bool) *tls.Config {
	c := &tls.Config{
		GetCertificate: a.issue,
		NextProtos:     []string{"http/1.1"},
		MinVersion:     tls.VersionTLS12,
	}
	if clientCertificates {
		// Whether the service verifies an issuer is not documented. Its example uses a
		// certificate that signs itself, so it cannot reject one of an unknown issuer.
		c.ClientAuth = tls.RequestClientCert
	}
	return c
}

// CertPool returns the emulator's certificate authority, which a Go client has to trust
// if [Options].TLS is set:
//
//	websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: srv.CertPool()}}
//
// It is nil if TLS is off, which means the pool of the system.
func (s *Server) CertPool() *x509.CertPool {
	if s.authority == nil {
		return nil
	}
	return s.authority.pool.Clone()
}

// CertificatePEM returns the certificate authority that clients have to trust if
// [Options].TLS is set, or nil if it is not. The variables NODE_EXTRA_CA_CERTS,
// SSL_CERT_FILE and REQUESTS_CA_BUNDLE take the path of a file with it. Each emulator
// generates a new one.
func (s *Server) CertificatePEM() []byte {
	if s.authority == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.authority.cert.Raw})
}

// Client returns an HTTP client that trusts the emulator's certificate, for
// example as the Transport of the Azure SDK's client options. Its idle
// connections are closed with the emulator.
func (s *Server) Client() *http.Client { return s.client }

func newHTTPClient(a *authority) *http.Client {
	// Not a clone of http.DefaultTransport, which a test may have replaced by a
	// RoundTripper of another type. There is no proxy: the emulator is on this machine.
	t := &http.Transport{
		MaxIdleConns:        100,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 10 * time.Second,
	}
	if a != nil {
		t.TLSClientConfig = &tls.Config{RootCAs: a.pool, MinVersion: tls.VersionTLS12}
	}
	return &http.Client{Transport: t}
}

// handshakeFailed journals a TLS handshake that failed.
func (s *Server) handshakeFailed(c net.Conn, err error) {
	remedy := "have the client trust the emulator's certificate" // some clients send an alert, others only close
	if errors.Is(err, transport.ErrPlainHTTP) {
		remedy = "use the endpoint " + s.url
	}
	s.rejectedConnection(fmt.Sprintf("TLS handshake error from %v: %v: %s", c.RemoteAddr(), err, remedy))
}

// httpLog brings the complaints of net/http, which are about connections that
// never became a request, into the journal.
func (s *Server) httpLog() *log.Logger {
	return log.New(logWriter(func(line string) { s.rejectedConnection(strings.TrimSpace(line)) }), "", 0)
}

func (s *Server) rejectedConnection(reason string) {
	if !s.tasks.Enter() {
		return
	}
	defer s.tasks.Leave()
	s.journal.Add(journal.Entry{Kind: journal.Rejected, Name: "connection", Reason: reason})
}

type logWriter func(string)

func (w logWriter) Write(b []byte) (int, error) {
	w(string(b))
	return len(b), nil
}

// isLoopback reports whether an address cannot be reached from other machines.
func isLoopback(addr net.Addr) bool {
	if n := addr.Network(); n == memnet.Network || n == "unix" {
		return true
	}
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// loopback returns an error if an address can be reached from other machines.
func loopback(addr net.Addr) error {
	if isLoopback(addr) {
		return nil
	}
	return fmt.Errorf("emulator: AllowUnverifiedEntra accepts a token that anyone can write, so it works on the loopback interface only, and %s can be reached from elsewhere: set Addr to localhost or 127.0.0.1", addr)
}

// prepareTLS makes what TLS needs, if it is on, and rejects addresses that other
// machines can reach if any token is accepted.
func (s *Server) prepareTLS(listeners []net.Listener) (err error) {
	if s.opts.AllowUnverifiedEntra {
		for _, l := range listeners {
			if err := loopback(l.Addr()); err != nil {
				return err
			}
		}
	}
	if !s.opts.TLS {
		if s.opts.RequestClientCertificates {
			return errors.New("emulator: RequestClientCertificates is about certificates of TLS clients: set TLS too")
		}
		return nil
	}
	if s.authority, err = newAuthority(); err != nil {
		return fmt.Errorf("emulator: create a certificate: %w", err)
	}
	return nil
}
