package emulator

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/token"
)

// apiVersions are the versions of the REST API that the service accepts. A
// request without one gets the newest.
var apiVersions = []string{"2021-10-01", "2022-11-01", "2023-07-01", "2024-01-01", "2024-12-01"}

// operation is one row of the REST API.
type operation struct {
	method  string
	pattern string // below /api/hubs/{hub}/
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
	{"HEAD", "groups/{}", (*call).groupExists, 200},
	{"POST", "groups/{}/:closeConnections", (*call).closeGroup, 204},
	{"POST", "groups/{}/:send", (*call).sendToGroup, 202},
	{"GET", "groups/{}/connections", (*call).listConnections, 200},
	{"PUT", "groups/{}/connections/{}", (*call).addConnectionToGroup, 200},
	{"DELETE", "groups/{}/connections/{}", (*call).removeConnectionFromGroup, 204},
	{"HEAD", "permissions/{}/connections/{}", (*call).checkPermission, 200},
	{"PUT", "permissions/{}/connections/{}", (*call).grantPermission, 200},
	{"DELETE", "permissions/{}/connections/{}", (*call).revokePermission, 204},
	{"HEAD", "users/{}", (*call).userExists, 200},
	{"POST", "users/{}/:closeConnections", (*call).closeUser, 204},
	{"POST", "users/{}/:send", (*call).sendToUser, 202},
	{"DELETE", "users/{}/groups", (*call).removeUserFromAllGroups, 204},
	{"PUT", "users/{}/groups/{}", (*call).addUserToGroup, 200},
	{"DELETE", "users/{}/groups/{}", (*call).removeUserFromGroup, 204},
}

// call is one request of the REST API.
type call struct {
	srv   *Server
	hub   *hub
	w     http.ResponseWriter
	r     *http.Request
	query url.Values
	args  []string // what stood for {} in the pattern
	body  any      // JSON answer, if any
	note  string   // for the journal
}

func (s *Server) serveREST(w http.ResponseWriter, r *http.Request) {
	if !s.guard(w) {
		return
	}
	defer s.leave()
	if r.URL.Path == "/api/health" {
		if r.Method != http.MethodHead && r.Method != http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
		return
	}
	start := time.Now()
	c := &call{srv: s, w: w, r: r}
	op, err := c.route()
	if err == nil {
		if err = op.serve(c); err == nil {
			c.answer(op.ok)
		}
	}
	status := op.ok
	reason := c.note
	if err != nil {
		e := asAPIError(err)
		e.write(w, r)
		status, reason = e.status, e.why()
	}
	entry := Entry{Kind: KindREST, Name: r.Method + " " + r.URL.Path, Status: status, Took: time.Since(start), Reason: reason}
	if c.hub != nil {
		entry.Hub = c.hub.name
	}
	if err != nil && status != http.StatusNotFound {
		entry.Kind = KindRefused
	}
	s.journal.add(entry)
}

// route finds the operation and checks what every call must get right: the
// access token first, then the address and the version.
func (c *call) route() (operation, error) {
	segments := splitPath(c.r.URL.EscapedPath())
	if len(segments) < 4 || segments[1] != "hubs" {
		return operation{}, notFound("", "", "There is no such operation. The REST API is below /api/hubs/{hub}/.")
	}
	if err := c.authorize(); err != nil {
		return operation{}, err
	}
	c.query = c.r.URL.Query()
	switch v, given := c.query["api-version"]; {
	case given && len(v) != 1, given && !slices.Contains(apiVersions, v[0]):
		return operation{}, badRequest("api-version", "The api-version is not supported. The supported ones are "+strings.Join(apiVersions, ", ")+".")
	}
	c.w.Header().Set("Api-Supported-Versions", strings.Join(apiVersions, ", "))
	if err := names.Hub(segments[2]); err != nil {
		return operation{}, invalid("hub", err.Error())
	}
	c.hub = c.srv.hub(segments[2])
	rest := segments[3:]
	var allowed []string
	for _, op := range operations {
		args, ok := matchPath(op.pattern, rest)
		if !ok {
			continue
		}
		if op.method == c.r.Method {
			c.args = args
			return op, nil
		}
		allowed = append(allowed, op.method)
	}
	if allowed != nil {
		c.w.Header().Set("Allow", strings.Join(allowed, ", "))
		return operation{}, &apiError{status: http.StatusMethodNotAllowed, code: "Error.BadRequest", message: "The operation takes " + strings.Join(allowed, ", ") + "."}
	}
	return operation{}, notFound("", "", "There is no such operation.")
}

