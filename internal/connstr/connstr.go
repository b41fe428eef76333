// Package connstr reads and writes Web PubSub connection strings.
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

// String writes the connection string in the form that the portal shows.
func (c ConnectionString) String() string {
	return "Endpoint=" + c.Endpoint + ";AccessKey=" + c.AccessKey + ";Version=1.0;"
}

// Parse reads a connection string. Key names are compared without case, blanks
// around parts are ignored, unknown keys are ignored, Port replaces a port of
// the endpoint, and a missing scheme means https, as one or another official
// SDK has it. A key given twice and a part without "=" are errors, since either
// is a slip. An error never shows a value.
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
			// The part may be a key whose name was lost, so it is not shown.
			return ConnectionString{}, errors.New("connection string: a part has no '=': write Endpoint=…;AccessKey=…;Version=1.0;")
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if seen[name] {
			return ConnectionString{}, fmt.Errorf("connection string: %q is given twice", name)
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

// Endpoint brings a service endpoint into its one form: https where no scheme
// is given, port replaced where one is given, no trailing slash.
func Endpoint(endpoint, port string) (string, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
		// What was given is not shown: it may hold a password.
		return "", errors.New("endpoint: not an http or https URL")
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("endpoint: only scheme, host, port and path are allowed")
	}
	if port != "" {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return "", errors.New("port: not a number from 1 to 65535")
		}
		u.Host = net.JoinHostPort(u.Hostname(), port)
	}
	return strings.TrimRight(u.String(), "/"), nil
}
