package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/payload"
)

// maxBody is the largest request body that the service accepts, in bytes.
const maxBody = 1 << 20

// maxTTL is the longest time to live (REST API specification, messageTtlSeconds).
const maxTTL = 300 * time.Second

// SendToAll sends a message to every connection of the hub. Success means that
// the service has accepted the message, not that a client has received it. A
// message has at most 1 MiB.
func (c *Client) SendToAll(ctx context.Context, message webpubsub.Message, options *webpubsub.SendOptions) error {
	return c.send(ctx, "SendToAll", toMany, message, options, ":send")
}

// SendToGroup sends a message to the connections in a group. It is not an error
// if the group has none.
//
// A group whose name contains a slash cannot be addressed, see Names in paths in
// the package documentation.
func (c *Client) SendToGroup(ctx context.Context, group string, message webpubsub.Message, options *webpubsub.SendOptions) error {
	return c.send(ctx, "SendToGroup", toMany, message, options, "groups", group, ":send")
}

// SendToUser sends a message to every connection of a user. It is not an error
// if the user is not connected. The REST API has no excluded parameter for this
// operation, so SendOptions.Excluded is added to the filter.
func (c *Client) SendToUser(ctx context.Context, userID string, message webpubsub.Message, options *webpubsub.SendOptions) error {
	return c.send(ctx, "SendToUser", toUser, message, options, "users", userID, ":send")
}

// SendToConnection sends a message to one connection. It is not an error if the
// connection does not exist. SendOptions.Excluded and Filter must be empty: they
// do not apply to a single connection.
func (c *Client) SendToConnection(ctx context.Context, connectionID string, message webpubsub.Message, options *webpubsub.SendOptions) error {
	return c.send(ctx, "SendToConnection", toOne, message, options, "connections", connectionID, ":send")
}

// addressees selects the options that the REST API has for a send.
type addressees int

const (
	toMany addressees = iota // excluded and filter
	toUser                   // filter only
	toOne                    // neither
)

func (c *Client) send(ctx context.Context, method string, to addressees, m webpubsub.Message, o *webpubsub.SendOptions, path ...string) error {
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
		body: m.Data, contentType: payload.ContentType(m.Type), send: true,
	}, http.StatusAccepted)
	return err
}

// checkMessage returns the headers that carry the metadata of the message, or
// why the service would reject the message.
func checkMessage(m webpubsub.Message) (map[string][]string, error) {
	if m.Type == "" {
		return nil, errors.New("the message is empty: create it with webpubsub.Text, JSON, Binary or Protobuf")
	}
	if err := payload.Check(m); err != nil {
		return nil, err
	}
	if len(m.Data) > maxBody {
		return nil, fmt.Errorf("the message has %d bytes: the service accepts at most %d", len(m.Data), maxBody)
	}
	return names.MetadataHeader(m.Metadata)
}

func (c *Client) sendQuery(to addressees, o *webpubsub.SendOptions) (map[string][]string, error) {
	if o == nil {
		return nil, nil
	}
	excluded, filter := nonEmpty(o.Excluded), o.Filter
	if to == toOne && (len(excluded) > 0 || filter != "") {
		return nil, errors.New("SendOptions.Excluded and Filter are not supported for a single connection")
	}
	query := make(map[string][]string)
	if to == toUser && len(excluded) > 0 {
		filter = filter.And(webpubsub.FilterConnections(excluded...).Not())
		excluded = nil
	}
	if len(excluded) > 0 {
		query["excluded"] = excluded
	}
	if filter != "" {
		if err := c.checkFilter(filter); err != nil {
			return nil, err
		}
		query["filter"] = []string{string(filter)}
	}
	if o.TTL != 0 {
		if o.TTL < 0 || o.TTL > maxTTL || o.TTL%time.Second != 0 {
			return nil, fmt.Errorf("the option TTL is %v: it must be whole seconds, at most %v", o.TTL, maxTTL)
		}
		if err := c.requireVersion(v2023, "a TTL"); err != nil {
			return nil, err
		}
		query["messageTtlSeconds"] = []string{strconv.Itoa(int(o.TTL / time.Second))}
	}
	return query, nil
}

// checkFilter rejects a filter that the service would change or that the
// selected API version would ignore. The empty filter is valid in every version.
func (c *Client) checkFilter(filter webpubsub.Filter) error {
	if filter == "" {
		return nil
	}
	if err := checkUTF8("the filter", string(filter)); err != nil {
		return err
	}
	return c.requireVersion(v2022, "a filter")
}
