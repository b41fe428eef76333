package emulator_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
)

// The setting of the file follows the file.
func TestGroupStateRolesInTheFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "hubs.json")
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(`{"requireGroupStateRoles": true}`)
		srv := virtual(t, emulator.Options{HubsFile: path})
		c, _ := dialJSON(t, srv, dialOptions{groups: []string{"g"}})
		set := func(ack int, want emulator.EntryKind) {
			t.Helper()
			c.send(fmt.Sprintf(`{"type":"setGroupState","group":"g","ackId":%d,"state":{"k":"v"}}`, ack))
			waitForCount(t, srv, want, 1)
		}
		set(1, emulator.EntryRejected)
		write(`{"requireGroupStateRoles": false}`)
		advance(2 * time.Second)
		waitForCount(t, srv, emulator.EntryReloaded, 1)
		set(2, emulator.EntryWarned)
	})
	_, err := emulator.ReadHubs(strings.NewReader("{\n\"requireGroupStateRoles\": \"yes\"}"))
	if err == nil || !strings.Contains(err.Error(), "line 2: requireGroupStateRoles: string is not what belongs here: it takes true or false") {
		t.Errorf("got %v", err)
	}
}

// The emulator reported the roles of group state as unknown, and let every client
// use group state, so that a missing role came to light in Azure at the earliest.
func TestGroupStateRoles(t *testing.T) {
	const setState, subscribe = `{"type":"setGroupState","group":"g","ackId":1,"state":{"k":"v"}}`, `{"type":"subscribeGroupState","group":"g","ackId":2}`
	get, set := webpubsub.RoleGetGroupState, webpubsub.RoleSetGroupState
	for _, tt := range []struct {
		name    string
		require bool
		roles   []string
		want    []string // the rejected acks
		warned  []string // the roles
	}{
		{name: "both roles", roles: []string{get, set}},
		{name: "both roles, required", require: true, roles: []string{get, set}},
		{name: "no role", warned: []string{set, get}},
		{name: "one role", roles: []string{get}, warned: []string{set}},
		{name: "no role, required", require: true, want: []string{"set its state in", "read the state of"}},
		{name: "one role, required", require: true, roles: []string{set}, want: []string{"read the state of"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := virtual(t, emulator.Options{RequireGroupStateRoles: tt.require})
				c, _ := dialJSON(t, srv, dialOptions{user: "ann", roles: tt.roles, groups: []string{"g"}})
				var rejected []string
				for range 2 { // a warning comes once
					for _, f := range []string{setState, subscribe} {
						c.send(f)
					}
				}
				synctest.Wait()
				var warned []string
				for _, e := range srv.Journal() {
					switch e.Kind {
					case emulator.EntryWarned:
						_, rest, _ := strings.Cut(e.Reason, "without the role ")
						role, _, _ := strings.Cut(rest, ":")
						warned = append(warned, role)
					case emulator.EntryRejected:
						rejected = append(rejected, e.Reason)
					}
				}
				if strings.Join(warned, " ") != strings.Join(tt.warned, " ") {
					t.Errorf("warned of %q, want %q", warned, tt.warned)
				}
				if len(rejected) != 2*len(tt.want) {
					t.Fatalf("rejected %q, want each of %q twice", rejected, tt.want)
				}
				for i, want := range tt.want {
					if !strings.Contains(rejected[i], "permission to "+want+" group 'g'") {
						t.Errorf("rejected %q, want %q", rejected[i], want)
					}
				}
			})
		})
	}
}
