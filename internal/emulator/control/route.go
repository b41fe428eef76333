package control

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// operation is one row of the API.
type operation struct {
	method, pattern string // below Path; {name} matches one segment
	serve           func(*call) error
	query           []string // the parameters that it knows
	read            bool     // a read-only token is sufficient although the method is not GET
	open            bool     // it needs no token
	silent          bool     // the journal does not record it
}

var operations []*operation

func init() { // the operations refer to themselves through call.route
	paged := func(query ...string) []string { return append(query, "limit", "continue") }
	entries := []string{"hub", "connectionId", "userId", "kind", "cause", "warning", "name", "search", "after"}
	operations = []*operation{
		{method: "GET", pattern: "/openapi.json", serve: (*call).describe, open: true},
		{method: "GET", pattern: "/info", serve: (*call).info},
		{method: "POST", pattern: "/idle", serve: (*call).idle, query: []string{"timeout"}, read: true, silent: true},
		{method: "POST", pattern: "/reset", serve: (*call).reset, query: []string{"timeout"}, silent: true},

		{method: "GET", pattern: "/hubs", serve: (*call).listHubs, query: paged("search")},
		{method: "GET", pattern: "/hubs/{hub}", serve: (*call).getHub},
		{method: "GET", pattern: "/hubs/{hub}/settings", serve: (*call).getSettings},
		{method: "PUT", pattern: "/hubs/{hub}/settings", serve: (*call).putSettings},

		{method: "GET", pattern: "/connections", serve: (*call).listConnections, query: paged("hub", "userId", "group", "protocol", "state", "search", "sort", "order")},
		{method: "GET", pattern: "/hubs/{hub}/connections/{connectionId}", serve: (*call).getConnection},
		{method: "GET", pattern: "/groups", serve: (*call).listGroups, query: paged("hub", "search")},
		{method: "GET", pattern: "/hubs/{hub}/groups/{group}", serve: (*call).getGroup},
		{method: "GET", pattern: "/users", serve: (*call).listUsers, query: paged("hub", "search")},
		{method: "GET", pattern: "/hubs/{hub}/users/{userId}", serve: (*call).getUser},

		{method: "GET", pattern: "/tunnels", serve: (*call).listTunnels, query: paged("hub")},
		{method: "POST", pattern: "/hubs/{hub}/tunnels/reconnect", serve: (*call).reconnectTunnels},
		{method: "POST", pattern: "/hubs/{hub}/tunnels/rebalance", serve: (*call).rebalanceTunnels},
		{method: "POST", pattern: "/hubs/{hub}/tunnels/close", serve: (*call).closeTunnels},
		{method: "POST", pattern: "/hubs/{hub}/tunnels/reset", serve: (*call).resetTunnels},

		{method: "GET", pattern: "/journal", serve: (*call).listJournal, query: paged(append(entries, "order")...)},
		{method: "GET", pattern: "/journal/export", serve: (*call).exportJournal, query: entries},
		{method: "POST", pattern: "/journal/import", serve: (*call).importJournal},
		{method: "GET", pattern: "/journal/{id}", serve: (*call).getEntry},
		{method: "POST", pattern: "/journal/{id}/replay", serve: (*call).replay},

		{method: "GET", pattern: "/faults", serve: (*call).listFaults, query: paged()},
		{method: "POST", pattern: "/faults", serve: (*call).injectFault},
		{method: "DELETE", pattern: "/faults", serve: (*call).removeFaults},
		{method: "GET", pattern: "/faults/{id}", serve: (*call).getFault},
		{method: "DELETE", pattern: "/faults/{id}", serve: (*call).removeFault},

		{method: "GET", pattern: "/network", serve: (*call).getNetwork},
		{method: "PUT", pattern: "/network", serve: (*call).putNetwork},

		{method: "POST", pattern: "/tokens", serve: (*call).createToken, silent: true},
		{method: "POST", pattern: "/tokens/rest", serve: (*call).createRESTToken, silent: true},
	}
	for _, of := range []string{"", "/connections/{connectionId}", "/groups/{group}", "/users/{userId}"} {
		operations = append(operations,
			&operation{method: "POST", pattern: "/hubs/{hub}" + of + "/send", serve: (*call).send},
			&operation{method: "POST", pattern: "/hubs/{hub}" + of + "/close", serve: (*call).close},
			&operation{method: "POST", pattern: "/hubs/{hub}" + of + "/reset", serve: (*call).resetLinks},
		)
	}
	for _, of := range []string{"/connections/{connectionId}", "/users/{userId}"} {
		operations = append(operations,
			&operation{method: "POST", pattern: "/hubs/{hub}" + of + "/join", serve: (*call).join},
			&operation{method: "POST", pattern: "/hubs/{hub}" + of + "/leave", serve: (*call).leave},
		)
	}
	operations = append(operations,
		&operation{method: "POST", pattern: "/hubs/{hub}/connections/{connectionId}/grant", serve: (*call).grant},
		&operation{method: "POST", pattern: "/hubs/{hub}/connections/{connectionId}/revoke", serve: (*call).revoke},
	)
}

