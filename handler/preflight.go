package handler

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"example.com/webpubsub/internal/connstr"
)

const anyOrigin = "*"

// preflight answers the validation request of CloudEvents webhooks, section 4
// (Azure Web PubSub reference, Abuse protection): may the service with this
// host name send events here?
//
// The service wants 2xx and one WebHook-Allowed-Origin line that equals the
// host that it asked for; a list in one line is not understood, so each allowed
// host gets a line of its own.
func (h *Handler) preflight(r *http.Request) reply {
	requested := r.Header[headerRequestOrigin]
	if len(requested) == 0 {
		return h.refuseRequest(r, refuse(http.StatusBadRequest, "the validation request has no WebHook-Request-Origin",
			"only Web PubSub calls this URL; a browser's CORS preflight belongs to another route"))
	}
	out := reply{status: http.StatusOK}
	if h.allowAnyOrigin {
		out.add(headerAllowedOrigin, anyOrigin)
	} else {
		for host := range origins(requested) {
			if h.originAllowed(host) || (h.throughTunnel(r) && isPrintableASCII(host)) {
				out.add(headerAllowedOrigin, host)
			}
		}
		if len(out.header) == 0 {
			return h.refuseRequest(r, h.unknownOrigin(http.StatusBadRequest, requested))
		}
	}
	out.add("Allow", allowedMethods)
	out.add(headerAllowedRate, "*")
	return out
}

// verifyOrigin checks the origin of an event: one known host in the header
// suffices, since a resource with replicas or a custom domain lists them all.
func (h *Handler) verifyOrigin(r *http.Request) *refusal {
	if h.allowAnyOrigin || h.throughTunnel(r) {
		return nil
	}
	requested := r.Header[headerRequestOrigin]
	if len(requested) == 1 {
		// Normally the header is one host, spelled as it is remembered.
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

func (h *Handler) unknownOrigin(status int, requested []string) *refusal {
	if len(requested) == 0 {
		return refuse(status, "the event has no WebHook-Request-Origin", "only Web PubSub may call this URL")
	}
	return refuse(status, "WebHook-Request-Origin "+clip(strings.Join(requested, ", "))+" is not an allowed origin",
		"if the host is yours, add it to Options.AllowedOrigins; the endpoints of Options.ConnectionStrings are allowed already")
}

// originAllowed compares a requested host, which normally comes without a port,
// with the configured ones: whole, without case. A port is tolerated.
func (h *Handler) originAllowed(host string) bool {
	_, ok := h.origins[hostOnly(host)]
	// The response repeats the host, and a response header must be ASCII: "K" is
	// also the lower case of the Kelvin sign.
	return ok && isPrintableASCII(host)
}

// origins yields the hosts of a WebHook-Request-Origin header, whose lines may
// be lists separated by commas and blanks.
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

// hostOnly strips a port, and the brackets of an IPv6 address, and lowers the
// case. Of anything else nothing is stripped: a host that is followed by more
// is another host.
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

// configuredHost returns the host of a configured origin, which may be a host
// name, with a port, or a URL.
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
		return "", fmt.Errorf("the host of %q is not ASCII: write it as DNS does, with xn--", origin)
	}
	return strings.ToLower(u.Hostname()), nil
}
