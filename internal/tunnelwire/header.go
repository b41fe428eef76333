package tunnelwire

import (
	"net/http"
	"net/textproto"
	"strings"
)

// hopByHop are the headers of a connection rather than of a message (RFC 9110,
// section 7.6.1), and those that describe how a body is framed: in a tunnel it
// is part of the frame.
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Content-Length",
}

// EndToEnd returns the header without what belongs to one connection.
func EndToEnd(h http.Header) http.Header {
	out := make(http.Header, len(h))
	drop := make(map[string]bool, len(hopByHop))
	for _, name := range hopByHop {
		drop[name] = true
	}
	for name, values := range h {
		if textproto.CanonicalMIMEHeaderKey(name) == "Connection" {
			for _, value := range values {
				for name := range strings.SplitSeq(value, ",") {
					drop[textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name))] = true
				}
			}
		}
	}
	for name, values := range h {
		if !drop[textproto.CanonicalMIMEHeaderKey(name)] {
			out[name] = values
		}
	}
	return out
}
