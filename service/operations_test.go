package service_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/service"
)

// operation is one call of the client and the request that it must make.
type operation struct {
	name string
	call func(context.Context, *service.Client) (any, error)

	method, uri string // without the host; the hub is chat
	contentType string
	body        string
	header      map[string]string

	status int // the documented success, or answer no
	want   any
}

// discard makes a call that returns only an error fit the table.
func discard(f func(context.Context, *service.Client) error) func(context.Context, *service.Client) (any, error) {
	return func(ctx context.Context, c *service.Client) (any, error) { return nil, f(ctx, c) }
}

// A name with everything that a path must escape, and what is left of it.
const (
	odd     = `a\b%2F c+d?e#ü`
	oddPath = "a%5Cb%252F%20c+d%3Fe%23%C3%BC"
)

// operations lists all of the REST API, version 2024-12-01, in the order of its
// specification, with more than one row where options change the request.
var operations = []operation{
	{
		name:   "GetServiceStatus",
		call:   discard(func(ctx context.Context, c *service.Client) error { return c.GetServiceStatus(ctx, nil) }),
		method: "HEAD", uri: "/api/health?api-version=2024-12-01", status: 200,
	},
	{
		name: "AddConnectionsToGroups",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.AddConnectionsToGroups(ctx, []string{"g1", odd}, "userId eq 'it''s'", nil)
		}),
		method: "POST", uri: "/api/hubs/chat/:addToGroups?api-version=2024-12-01",
		contentType: "application/json", body: `{"groups":["g1","a\\b%2F c+d?e#ü"],"filter":"userId eq 'it''s'"}`,
		status: 200,
	},
	{
		name: "RemoveConnectionsFromGroups",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.RemoveConnectionsFromGroups(ctx, []string{"g1"}, "", nil)
		}),
		method: "POST", uri: "/api/hubs/chat/:removeFromGroups?api-version=2024-12-01",
		contentType: "application/json", body: `{"groups":["g1"]}`, status: 200,
	},
	{
		name: "CloseAllConnections",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.CloseAllConnections(ctx, &service.CloseAllConnectionsOptions{Excluded: []string{"c 1", "c,2", ""}, Reason: "good night & bye"})
		}),
		method: "POST", uri: "/api/hubs/chat/:closeConnections?api-version=2024-12-01&excluded=c%201&excluded=c%2C2&reason=good%20night%20%26%20bye",
		status: 204,
	},
	{
		name: "SendToAll",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.SendToAll(ctx, webpubsub.Text("Hallo, Welt ü"), &webpubsub.SendOptions{
				Excluded: []string{"c1", "c2"}, Filter: "userId ne 'a+b'", TTL: time.Minute,
			})
		}),
		method: "POST", uri: "/api/hubs/chat/:send?api-version=2024-12-01&excluded=c1&excluded=c2&filter=userId%20ne%20%27a%2Bb%27&messageTtlSeconds=60",
		contentType: "text/plain", body: "Hallo, Welt ü", status: 202,
	},
	{
		name: "SendToAll with metadata",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.SendToAll(ctx, webpubsub.MustJSON(map[string]int{"n": 1}).WithMetadata("Trace-Id", "t1").WithMetadata("empty", ""), nil)
		}),
		method: "POST", uri: "/api/hubs/chat/:send?api-version=2024-12-01",
		contentType: "application/json", body: `{"n":1}`,
		header: map[string]string{"X-WebPubSub-Metadata-trace-id": "t1", "X-WebPubSub-Metadata-empty": ""},
		status: 202,
	},
	{
		name: "SendToAll without text",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.SendToAll(ctx, webpubsub.Text(""), &webpubsub.SendOptions{})
		}),
		method: "POST", uri: "/api/hubs/chat/:send?api-version=2024-12-01", contentType: "text/plain", status: 202,
	},
	{
		name: "ConnectionExists",
		call: func(ctx context.Context, c *service.Client) (any, error) { return c.ConnectionExists(ctx, odd, nil) },
		want: true, method: "HEAD", uri: "/api/hubs/chat/connections/" + oddPath + "?api-version=2024-12-01", status: 200,
	},
	{
		name: "ConnectionExists, and it does not",
		call: func(ctx context.Context, c *service.Client) (any, error) { return c.ConnectionExists(ctx, "c1", nil) },
		want: false, method: "HEAD", uri: "/api/hubs/chat/connections/c1?api-version=2024-12-01", status: 404,
	},
	{
		name: "CloseConnection",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.CloseConnection(ctx, odd, &service.CloseConnectionOptions{Reason: "kicked"})
		}),
		method: "DELETE", uri: "/api/hubs/chat/connections/" + oddPath + "?api-version=2024-12-01&reason=kicked", status: 204,
	},
	{
		name: "SendToConnection",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.SendToConnection(ctx, "c1", webpubsub.Binary([]byte{0, 255}), &webpubsub.SendOptions{TTL: 300 * time.Second})
		}),
		method: "POST", uri: "/api/hubs/chat/connections/c1/:send?api-version=2024-12-01&messageTtlSeconds=300",
		contentType: "application/octet-stream", body: "\x00\xff", status: 202,
	},
	{
		name: "RemoveConnectionFromAllGroups",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.RemoveConnectionFromAllGroups(ctx, "c1", nil)
		}),
		method: "DELETE", uri: "/api/hubs/chat/connections/c1/groups?api-version=2024-12-01", status: 204,
	},
	{
		name: "GroupExists",
		call: func(ctx context.Context, c *service.Client) (any, error) { return c.GroupExists(ctx, odd, nil) },
		want: true, method: "HEAD", uri: "/api/hubs/chat/groups/" + oddPath + "?api-version=2024-12-01", status: 200,
	},
	{
		name: "CloseGroupConnections",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.CloseGroupConnections(ctx, odd, &service.CloseGroupConnectionsOptions{Excluded: []string{"c1"}})
		}),
		method: "POST", uri: "/api/hubs/chat/groups/" + oddPath + "/:closeConnections?api-version=2024-12-01&excluded=c1", status: 204,
	},
	{
		name: "SendToGroup",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.SendToGroup(ctx, odd, webpubsub.Protobuf([]byte{10, 0}), &webpubsub.SendOptions{
				Excluded: []string{"c1"}, Filter: webpubsub.FilterUsers("it's").Not(), TTL: time.Second,
			})
		}),
		method: "POST", uri: "/api/hubs/chat/groups/" + oddPath + "/:send?api-version=2024-12-01&excluded=c1&filter=not%20%28userId%20eq%20%27it%27%27s%27%29&messageTtlSeconds=1",
		contentType: "application/x-protobuf", body: "\n\x00", status: 202,
	},
	{
		name: "ListConnectionsInGroup",
		call: func(ctx context.Context, c *service.Client) (any, error) {
			page, err := c.NewListConnectionsInGroupPager(odd, &service.ListConnectionsInGroupOptions{Top: 6, MaxPageSize: 2, ContinuationToken: "x=="}).NextPage(ctx)
			return len(page.Value), err
		},
		want:   0,
		method: "GET", uri: "/api/hubs/chat/groups/" + oddPath + "/connections?api-version=2024-12-01&continuationToken=x%3D%3D&maxpagesize=2&top=6",
		status: 200,
	},
	{
		name: "AddConnectionToGroup",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.AddConnectionToGroup(ctx, odd, "c1", nil)
		}),
		method: "PUT", uri: "/api/hubs/chat/groups/" + oddPath + "/connections/c1?api-version=2024-12-01", status: 200,
	},
	{
		name: "RemoveConnectionFromGroup",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.RemoveConnectionFromGroup(ctx, "g1", odd, nil)
		}),
		method: "DELETE", uri: "/api/hubs/chat/groups/g1/connections/" + oddPath + "?api-version=2024-12-01", status: 204,
	},
	{
		name: "HasPermission",
		call: func(ctx context.Context, c *service.Client) (any, error) {
			return c.HasPermission(ctx, service.PermissionSendToGroup, "c1", "g 1", nil)
		},
		want: true, method: "HEAD", uri: "/api/hubs/chat/permissions/sendToGroup/connections/c1?api-version=2024-12-01&targetName=g%201", status: 200,
	},
	{
		name: "HasPermission, and it has not",
		call: func(ctx context.Context, c *service.Client) (any, error) {
			return c.HasPermission(ctx, service.PermissionJoinLeaveGroup, "c1", "g1", nil)
		},
		want: false, method: "HEAD", uri: "/api/hubs/chat/permissions/joinLeaveGroup/connections/c1?api-version=2024-12-01&targetName=g1", status: 404,
	},
	{
		name: "GrantPermission",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.GrantPermission(ctx, service.PermissionJoinLeaveGroup, odd, odd, nil)
		}),
		method: "PUT", uri: "/api/hubs/chat/permissions/joinLeaveGroup/connections/" + oddPath + "?api-version=2024-12-01&targetName=a%5Cb%252F%20c%2Bd%3Fe%23%C3%BC",
		status: 200,
	},
	{
		name: "RevokePermission",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.RevokePermission(ctx, service.PermissionSendToGroup, "c1", "g1", nil)
		}),
		method: "DELETE", uri: "/api/hubs/chat/permissions/sendToGroup/connections/c1?api-version=2024-12-01&targetName=g1", status: 204,
	},
	{
		name: "UserExists",
		call: func(ctx context.Context, c *service.Client) (any, error) { return c.UserExists(ctx, odd, nil) },
		want: false, method: "HEAD", uri: "/api/hubs/chat/users/" + oddPath + "?api-version=2024-12-01", status: 404,
	},
	{
		name: "CloseUserConnections",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.CloseUserConnections(ctx, "user 1", nil)
		}),
		method: "POST", uri: "/api/hubs/chat/users/user%201/:closeConnections?api-version=2024-12-01", status: 204,
	},
	{
		name: "SendToUser",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.SendToUser(ctx, odd, webpubsub.MustJSON("quoted"), &webpubsub.SendOptions{Filter: "'g1' in groups or 'g2' in groups", Excluded: []string{"a", "b's"}})
		}),
		method: "POST", uri: "/api/hubs/chat/users/" + oddPath + "/:send?api-version=2024-12-01" +
			"&filter=%28%27g1%27%20in%20groups%20or%20%27g2%27%20in%20groups%29%20and%20%28not%20%28connectionId%20in%20%28%27a%27%2C%27b%27%27s%27%29%29%29",
		contentType: "application/json", body: `"quoted"`, status: 202,
	},
	{
		name: "SendToUser without the sender",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.SendToUser(ctx, "u", webpubsub.Text("x"), &webpubsub.SendOptions{Excluded: []string{"a"}})
		}),
		method: "POST", uri: "/api/hubs/chat/users/u/:send?api-version=2024-12-01&filter=not%20%28connectionId%20eq%20%27a%27%29",
		contentType: "text/plain", body: "x", status: 202,
	},
	{
		name: "RemoveUserFromAllGroups",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.RemoveUserFromAllGroups(ctx, "u", nil)
		}),
		method: "DELETE", uri: "/api/hubs/chat/users/u/groups?api-version=2024-12-01", status: 204,
	},
	{
		name: "AddUserToGroup",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.AddUserToGroup(ctx, odd, odd, nil)
		}),
		method: "PUT", uri: "/api/hubs/chat/users/" + oddPath + "/groups/" + oddPath + "?api-version=2024-12-01", status: 200,
	},
	{
		name: "RemoveUserFromGroup",
		call: discard(func(ctx context.Context, c *service.Client) error {
			return c.RemoveUserFromGroup(ctx, "g1", "u", nil)
		}),
		method: "DELETE", uri: "/api/hubs/chat/users/u/groups/g1?api-version=2024-12-01", status: 204,
	},
}

