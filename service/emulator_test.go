package service_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/service"
)

// peer is a client of the hub, over the JSON subprotocol.
type peer struct {
	*websocket.Conn
	id string
}

// frame is what the peers read of a server's message.
type frame struct {
	Type, Event, ConnectionID, From, Group, DataType, Message string
	Data                                                      any
}

func connect(t *testing.T, c *service.Client, o *service.GetClientAccessTokenOptions) *peer {
	t.Helper()
	return connectWith(t, nil, c, o)
}

// connectOver connects to an emulator that serves TLS.
func connectOver(t *testing.T, srv *emulator.Server, c *service.Client) *peer {
	t.Helper()
	return connectWith(t, &tls.Config{RootCAs: srv.CertPool()}, c, nil)
}

func connectWith(t *testing.T, config *tls.Config, c *service.Client, o *service.GetClientAccessTokenOptions) *peer {
	t.Helper()
	token, err := c.GetClientAccessToken(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	dialer := websocket.Dialer{TLSClientConfig: config, Subprotocols: []string{"json.webpubsub.azure.v1"}}
	conn, _, err := dialer.DialContext(t.Context(), token.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	p := &peer{Conn: conn}
	p.id = p.read(t).ConnectionID
	return p
}

func (p *peer) read(t *testing.T) frame {
	t.Helper()
	// Only a broken emulator lets this pass; a working one answers at once.
	if err := p.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var f frame
	if err := p.ReadJSON(&f); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestAgainstEmulator walks through the whole API with real connections. Each
// send is followed by one to all, so that what did not arrive is seen as well.
func TestAgainstEmulator(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", &service.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: srv.Client()},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	answer := func(what string, want bool) func(bool, error) {
		return func(got bool, err error) {
			t.Helper()
			if err != nil || got != want {
				t.Errorf("%s: %v, %v, want %v", what, got, err, want)
			}
		}
	}
	check("health", c.GetServiceStatus(ctx, nil))

	alice := connect(t, c, &service.GetClientAccessTokenOptions{UserID: "alice", Groups: []string{"from token"}})
	bob := connect(t, c, &service.GetClientAccessTokenOptions{UserID: "bob's"})
	nobody := connect(t, c, nil)
	everybody := []*peer{alice, bob, nobody}

	// only checks that a send reached these and nobody else.
	only := func(what string, err error, data any, want ...*peer) {
		t.Helper()
		check(what, err)
		check("end", c.SendToAll(ctx, webpubsub.Text("end"), nil))
		for _, p := range want {
			if f := p.read(t); f.Data != data {
				t.Errorf("%s: got %+v, want %v", what, f, data)
			}
		}
		for i, p := range everybody {
			if f := p.read(t); f.Data != "end" {
				t.Errorf("%s: connection %d got %+v", what, i, f)
			}
		}
	}
	hi := webpubsub.Text("hi")
	only("text to all", c.SendToAll(ctx, hi, nil), "hi", everybody...)
	only("JSON to all", c.SendToAll(ctx, webpubsub.MustJSON(7), nil), 7.0, everybody...)
	only("binary to all", c.SendToAll(ctx, webpubsub.Binary([]byte{5, 1, 1}), nil), "BQEB", everybody...)
	only("to all but alice", c.SendToAll(ctx, hi, &webpubsub.SendOptions{Excluded: []string{alice.id}}), "hi", bob, nobody)
	only("filter", c.SendToAll(ctx, hi, &webpubsub.SendOptions{Filter: webpubsub.FilterUsers("bob's")}), "hi", bob)
	only("filter by prefix", c.SendToAll(ctx, hi, &webpubsub.SendOptions{Filter: webpubsub.FilterUserPrefix("bob'")}), "hi", bob)
	only("anonymous", c.SendToAll(ctx, hi, &webpubsub.SendOptions{Filter: webpubsub.FilterAnonymous()}), "hi", nobody)
	only("to user", c.SendToUser(ctx, "bob's", hi, nil), "hi", bob)
	only("to user but the sender", c.SendToUser(ctx, "alice", hi, &webpubsub.SendOptions{Excluded: []string{alice.id}, Filter: "true or true"}), "hi")
	only("to user but another", c.SendToUser(ctx, "alice", hi, &webpubsub.SendOptions{Excluded: []string{bob.id, nobody.id}}), "hi", alice)
	only("to connection", c.SendToConnection(ctx, nobody.id, hi, &webpubsub.SendOptions{TTL: time.Minute}), "hi", nobody)
	only("to nobody", c.SendToConnection(ctx, "gone", hi, nil), "hi")
	only("to group of the token", c.SendToGroup(ctx, "from token", hi, nil), "hi", alice)

	const group = "günter & co?#+"
	answer("group exists", false)(c.GroupExists(ctx, group, nil))
	check("add connection", c.AddConnectionToGroup(ctx, group, nobody.id, nil))
	check("add user", c.AddUserToGroup(ctx, group, "alice", nil))
	answer("group exists", true)(c.GroupExists(ctx, group, nil))
	only("to group", c.SendToGroup(ctx, group, hi, nil), "hi", alice, nobody)
	only("to group but alice", c.SendToGroup(ctx, group, hi, &webpubsub.SendOptions{Excluded: []string{alice.id}}), "hi", nobody)
	members := map[string]string{}
	for conn, err := range c.ListConnectionsInGroup(ctx, group, &service.ListConnectionsInGroupOptions{MaxPageSize: 1}) {
		check("list", err)
		members[conn.ConnectionID] = conn.UserID
	}
	if len(members) != 2 || members[alice.id] != "alice" || members[nobody.id] != "" {
		t.Errorf("members %v", members)
	}
	check("bulk add", c.AddConnectionsToGroups(ctx, []string{group, "g2"}, webpubsub.FilterConnections(bob.id), nil))
	only("to group of three", c.SendToGroup(ctx, group, hi, nil), "hi", everybody...)
	check("bulk remove", c.RemoveConnectionsFromGroups(ctx, []string{group}, "userId ne null", nil))
	only("to group of one", c.SendToGroup(ctx, group, hi, nil), "hi", nobody)
	check("remove connection", c.RemoveConnectionFromGroup(ctx, group, nobody.id, nil))
	check("remove user", c.RemoveUserFromGroup(ctx, group, "alice", nil))
	check("remove user from all", c.RemoveUserFromAllGroups(ctx, "alice", nil))
	check("remove connection from all", c.RemoveConnectionFromAllGroups(ctx, bob.id, nil))
	for _, name := range []string{group, "g2", "from token"} {
		answer("left "+name, false)(c.GroupExists(ctx, name, nil))
	}

	answer("permission", false)(c.HasPermission(ctx, service.PermissionSendToGroup, bob.id, group, nil))
	check("grant", c.GrantPermission(ctx, service.PermissionSendToGroup, bob.id, group, nil))
	answer("permission", true)(c.HasPermission(ctx, service.PermissionSendToGroup, bob.id, group, nil))
	answer("other permission", false)(c.HasPermission(ctx, service.PermissionJoinLeaveGroup, bob.id, group, nil))
	check("revoke", c.RevokePermission(ctx, service.PermissionSendToGroup, bob.id, group, nil))
	answer("permission", false)(c.HasPermission(ctx, service.PermissionSendToGroup, bob.id, group, nil))

	refused := func(what string, err error, status int, code string) {
		t.Helper()
		var re *azcore.ResponseError
		if !errors.As(err, &re) || re.StatusCode != status || re.ErrorCode != code {
			t.Errorf("%s: error %v, want %d %s", what, err, status, code)
		}
	}
	refused("add unknown connection", c.AddConnectionToGroup(ctx, group, "gone", nil), 404, "Error.Connection.NotExisted")
	refused("add unknown user", c.AddUserToGroup(ctx, group, "gone", nil), 404, "Warning.User.NotExisted")
	refused("grant to unknown", c.GrantPermission(ctx, service.PermissionSendToGroup, "gone", group, nil), 404, "Info.Connection.NotExisted")
	refused("bad filter", c.SendToAll(ctx, hi, &webpubsub.SendOptions{Filter: "invalid filter"}), 400, "Error.BadRequest")
	check("revoke of unknown", c.RevokePermission(ctx, service.PermissionSendToGroup, "gone", group, nil))
	check("close unknown", c.CloseConnection(ctx, "gone", nil))

	answer("user", true)(c.UserExists(ctx, "bob's", nil))
	check("close user", c.CloseUserConnections(ctx, "bob's", &service.CloseUserConnectionsOptions{Reason: "until tomorrow"}))
	if f := bob.read(t); f.Event != "disconnected" || f.Message != "Application server closed the connection. Reason: until tomorrow" {
		t.Errorf("bob was told %+v", f)
	}
	answer("user", false)(c.UserExists(ctx, "bob's", nil))
	check("close all but one", c.CloseAllConnections(ctx, &service.CloseAllConnectionsOptions{Excluded: []string{nobody.id}}))
	answer("alice", false)(c.ConnectionExists(ctx, alice.id, nil))
	answer("nobody", true)(c.ConnectionExists(ctx, nobody.id, nil))
	check("close one", c.CloseConnection(ctx, nobody.id, nil))
	answer("nobody", false)(c.ConnectionExists(ctx, nobody.id, nil))

	stranger, err := service.NewClientWithKeyCredential(srv.URL(), "chat", service.NewKeyCredential("another key, long enough to be one"), &service.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: srv.Client()},
	})
	check("other key", err)
	var re *azcore.ResponseError
	if err := stranger.SendToAll(ctx, hi, nil); !errors.As(err, &re) || re.StatusCode != http.StatusUnauthorized {
		t.Errorf("other key: %v", err)
	}
}
