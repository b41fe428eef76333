// Package rest implements the REST API of the service: its operations, with their
// authorization, validation and errors. An operation checks everything before it
// calls the broker, so that nothing of a rejected request takes effect.
package rest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.com/webpubsub/internal/emulator/access"
	"example.com/webpubsub/internal/emulator/broker"
	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/query"
)

// apiVersions are the versions of the REST API that the service accepts. A
// request without one gets the newest.
var apiVersions = []string{"2021-10-01", "2022-11-01", "2023-07-01", "2024-01-01", "2024-12-01"}

// operation is one row of the REST API.
type operation struct {
	method  string
	pattern string // below /api/hubs/{hub}/; {} and {group} match any name
	serve   func(*call) error
	ok      int // status of success
}

var operations = []operation{
	{"POST", ":addToGroups", (*call).addToGroups, 200},
	{"POST", ":removeFromGroups", (*call).removeFromGroups, 200},
	{"POST", ":closeConnections", (*call).closeHub, 204},
	{"POST", ":generateToken", (*call).generateToken, 200},
	{"POST", ":send", (*call).sendToAll, 202},
	{"HEAD", "connections/{}", (*call).connectionExists, 200},
	{"DELETE", "connections/{}", (*call).closeConnection, 204},
	{"POST", "connections/{}/:send", (*call).sendToConnection, 202},
	{"DELETE", "connections/{}/groups", (*call).removeConnectionFromAllGroups, 204},
	{"HEAD", "groups/{group}", (*call).groupExists, 200},
	{"POST", "groups/{group}/:closeConnections", (*call).closeGroup, 204},
	{"POST", "groups/{group}/:send", (*call).sendToGroup, 202},
	{"GET", "groups/{group}/connections", (*call).listConnections, 200},
	{"PUT", "groups/{group}/connections/{}", (*call).addConnectionToGroup, 200},
	{"DELETE", "groups/{group}/connections/{}", (*call).removeConnectionFromGroup, 204},
	{"HEAD", "permissions/{}/connections/{}", (*call).checkPermission, 200},
	{"PUT", "permissions/{}/connections/{}", (*call).grantPermission, 200},
	{"DELETE", "permissions/{}/connections/{}", (*call).revokePermission, 204},
	{"HEAD", "users/{}", (*call).userExists, 200},
	{"POST", "users/{}/:closeConnections", (*call).closeUser, 204},
	{"POST", "users/{}/:send", (*call).sendToUser, 202},
	{"DELETE", "users/{}/groups", (*call).removeUserFromAllGroups, 204},
	{"PUT", "users/{}/groups/{group}", (*call).addUserToGroup, 200},
	{"DELETE", "users/{}/groups/{group}", (*call).removeUserFromGroup, 204},
}

// API serves the REST API.
type API struct {
	Broker  *broker.Broker
	Journal *journal.Journal
	Access  *access.Policy
	// KeyID is that of the client tokens that are issued.
	KeyID string
}

// call is one request of the REST API.
type call struct {
	api     *API
	hub     *broker.Hub
	hubName string // as the caller spells it
	w       http.ResponseWriter
	r       *http.Request
	query   query.Values
	args    []string // what stood for {} and {group} in the pattern
	body    any      // JSON response, if any
	chunked bool     // the response has no Content-Length
	by      *journal.Cause
}

// ServeHTTP serves the paths below /api/.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/health" {
		if r.Method != http.MethodHead && r.Method != http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
		return
	}
	start := time.Now()
	c := &call{api: a, w: w, r: r, by: a.Journal.Begin(journal.CauseREST)}
	recorded := c.record()
	op, err := c.route()
	if err == nil {
		if err = op.serve(c); err == nil {
			c.answer(op.ok)
		}
	}
	status, reason := op.ok, ""
	if err != nil {
		e := asAPIError(err)
		e.write(c.w, r)
		status, reason = e.status, e.why()
	}
	entry := journal.Entry{Kind: journal.REST, Name: r.Method + " " + r.URL.Path, Status: status, Duration: time.Since(start), Reason: reason, Cause: c.by}
	if c.hub != nil {
		entry.Hub = c.hub.Name
	}
	if err != nil && (status != http.StatusNotFound || op.serve == nil) {
		entry.Kind = journal.Rejected
	}
	recorded(entry.Duration)
	a.Journal.Add(entry)
}