// TestOperations checks every request on the wire against the specification,
// and that its token is for exactly this URL.
func TestOperations(t *testing.T) {
	srv := newCapture(t, false)
	c := srv.keyClient(t, nil)
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			body := ""
			if op.method == http.MethodGet {
				body = "{}"
			}
			srv.answer(op.status, body)
			got, err := op.call(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if got != op.want {
				t.Errorf("answer %v, want %v", got, op.want)
			}
			r := srv.one(t)
			if r.method != op.method || r.uri != op.uri {
				t.Errorf("request\n%s %s, want\n%s %s", r.method, r.uri, op.method, op.uri)
			}
			if r.body != op.body || r.header.Get("Content-Type") != op.contentType {
				t.Errorf("body %q of type %q, want %q of type %q", r.body, r.header.Get("Content-Type"), op.body, op.contentType)
			}
			for k, v := range op.header {
				if got, ok := r.header[http.CanonicalHeaderKey(k)]; !ok || !slices.Equal(got, []string{v}) {
					t.Errorf("header %s: %q, want %q", k, got, v)
				}
			}
			auth := r.header.Get("Authorization")
			if op.name == "GetServiceStatus" {
				if auth != "" {
					t.Error("the health check carries a token")
				}
				return
			}
			claims, err := token.Verify(strings.TrimPrefix(auth, "Bearer "), []string{testKey}, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			if want := srv.URL + op.uri; claims.Audience != want {
				t.Errorf("audience %s, want %s", claims.Audience, want)
			}
		})
	}
}

// TestOperationsRefused checks that only the documented status is a success:
// another one means that something else answered, for example a gateway.
func TestOperationsRefused(t *testing.T) {
	srv := newCapture(t, false)
	o := srv.options()
	o.Retry.MaxRetries = -1
	c := srv.keyClient(t, o)
	for _, op := range operations {
		for _, status := range []int{200, 201, 202, 204, 400, 401, 403, 404, 409, 429, 500, 503} {
			_, asks := op.want.(bool)
			if status == op.status || asks && (status == 200 || status == 404) {
				continue
			}
			srv.answer(status, "")
			_, err := op.call(t.Context(), c)
			var re *azcore.ResponseError
			if !errors.As(err, &re) || re.StatusCode != status {
				t.Errorf("%s: status %d gives error %v", op.name, status, err)
			}
		}
	}
}

// TestOperationsCovered counts the operations of the specification: 25, of
// which :generateToken is in another table.
func TestOperationsCovered(t *testing.T) {
	distinct := map[string]bool{}
	for _, op := range operations {
		path, _, _ := strings.Cut(op.uri, "?")
		segments := strings.Split(path, "/")
		for i := 5; i < len(segments); i += 2 { // names follow their collections
			if !strings.HasPrefix(segments[i], ":") {
				segments[i] = "*"
			}
		}
		distinct[op.method+strings.Join(segments, "/")] = true
	}
	if len(distinct) != 24 {
		t.Errorf("the table has %d operations, want 24: %v", len(distinct), distinct)
	}
}

// TestEntraOperations checks that a token credential's token is sent as it is.
func TestEntraOperations(t *testing.T) {
	srv := newCapture(t, true)
	c := srv.entraClient(t, nil)
	for _, op := range operations {
		srv.answer(op.status, "")
		if _, err := op.call(t.Context(), c); err != nil {
			t.Errorf("%s: %v", op.name, err)
		}
		want := "Bearer " + entraToken
		if op.name == "GetServiceStatus" {
			want = ""
		}
		if r := srv.one(t); r.header.Get("Authorization") != want || r.uri != op.uri {
			t.Errorf("%s: %s with %q", op.name, r.uri, r.header.Get("Authorization"))
		}
	}
}
