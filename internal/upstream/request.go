package upstream

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/webhook"
)

// Header names as the service writes them. They are used as keys of the header
// map directly: http.Header.Set would write Ce-Connectionid.
const (
	headerOrigin  = "WebHook-Request-Origin"
	headerVersion = "ce-awpsversion"
)

// eventHeader returns the header of an event (reference, "Request headers").
// All attempts share it, so they share ce-id, ce-time and the request id too.
func (d *Dispatcher) eventHeader(ctx context.Context, h Handler, u *url.URL, e Event, requestID string) (http.Header, error) {
	out := http.Header{
		"ce-specversion":         {"1.0"},
		headerVersion:            {"1.0"},
		"ce-type":                {e.ceType()},
		"ce-source":              {e.source()},
		"ce-id":                  {strconv.FormatUint(e.ID, 10)},
		"ce-time":                {d.o.Now().UTC().Format(time.RFC3339)},
		"ce-connectionId":        {e.ConnectionID},
		"ce-hub":                 {e.Hub},
		"ce-eventName":           {e.name()},
		headerOrigin:             {cmp.Or(e.Origin, d.o.Origin)},
		"x-ms-client-request-id": {requestID},
		"traceparent":            {e.traceParent()},
		"User-Agent":             {""}, // none
	}
	optional := func(name, value string) {
		if value != "" {
			out[name] = []string{value}
		}
	}
	optional("ce-userId", e.UserID)
	if e.Kind != Connect || e.mqtt() {
		optional("ce-subprotocol", e.Subprotocol)
	}
	optional("ce-physicalConnectionId", e.PhysicalConnectionID)
	optional("ce-sessionId", e.SessionID)
	if e.State != nil { // an empty state was set, too
		out["ce-connectionState"] = []string{*e.State}
	}
	if signatures := d.signatures(e.ConnectionID); len(signatures) > 0 {
		out["ce-signature"] = signatures
	}
	for _, k := range slices.Sorted(maps.Keys(e.Metadata)) { // of keys that differ in case, never a random one
		out[strings.ToLower(names.MetadataPrefix+k)] = []string{e.Metadata[k]}
	}
	for _, p := range e.MQTTProperties {
		name := strings.ToLower(webhook.MQTTPrefix) + p.Name
		out[name] = append(out[name], p.Value)
	}
	switch {
	case e.ContentType != "":
		out["Content-Type"] = []string{e.ContentType}
	case e.Kind != User:
		out["Content-Type"] = []string{"application/json"}
	}
	if cookie := e.Cookies.header(u); cookie != "" {
		out["Cookie"] = []string{cookie}
	}
	if err := checkHeader(out); err != nil {
		return nil, err
	}
	return out, d.authorize(ctx, h, out)
}

func (d *Dispatcher) signatures(connectionID string) []string {
	var out []string
	for _, key := range d.o.Keys {
		if key != "" {
			out = append(out, webhook.Signature(key, connectionID))
		}
	}
	if len(out) > 1 && !d.o.SignatureLines {
		return []string{strings.Join(out, ",")}
	}
	return out
}

// authorize adds the bearer token of a handler with managed identity.
func (d *Dispatcher) authorize(ctx context.Context, h Handler, header http.Header) error {
	if h.Audience == "" {
		return nil
	}
	if d.o.Token == nil {
		return fmt.Errorf("the event handler requires a managed identity token for %q, and no source of tokens is configured: remove the audience or configure the source", h.Audience)
	}
	token, err := d.o.Token(ctx, h.Audience)
	if err != nil {
		return fmt.Errorf("get a managed identity token for %q: %w", h.Audience, err)
	}
	header["Authorization"] = []string{"Bearer " + token}
	return nil
}

// checkHeader reports names and values that a header cannot have. The transport
// would reject them, too, with an error that looks temporary.
func checkHeader(h http.Header) error {
	for name, values := range h {
		if strings.ContainsFunc(name, func(r rune) bool {
			return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
		}) {
			return fmt.Errorf("%q cannot be the name of a header: use letters, digits and -", name)
		}
		for _, v := range values {
			// Bytes above ASCII are valid: a user id is sent as raw UTF-8.
			if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("the value of %s has a control character, which a header cannot contain", name)
			}
		}
	}
	return nil
}

// body returns the payload, see [Event.Body].
func (e Event) body() []byte {
	if e.Body != nil {
		return e.Body
	}
	switch e.Kind {
	case User:
		return nil
	case Connect:
		return []byte(`{"claims":{},"query":{},"headers":{},"subprotocols":[],"clientCertificates":[]}`)
	case Disconnected:
		// Official handlers fail when the property is missing.
		return []byte(`{"reason":""}`)
	case GroupJoined, GroupLeft:
		b, _ := json.Marshal(map[string]string{"group": e.Group}) // strings always encode
		return b
	default:
		return []byte(`{}`)
	}
}

// newRequestID returns a random (version 4) UUID.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
