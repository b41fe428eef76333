package service_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"example.com/webpubsub"
	"example.com/webpubsub/service"
)

// byName calls every operation that has a group name or a user ID in its path,
// and says what the error for a name with a slash must offer.
func byName(ctx context.Context, c *service.Client, name string) map[string]struct {
	err  error
	want string
} {
	type result = struct {
		err  error
		want string
	}
	const none = "choose another name, the REST API has no other way"
	hi := webpubsub.Text("x")
	_, groupErr := c.GroupExists(ctx, name, nil)
	_, userErr := c.UserExists(ctx, name, nil)
	_, listErr := c.NewListConnectionsInGroupPager(name, nil).NextPage(ctx)
	return map[string]result{
		"SendToGroup":                  {c.SendToGroup(ctx, name, hi, nil), "SendToAll with the filter webpubsub.FilterGroup"},
		"SendToUser":                   {c.SendToUser(ctx, name, hi, nil), "SendToAll with the filter webpubsub.FilterUsers"},
		"GroupExists":                  {groupErr, none},
		"UserExists":                   {userErr, none},
		"ListConnectionsInGroup":       {listErr, none},
		"CloseGroupConnections":        {c.CloseGroupConnections(ctx, name, nil), none},
		"CloseUserConnections":         {c.CloseUserConnections(ctx, name, nil), none},
		"AddConnectionToGroup":         {c.AddConnectionToGroup(ctx, name, "c", nil), "AddConnectionsToGroups with the filter webpubsub.FilterConnections"},
		"RemoveConnectionFromGroup":    {c.RemoveConnectionFromGroup(ctx, name, "c", nil), "RemoveConnectionsFromGroups with the filter webpubsub.FilterConnections"},
		"AddUserToGroup, group":        {c.AddUserToGroup(ctx, name, "u", nil), "AddConnectionsToGroups with the filter webpubsub.FilterUsers"},
		"AddUserToGroup, user":         {c.AddUserToGroup(ctx, "g", name, nil), "AddConnectionsToGroups with the filter webpubsub.FilterUsers"},
		"RemoveUserFromGroup, group":   {c.RemoveUserFromGroup(ctx, name, "u", nil), "RemoveConnectionsFromGroups with the filter webpubsub.FilterUsers"},
		"RemoveUserFromGroup, user":    {c.RemoveUserFromGroup(ctx, "g", name, nil), "RemoveConnectionsFromGroups with the filter webpubsub.FilterUsers"},
		"RemoveUserFromAllGroups":      {c.RemoveUserFromAllGroups(ctx, name, nil), "RemoveConnectionsFromGroups with the filter webpubsub.FilterUsers"},
		"CloseConnection":              {c.CloseConnection(ctx, name, nil), "as the service reports it"},
		"SendToConnection":             {c.SendToConnection(ctx, name, hi, nil), "as the service reports it"},
		"AddConnectionToGroup, member": {c.AddConnectionToGroup(ctx, "g", name, nil), "as the service reports it"},
	}
}

// A group "tenant/1" works between clients, so a program seems to work until it
// calls the REST API: the service does not decode %2F, and a send to the group
// succeeds and reaches nobody. Servers and proxies remove dot segments, so a send
// to the group ".." would reach the whole hub.
func TestNamesThatPathsCannotCarry(t *testing.T) {
	srv := newCapture(t, false)
	c := srv.keyClient(t, nil)
	for name, reason := range map[string]string{"tenant/1": "does not decode %2F", ".": "are removed", "..": "are removed"} {
		for method, got := range byName(t.Context(), c, name) {
			if got.err == nil || !strings.Contains(got.err.Error(), reason) || !strings.Contains(got.err.Error(), got.want) {
				t.Errorf("%s(%q): got %v, want %q and %q", method, name, got.err, reason, got.want)
			}
		}
	}
	if r := srv.take(); len(r) > 0 {
		t.Errorf("requests were sent: %v", r)
	}

	// What the errors offer has no name in its path.
	ctx := t.Context()
	if err := c.SendToAll(ctx, webpubsub.Text("x"), &webpubsub.SendOptions{Filter: webpubsub.FilterGroup("tenant/1")}); err != nil {
		t.Error(err)
	}
	srv.answer(http.StatusOK, "")
	if err := c.AddConnectionsToGroups(ctx, []string{"tenant/1", ".."}, webpubsub.FilterUsers("a/b"), nil); err != nil {
		t.Error(err)
	}
	if err := c.GrantPermission(ctx, service.PermissionSendToGroup, "c", "tenant/1", nil); err != nil {
		t.Errorf("a permission's group is in the query: %v", err)
	}
}

// FuzzPath checks that no name can leave its place in the path.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"g", "..", "...", "a/b", "a%2Fb", "%", "+", "a b", "?x=1", "#f", ";p=1", "ü", "\x00", "\xff", `\..\`, ":send", "../:send"} {
		f.Add(s)
	}
	var got *http.Request
	c, err := service.NewClientWithKeyCredential("https://h/base", "chat", service.NewKeyCredential(testKey), &service.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: transport(func(r *http.Request) (*http.Response, error) {
			got = r
			return response(r, http.StatusAccepted), nil
		})},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got = nil
		if err := c.SendToUser(t.Context(), name, webpubsub.Text("x"), nil); err != nil {
			if got != nil {
				t.Errorf("%q: sent, and then %v", name, err)
			}
			return
		}
		segments := strings.Split(got.URL.EscapedPath(), "/")
		if len(segments) != 8 || segments[7] != ":send" || got.URL.RawQuery != "api-version=2024-12-01" || got.URL.Fragment != "" {
			t.Fatalf("%q: %s", name, got.URL)
		}
		if back, err := url.PathUnescape(segments[6]); err != nil || back != name || back == ".." || back == "." || strings.Contains(back, "/") {
			t.Errorf("%q arrives as %q, %v", name, back, err)
		}
	})
}

// A token can grant a name that REST calls cannot address, since clients can use
// it. The log says so once for each kind of name, not once for each client.
func TestTokensWarnAboutNames(t *testing.T) {
	var log bytes.Buffer
	o := newCapture(t, false).options()
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	c, err := service.NewClientWithKeyCredential("https://h", "chat", service.NewKeyCredential(testKey), o)
	if err != nil {
		t.Fatal(err)
	}
	grant := func(o service.GetClientAccessTokenOptions) string {
		t.Helper()
		log.Reset()
		if _, err := c.GetClientAccessToken(t.Context(), &o); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	if got := grant(service.GetClientAccessTokenOptions{UserID: "alice", Roles: []string{webpubsub.RoleSendToGroup("news")}, Groups: []string{"news"}}); got != "" {
		t.Errorf("ordinary names: %s", got)
	}
	for _, tt := range []struct {
		options service.GetClientAccessTokenOptions
		want    []string
	}{
		{service.GetClientAccessTokenOptions{UserID: "a/b"}, []string{"level=WARN", `user ID: \"a/b\"`, "hub=chat", "SendToAll with a filter"}},
		{service.GetClientAccessTokenOptions{Roles: []string{webpubsub.RoleJoinLeaveGroup("tenant/1")}}, []string{`\"tenant/1\"`}},
		{service.GetClientAccessTokenOptions{Groups: []string{"news", "tenant/2"}}, []string{`\"tenant/2\"`}},
	} {
		got := grant(tt.options)
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%+v: log %q lacks %q", tt.options, got, want)
			}
		}
		if again := grant(tt.options); again != "" {
			t.Errorf("%+v: logged again: %s", tt.options, again)
		}
	}
}
