package upstream

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// tunnelScheme is the scheme of an event handler that is reached through a tunnel
// which it has opened to the service.
const tunnelScheme = "tunnel"

// resolve fills a URL template. The values are escaped, so that they cannot
// change the host or add a path segment or a query parameter.
func resolve(template, hub, event string) (*url.URL, error) {
	scheme, rest, ok := strings.Cut(template, "://")
	scheme = strings.ToLower(scheme)
	switch {
	case template == "":
		return nil, errors.New("the event handler URL is empty")
	case strings.Contains(template, "{@Microsoft.KeyVault"):
		return nil, errors.New("the event handler URL has a Key Vault reference, which only the cloud service can read: put the value in its place")
	case !ok || scheme != "http" && scheme != "https" && scheme != tunnelScheme:
		return nil, errors.New("the event handler URL must begin with http://, https:// or tunnel:///")
	case scheme == tunnelScheme && (rest == "" || rest[0] != '/'):
		return nil, errors.New("the event handler URL of a tunnel has no host: write tunnel:///path")
	}
	host := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host = rest[:i]
	}
	switch {
	case strings.ContainsAny(host, "{}"):
		return nil, errors.New("the event handler URL has a parameter in the host: {hub} and {event} are allowed in the path and the query only")
	case strings.Contains(host, "@"):
		return nil, errors.New("the event handler URL has a user name: the service sends none; use a key in the query or managed identity")
	case strings.Contains(rest, "#"):
		return nil, errors.New("the event handler URL has a fragment, which is never sent: remove # and what follows, or write %23")
	}
	path, query, hasQuery := strings.Cut(rest[len(host):], "?")
	path, err := fill(path, hub, event, url.PathEscape)
	if err != nil {
		return nil, err
	}
	if query, err = fill(query, hub, event, url.QueryEscape); err != nil {
		return nil, err
	}
	full := scheme + "://" + host + path
	if hasQuery {
		full += "?" + query
	}
	u, err := url.Parse(full)
	if err != nil {
		// The error of the url package shows the whole URL, keys included.
		var inner *url.Error
		if errors.As(err, &inner) {
			err = inner.Err
		}
		return nil, fmt.Errorf("the event handler URL cannot be parsed: %w", err)
	}
	if u.Hostname() == "" && scheme != tunnelScheme {
		return nil, errors.New("the event handler URL has no host")
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		// Proxies and routers remove these, which results in another path.
		if segment == "." || segment == ".." {
			return nil, errors.New("the event handler URL has a . or .. as path segment: give the final path")
		}
	}
	return u, nil
}

// fill replaces the parameters in one part of a template.
func fill(part, hub, event string, escape func(string) string) (string, error) {
	var b strings.Builder
	for {
		i := strings.IndexAny(part, "{}")
		if i < 0 {
			b.WriteString(part)
			return b.String(), nil
		}
		if j := strings.LastIndexByte(part[:i], '%'); j >= 0 && i-j < 3 {
			// The value would become a part of the escape: %2{event} with an event F is
			// a slash.
			return "", errors.New("the event handler URL has an incomplete percent escape before a parameter: write %25 for a percent sign")
		}
		b.WriteString(part[:i])
		part = part[i:]
		switch {
		case strings.HasPrefix(part, "{hub}"):
			b.WriteString(escape(hub))
			part = part[len("{hub}"):]
		case strings.HasPrefix(part, "{event}"):
			b.WriteString(escape(event))
			part = part[len("{event}"):]
		default:
			return "", errors.New("the event handler URL has an unknown parameter: there are {hub} and {event}; a literal brace is written %7B or %7D")
		}
	}
}

// redactedURL returns the URL for logs and errors, without the query, which can
// contain a function key.
func redactedURL(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }
