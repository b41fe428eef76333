package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/names"
)

// maxBody is the most that the service takes in one request.
const maxBody = 1 << 20

// maxTTL is the longest time to live (REST API specification, messageTtlSeconds).
const maxTTL = 300 * time.Second

const metadataHeader = "X-Webpubsub-Metadata-"

// SendToAll sends a message to every connection of the hub. Success means that
// the service took the message, not that somebody received it. A message has at
// most 1 MiB.
func (c *Client) SendToAll(ctx context.Context, m webpubsub.Message, o *webpubsub.SendOptions) error {
	return c.send(ctx, "SendToAll", toMany, m, o, ":send")
}

// SendToGroup sends a message to the connections in a group. A group that has
// none, or a name that nobody joined, is no error.
//
// A group whose name contains a slash may not be reachable over REST: the
// service does not decode %2F in paths (Azure Web PubSub reference, data plane
// REST API).
func (c *Client) SendToGroup(ctx context.Context, group string, m webpubsub.Message, o *webpubsub.SendOptions) error {
	return c.send(ctx, "SendToGroup", toMany, m, o, "groups", group, ":send")
}

// SendToUser sends a message to every connection of a user. A user who is not
// connected is no error. The REST API has no excluded parameter here, so
// SendOptions.Excluded becomes a part of the filter.
func (c *Client) SendToUser(ctx context.Context, userID string, m webpubsub.Message, o *webpubsub.SendOptions) error {
	return c.send(ctx, "SendToUser", toUser, m, o, "users", userID, ":send")
}

// SendToConnection sends a message to one connection. A connection that does
// not exist is no error. SendOptions.Excluded and Filter are refused: there is
// nobody to choose from.
func (c *Client) SendToConnection(ctx context.Context, connectionID string, m webpubsub.Message, o *webpubsub.SendOptions) error {
	return c.send(ctx, "SendToConnection", toOne, m, o, "connections", connectionID, ":send")
}

// audience says which send options the REST API has for a send.
type audience int

const (
	toMany audience = iota // excluded and filter
	toUser                 // filter only
	toOne                  // neither
)

func (c *Client) send(ctx context.Context, method string, to audience, m webpubsub.Message, o *webpubsub.SendOptions, path ...string) error {
	header, err := checkMessage(m)
	if err != nil {
		return fmt.Errorf("service: %s: %w", method, err)
	}
	query, err := c.sendQuery(to, o)
	if err != nil {
		return fmt.Errorf("service: %s: %w", method, err)
	}
	_, err = c.do(ctx, request{
		name: method, verb: http.MethodPost, path: c.hubPath(path...), query: query, header: header,
		body: m.Data, contentType: m.Type.ContentType(), send: true,
	}, http.StatusAccepted)
	return err
}

// checkMessage returns the headers that carry the message's metadata, or why
// the service would refuse the message.
func checkMessage(m webpubsub.Message) (map[string][]string, error) {
	if m.Type == "" {
		return nil, errors.New("the message is empty: make it with webpubsub.Text, JSON, Binary or Protobuf")
	}
	if err := m.Check(); err != nil {
		return nil, err
	}
	if len(m.Data) > maxBody {
		return nil, fmt.Errorf("the message has %d bytes: the service takes at most %d", len(m.Data), maxBody)
	}
	if len(m.Metadata) == 0 {
		return nil, nil
	}
	if err := names.Metadata(m.Metadata); err != nil {
		return nil, err
	}
	header := make(map[string][]string, len(m.Metadata))
	for k, v := range m.Metadata {
		name := textproto.CanonicalMIMEHeaderKey(metadataHeader + k)
		if header[name] != nil {
			return nil, fmt.Errorf("metadata %q is given twice: keys travel as HTTP headers, which have no case", strings.ToLower(k))
		}
		header[name] = []string{v}
	}
	return header, nil
}

func (c *Client) sendQuery(to audience, o *webpubsub.SendOptions) (map[string][]string, error) {
	if o == nil {
		return nil, nil
	}
	excluded, filter := someIDs(o.Excluded), o.Filter
	if to == toOne && (len(excluded) > 0 || filter != "") {
		return nil, errors.New("a send to one connection takes neither Excluded nor Filter")
	}
	query := make(map[string][]string)
	if to == toUser && len(excluded) > 0 {
		not := Filter("not (connectionId in %s)", excluded)
		if filter != "" {
			not = "(" + filter + ") and " + not
		}
		excluded, filter = nil, not
	}
	if len(excluded) > 0 {
		query["excluded"] = excluded
	}
	if filter != "" {
		if err := c.checkFilter(filter); err != nil {
			return nil, err
		}
		query["filter"] = []string{filter}
	}
	if o.TTL != 0 {
		if o.TTL < 0 || o.TTL > maxTTL || o.TTL%time.Second != 0 {
			return nil, fmt.Errorf("TTL %v: it must be whole seconds, at most %v", o.TTL, maxTTL)
		}
		if err := c.need(v2023, "a TTL"); err != nil {
			return nil, err
		}
		query["messageTtlSeconds"] = []string{strconv.Itoa(int(o.TTL / time.Second))}
	}
	return query, nil
}

// someIDs drops empty ids, which no connection has.
func someIDs(ids []string) []string {
	var out []string
	for _, id := range ids {
		if id != "" {
			out = append(out, id)
		}
	}
	return out
}