// route finds the operation. A part of a path that is fixed comes before {name}.
func (c *call) route() (*operation, error) {
	segments := strings.Split(strings.TrimPrefix(c.r.URL.EscapedPath(), Path), "/")
	for i, s := range segments {
		u, err := url.PathUnescape(s)
		if err != nil {
			return nil, invalidf("The path contains %q, which is not escaped as it must be.", s)
		}
		segments[i] = u
	}
	var allowed []string
	var found *operation
	for _, op := range operations {
		args, ok := match(op.pattern, segments)
		if !ok {
			continue
		}
		allowed = append(allowed, op.method)
		if op.method == c.r.Method && (found == nil || len(args) < len(c.args)) {
			found, c.args = op, args
		}
	}
	switch {
	case found != nil:
		return found, nil
	case allowed != nil:
		c.w.Header().Set("Allow", strings.Join(allowed, ", "))
		return nil, &apiError{http.StatusMethodNotAllowed, "methodNotAllowed", "The operation takes " + strings.Join(allowed, ", ") + "."}
	}
	return nil, notFoundf("There is no such operation: see %s/openapi.json.", Path)
}

func match(pattern string, segments []string) (map[string]string, bool) {
	parts := strings.Split(pattern, "/")
	if len(parts) != len(segments) {
		return nil, false
	}
	var args map[string]string
	for i, p := range parts {
		switch {
		case strings.HasPrefix(p, "{") && segments[i] != "":
			if args == nil {
				args = make(map[string]string)
			}
			args[strings.Trim(p, "{}")] = segments[i]
		case p != segments[i]:
			return nil, false
		}
	}
	return args, true
}

// parseQuery reads the query, in which a parameter that the operation does not
// know is a mistake.
func (c *call) parseQuery(op *operation) error {
	var err error
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return invalidf("The query cannot be read: %v.", err)
	}
	for _, name := range slices.Sorted(maps.Keys(c.query)) {
		switch {
		case !slices.Contains(op.query, name) && op.query == nil:
			return invalidf("The query parameter %q is unknown; the operation takes none.", name)
		case !slices.Contains(op.query, name):
			return invalidf("The query parameter %q is unknown; the operation takes %s.", name, strings.Join(op.query, ", "))
		case len(c.query[name]) > 1 && name != "kind":
			return invalidf("The query parameter %q is given more than once.", name)
		}
	}
	return nil
}

// apiError is an error as the caller receives it.
type apiError struct {
	status        int
	code, message string
}

func (e *apiError) Error() string { return e.message }

func invalidf(format string, args ...any) error {
	return &apiError{http.StatusBadRequest, "invalid", fmt.Sprintf(format, args...)}
}

func notFoundf(format string, args ...any) error {
	return &apiError{http.StatusNotFound, "notFound", fmt.Sprintf(format, args...)}
}

func asError(err error) *apiError {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{http.StatusInternalServerError, "internal", err.Error()}
	}
	return e
}

func writeError(w http.ResponseWriter, e *apiError) {
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	body.Error.Code, body.Error.Message = e.code, e.message
	writeJSON(w, e.status, body)
}

// writeJSON writes a response.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	_ = e.Encode(body)
}

func (c *call) answer(body any) error { return c.answerAs(http.StatusOK, body) }

// answerAs records a change before the caller learns that it was made.
func (c *call) answerAs(status int, body any) error {
	c.record(status, "")
	if body == nil {
		c.w.WriteHeader(status)
		return nil
	}
	writeJSON(c.w, status, body)
	return nil
}

// maxBody is more than the JSON of the largest message, whose bytes take four
// thirds in base64 and, if they are escaped, six times as much.
const maxBody = 8 << 20

// body reads the body.
func (c *call) body() ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &apiError{http.StatusRequestEntityTooLarge, "tooLarge", fmt.Sprintf("The body has more than %d bytes.", maxBody)}
	case err != nil:
		return nil, invalidf("The body cannot be read: %v.", err)
	}
	return data, nil
}

// decode reads the body strictly. Without a body, and if that is allowed, into is
// left as it is.
func (c *call) decode(into any, optional bool) error {
	data, err := c.body()
	if err != nil {
		return err
	}
	if len(data) == 0 && optional {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return invalidf("The body is not the JSON that the operation takes: %v.", bodyError(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return invalidf("The body has something after its JSON value.")
	}
	return nil
}

// bodyError words the errors of encoding/json without the names of Go types.
func bodyError(err error) string {
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.Is(err, io.EOF):
		return "it is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it ends too early"
	case errors.As(err, &wrong):
		return fmt.Sprintf("%s cannot be a %s", cmp.Or(wrong.Field, "the body"), wrong.Value)
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}