// splitPath cuts a path and decodes the parts. As in the service, an encoded
// slash stays the three characters %2F: it is the documented limit of names
// that hold a slash.
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

// matchPath compares a path with a pattern and returns what stands for {}.
func matchPath(pattern string, segments []string) (args []string, ok bool) {
	n := 0
	for part := range strings.SplitSeq(pattern, "/") {
		if n == len(segments) {
			return nil, false
		}
		switch {
		case part == "{}" && segments[n] != "":
			args = append(args, segments[n])
		case part != segments[n]:
			return nil, false
		}
		n++
	}
	return args, n == len(segments)
}

// authorize checks the bearer token: HS256 with an access key, for the address
// that is called, or where that is allowed any of Microsoft Entra. SDKs differ
// in whether the audience holds the query and how often the path is escaped, so
// both count for nothing.
func (c *call) authorize() error {
	compact, ok := strings.CutPrefix(c.r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return unauthorized("the bearer token is missing: sign one with the access key")
	}
	if token.IsEntra(compact) {
		return c.authorizeEntra(compact)
	}
	claims, err := token.Verify(compact, c.srv.opts.keys(), c.srv.opts.Clock.Now())
	if err != nil {
		return unauthorized(err.Error())
	}
	if !c.audienceOK(claims.Audience) {
		return unauthorized(fmt.Sprintf("the token is for %q, not for %s%s: the audience must be the address of the request", claims.Audience, origin(c.r), c.r.URL.EscapedPath()))
	}
	return nil
}

// authorizeEntra lets a token of Microsoft Entra in unverified. It looks at the
// peer too: the emulator may be mounted on a server that others can reach.
func (c *call) authorizeEntra(compact string) error {
	if !c.srv.opts.AllowUnverifiedEntra {
		return unauthorized("this is a token of Microsoft Entra, which only the service can verify: set AllowUnverifiedEntra (the flag -allow-unverified-entra) to accept it without, or use the access key")
	}
	peer, _, _ := net.SplitHostPort(c.r.RemoteAddr)
	if ip := net.ParseIP(peer); ip == nil || !ip.IsLoopback() {
		return unauthorized("unverified tokens of Microsoft Entra are accepted from this machine only: use the access key elsewhere")
	}
	if err := token.Lifetime(compact, c.srv.opts.Clock.Now()); err != nil {
		return unauthorized(err.Error())
	}
	return nil
}

// origin is scheme, host and port as the caller wrote them.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

func (c *call) audienceOK(audience string) bool {
	scheme, rest, ok := strings.Cut(audience, "://")
	if !ok || !slices.Contains([]string{"http", "https", "ws", "wss"}, strings.ToLower(scheme)) {
		return false
	}
	host, path, _ := strings.Cut(rest, "/")
	path, _, _ = strings.Cut("/"+path, "?")
	if !c.srv.isMe(host, c.r) {
		return false
	}
	forms := []string{c.r.URL.EscapedPath(), c.r.URL.Path, c.r.RequestURI}
	if once, err := url.PathUnescape(path); err == nil {
		path = once
	}
	for _, f := range forms {
		f, _, _ = strings.Cut(f, "?")
		if once, err := url.PathUnescape(f); err == nil {
			f = once
		}
		if strings.EqualFold(path, f) || strings.EqualFold(strings.TrimSuffix(path, "/"), f) || hasPrefixFold(path, f+"/") {
			return true
		}
	}
	return false
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// answer writes a success.
func (c *call) answer(status int) {
	if c.body == nil {
		c.w.WriteHeader(status)
		return
	}
	c.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(encodeJSON(c.body))
}

// single returns a query parameter that may be given once.
func (c *call) single(name string) (value string, given bool, err error) {
	v, given := c.query[name]
	if len(v) > 1 {
		return "", true, invalid(name, fmt.Sprintf("The parameter '%s' is given more than once.", name))
	}
	if given {
		value = v[0]
	}
	return value, given, nil
}
