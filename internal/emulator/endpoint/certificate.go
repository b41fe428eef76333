package endpoint

import (
	"bytes"
	"crypto/sha1"
	"crypto/tls"
	"encoding/pem"
	"fmt"

	"example.com/webpubsub/internal/upstream"
)

// clientCertificates returns the certificate of a TLS client for the connect event:
// none if it sent none, which does not reject it (Microsoft Learn, Turn on
// client certificate authentication). What a client sends above its own certificate
// is left out: whether the service passes it on is not documented.
//
// The thumbprint is the SHA-1 digest, as documented there. That its hexadecimal
// digits are in upper case is not documented; it is how .NET, which the service is
// written in, formats the thumbprint of an X509Certificate2.
func clientCertificates(c *tls.ConnectionState) []upstream.Certificate {
	if c == nil || len(c.PeerCertificates) == 0 {
		return nil
	}
	der := c.PeerCertificates[0].Raw
	content := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return []upstream.Certificate{{
		Thumbprint: fmt.Sprintf("%X", sha1.Sum(der)),
		Content:    string(bytes.ReplaceAll(content, []byte("\n"), []byte("\r\n"))), // as in the reference of events
	}}
}