// route finds the operation and checks what every call must get right: the
// access token first, then the address and the version. Microsoft's emulator
// rejects an unknown address before it looks at the token; here, a caller without
// one learns nothing, as in the recorded order of a send.
func (c *call) route() (operation, error) {
	segments := splitPath(c.r.URL.EscapedPath())
	// As in ASP.NET Core, the fixed parts have no case, and a slash may follow.
	if n := len(segments) - 1; n > 0 && segments[n] == "" {
		segments = segments[:n]
	}
	if len(segments) < 4 || !strings.EqualFold(segments[1], "hubs") {
		return operation{}, noOperation()
	}
	if e := c.api.Access.REST(c.r); e != nil {
		return operation{}, unauthorized(e)
	}
	c.query = query.Parse(c.r.URL.RawQuery)
	switch v := c.query.All("api-version"); {
	case v != nil && (len(v) != 1 || !slices.Contains(apiVersions, v[0])):
		return operation{}, badRequest("api-version", "The api-version is not supported. The supported ones are "+strings.Join(apiVersions, ", ")+".")
	}
	// The service also sends Strict-Transport-Security. A browser would keep that
	// for localhost, and for every other program there.
	c.w.Header().Set("Api-Supported-Versions", strings.Join(apiVersions, ", "))
	if err := names.Hub(segments[2]); err != nil {
		return operation{}, invalid("hub", err.Error())
	}
	c.hub, c.hubName = c.api.Broker.Hub(segments[2]), segments[2]
	rest := segments[3:]
	var allowed []string
	for _, op := range operations {
		args, ok := matchPath(op.pattern, rest)
		if !ok {
			continue
		}
		if op.method == c.r.Method {
			c.args = args
			return op, checkGroups(op.pattern, rest)
		}
		allowed = append(allowed, op.method)
	}
	if allowed != nil {
		c.w.Header().Set("Allow", strings.Join(allowed, ", "))
		return operation{}, &apiError{status: http.StatusMethodNotAllowed, code: "Error.BadRequest", message: "The operation takes " + strings.Join(allowed, ", ") + "."}
	}
	return operation{}, noOperation()
}

// noOperation has no body, as no part of the service has taken the request.
func noOperation() error {
	return &apiError{status: http.StatusNotFound, hidden: "there is no such operation: compare the path with the REST reference of the data plane; it begins with /api/hubs/{hub}/"}
}

// splitPath splits a path and decodes the segments. [http.ServeMux] does not fit:
// it redirects paths with an empty segment, . or .., and decodes %2F, and answers
// 405 before the caller is authorized.
//
// As in the service, an encoded
// slash stays the three characters %2F: it is the documented limit of names
// that contain a slash.
func splitPath(escaped string) []string {
	segments := strings.Split(strings.TrimPrefix(escaped, "/"), "/")
	for i, s := range segments {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "%2F", "%252F"), "%2f", "%252f")
		if u, err := url.PathUnescape(s); err == nil {
			segments[i] = u
		}
	}
	return segments
}

// checkGroups checks the groups of a path that matches the pattern.
func checkGroups(pattern string, segments []string) error {
	for i, part := range strings.Split(pattern, "/") {
		if part == "{group}" {
			if err := names.Group(segments[i]); err != nil {
				return invalid("group", err.Error())
			}
		}
	}
	return nil
}

// matchPath compares a path with a pattern and returns the names.
func matchPath(pattern string, segments []string) (args []string, ok bool) {
	n := 0
	for part := range strings.SplitSeq(pattern, "/") {
		if n == len(segments) {
			return nil, false
		}
		switch {
		case part[0] == '{' && segments[n] != "":
			args = append(args, segments[n])
		case part[0] == '{' || !strings.EqualFold(part, segments[n]):
			return nil, false
		}
		n++
	}
	return args, n == len(segments)
}

// answer writes a successful response.
func (c *call) answer(status int) {
	if c.body == nil {
		c.w.WriteHeader(status)
		return
	}
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(encodeJSON(c.body))
	if c.chunked {
		_ = http.NewResponseController(c.w).Flush() // before the length is known
	}
}

// single returns a query parameter that may be given once.
func (c *call) single(name string) (value string, given bool, err error) {
	v := c.query.All(name)
	if len(v) > 1 {
		return "", true, repeated(name)
	}
	return c.query.Get(name), v != nil, nil
}

func repeated(name string) error {
	return invalid(name, fmt.Sprintf("The parameter '%s' is given more than once.", name))
}
