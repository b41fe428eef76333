package handler

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"example.com/webpubsub/internal/connstr"
)

const anyOrigin = "*"

// maxOrigins is the maximum number of hosts that a preflight request can ask for. A
// resource has a few: its own, those of replicas and custom domains.
const maxOrigins = 64

// preflight responds to an abuse protection request (CloudEvents webhooks, section
// 4; Azure Web PubSub reference, Abuse protection): can the service with this host
// name send events?
//
// The service requires a 2xx status and a WebHook-Allowed-Origin header that equals
// the host that it asked for. It does not parse a list, so each allowed host is sent
// in a separate header line.
func (h *Handler) preflight(r *http.Request) response {
	requested := r.Header[headerRequestOrigin]
	if len(requested) == 0 {
		return h.rejectRequest(r, reject(http.StatusBadRequest, "the validation request has no WebHook-Request-Origin",
			"only Web PubSub calls this URL; use another route for CORS preflight requests of browsers"))
	}
	out := response{status: http.StatusOK}
	if h.allowAnyOrigin {
		out.add(headerAllowedOrigin, anyOrigin)
	} else {
		n := 0
		for host := range origins(requested) {
			if h.originAllowed(host) || h.throughTunnel(r) && isPrintableASCII(host) {
				out.add(headerAllowedOrigin, host)
			}
			if n++; n == maxOrigins {
				break
			}
		}
		if len(out.header) == 0 {
			return h.rejectRequest(r, h.unknownOrigin(http.StatusBadRequest, requested))
		}
	}
	out.add("Allow", allowedMethods)
	out.add(headerAllowedRate, "*")
	return out
}

// verifyOrigin checks the origin of an event. One allowed host in the header is
// sufficient: a resource with replicas or a custom domain lists all its hosts.
func (h *Handler) verifyOrigin(r *http.Request) *rejection {
	if h.allowAnyOrigin || h.throughTunnel(r) {
		return nil
	}
	requested := r.Header[headerRequestOrigin]
	if len(requested) == 1 {
		// Usually the header is one host in lower case.
		if _, ok := h.origins[requested[0]]; ok {
			return nil
		}
	}
	for host := range origins(requested) {
		if h.originAllowed(host) {
			return nil
		}
	}
	return h.unknownOrigin(http.StatusUnauthorized, requested)
}

func (h *Handler) unknownOrigin(status int, requested []string) *rejection {
	if len(requested) == 0 {
		return reject(status, "the event has no WebHook-Request-Origin", "only Web PubSub may call this URL")
	}
	return reject(status, "WebHook-Request-Origin "+truncate(strings.Join(requested, ", "))+" is not an allowed origin",
		"if this is the host of your resource, add it to Options.AllowedOrigins; the endpoints of Options.ConnectionStrings are allowed already")
}

// originAllowed compares a requested host with the configured ones: whole hosts,
// without case. The service sends no port; a port is ignored.
func (h *Handler) originAllowed(host string) bool {
	_, ok := h.origins[hostOnly(host)]
	// The response repeats the host, and a response header must be ASCII. "k" is
	// also the lower case of the Kelvin sign.
	return ok && isPrintableASCII(host)
}

// origins yields the hosts in the lines of a WebHook-Request-Origin header. Each
// line can be a list separated by commas and blanks.
func origins(lines []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for line != "" {
				host := line
				if i := strings.IndexAny(line, ", \t"); i >= 0 {
					host, line = line[:i], line[i+1:]
				} else {
					line = ""
				}
				if host != "" && !yield(host) {
					return
				}
			}
		}
	}
}

// hostOnly removes a port and the brackets of an IPv6 address, and converts to
// lower case. It removes nothing else: a host followed by anything else is another
// host.
func hostOnly(host string) string {
	name, port := host, ""
	if strings.HasPrefix(host, "[") {
		if i := strings.IndexByte(host, ']'); i > 0 && strings.Contains(host[:i], ":") {
			name, port = host[1:i], host[i+1:]
		}
	} else if i := strings.IndexByte(host, ':'); i >= 0 && i == strings.LastIndexByte(host, ':') {
		name, port = host[:i], host[i:]
	}
	if port != "" && (port[0] != ':' || strings.Trim(port[1:], "0123456789") != "") {
		name = host
	}
	return strings.ToLower(name)
}

// configuredHost returns the host of a configured origin, which can be a host name,
// a host name with a port, or a URL.
func configuredHost(origin string) (string, error) {
	endpoint, err := connstr.Endpoint(strings.TrimSpace(origin), "")
	if err != nil {
		return "", err
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	if !isPrintableASCII(u.Hostname()) {
		return "", fmt.Errorf("the host of %q is not ASCII: use its punycode form (xn--)", origin)
	}
	return strings.ToLower(u.Hostname()), nil
}
