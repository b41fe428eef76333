// Package connstr parses and formats Web PubSub connection strings.
//
//	cs, err := connstr.Parse("Endpoint=http://localhost:8080;AccessKey=secret;Version=1.0;")
//	// cs.Endpoint == "http://localhost:8080", cs.AccessKey == "secret"
package connstr

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// ConnectionString is a parsed connection string.
type ConnectionString struct {
	// Endpoint is scheme, host, port and path, without a trailing slash.
	Endpoint string
	// AccessKey signs tokens. Its UTF-8 bytes are the key; it is not base64.
	AccessKey string
}

// String returns the connection string in the form that the portal displays.
func (c ConnectionString) String() string {
	return "Endpoint=" + c.Endpoint + ";AccessKey=" + c.AccessKey + ";Version=1.0;"
}

// Parse parses a connection string. Names are case-insensitive, white space around
// parts and unknown names are ignored, Port replaces the port of the endpoint, and
// a missing scheme means https, each as in at least one official SDK. A name that
// occurs twice and a part without "=" are errors, since either is a mistake.
// Errors never contain a value.
func Parse(s string) (ConnectionString, error) {
	var endpoint, port string
	var c ConnectionString
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(s, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			// The part may be an access key without its name, so it is not shown.
			return ConnectionString{}, errors.New("connection string: a part has no '=': write Endpoint=…;AccessKey=…;Version=1.0;")
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if seen[name] {
			return ConnectionString{}, fmt.Errorf("connection string: %q occurs twice", name)
		}
		seen[name] = true
		switch name {
		case "endpoint":
			endpoint = value
		case "accesskey":
			c.AccessKey = value
		case "port":
			port = value
		}
	}
	if endpoint == "" {
		return ConnectionString{}, errors.New("connection string: Endpoint is missing")
	}
	if c.AccessKey == "" {
		return ConnectionString{}, errors.New("connection string: AccessKey is missing; for a managed identity give the endpoint alone")
	}
	var err error
	if c.Endpoint, err = Endpoint(endpoint, port); err != nil {
		return ConnectionString{}, fmt.Errorf("connection string: %w", err)
	}
	return c, nil
}

// Endpoint returns a service endpoint in canonical form: with a scheme, https if
// none is given, without a trailing slash, and with the port if one is given.
func Endpoint(endpoint, port string) (string, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
		// The value is not shown: it may contain a password.
		return "", errors.New("endpoint: not an http or https URL")
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return "", errors.New("endpoint: only scheme, host, port and path are allowed")
	}
	if port == "" {
		port = u.Port()
	}
	if port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return "", errors.New("port: not a number from 1 to 65535")
		}
		u.Host = net.JoinHostPort(u.Hostname(), strconv.FormatUint(n, 10))
	}
	u.Host = strings.TrimSuffix(u.Host, ":") // a colon without a port
	return strings.TrimRight(u.String(), "/"), nil
}
