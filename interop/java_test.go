package interop_test

import (
	"fmt"
	"maps"
	"net/url"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/testtool"
	"example.com/webpubsub/service"
)

// runJava runs the official Java package for servers. The one for clients is not
// to be had where these tests were written; see TestJavaClientProtocol.
func runJava(t *testing.T, p *proof) {
	java := testtool.Java(t, "java")
	b := start(t, nil)
	trust := testtool.JavaTrust(t, b.ca)
	p.suite(t, b, javaService, "java", java, "-Djavax.net.ssl.trustStore="+trust, "-Djavax.net.ssl.trustStorePassword=changeit", "-cp", testtool.JavaPath("src"),
		"org.junit.platform.console.ConsoleLauncher", "execute", "--scan-classpath=target/classes",
		"--disable-banner", "--disable-ansi-colors", "--details=tree")
}

// TestJavaClientProtocol sends what the official Java client sends, in its ways that
// are unlike the others' (azure-messaging-webpubsub-client, its sources): ack ids
// begin with 0, a recovery brings a new access token along, and groups are joined
// again after it.
func TestJavaClientProtocol(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{Logger: logger(t)})
	chat, err := service.NewClientFromConnectionString(srv.ConnectionString(), "java", nil)
	if err != nil {
		t.Fatal(err)
	}
	dial := func(recovery url.Values) *websocket.Conn {
		t.Helper()
		access, err := chat.GetClientAccessToken(t.Context(), &service.GetClientAccessTokenOptions{
			UserID: "alice", Roles: []string{webpubsub.RoleJoinLeaveAnyGroup, webpubsub.RoleSendToAnyGroup},
		})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(access.URL)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		maps.Copy(q, recovery)
		u.RawQuery = q.Encode()
		d := websocket.Dialer{Subprotocols: []string{"json.reliable.webpubsub.azure.v1"}}
		ws, _, err := d.DialContext(t.Context(), u.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ws.Close() })
		return ws
	}
	ws := dial(nil)
	send := func(frame string) {
		t.Helper()
		if err := ws.WriteMessage(websocket.TextMessage, []byte(frame)); err != nil {
			t.Fatal(err)
		}
	}
	var last uint64 // sequence id
	expect := func(want string) {
		t.Helper()
		var frame struct {
			Type, Data string
			AckID      *uint64
			Success    bool
			SequenceID uint64
			Error      struct{ Name string }
		}
		// What was not acknowledged in time comes again, and is dropped.
		for repeated := true; repeated; repeated = frame.Type == "message" && frame.SequenceID <= last {
			if err := ws.ReadJSON(&frame); err != nil {
				t.Fatal(err)
			}
		}
		last = max(last, frame.SequenceID)
		got := frame.Type + " " + frame.Data
		if frame.AckID != nil {
			got = fmt.Sprintf("ack %d %t %s", *frame.AckID, frame.Success, frame.Error.Name)
		}
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}

	var connected struct{ ConnectionID, ReconnectionToken string }
	if err := ws.ReadJSON(&connected); err != nil || connected.ReconnectionToken == "" {
		t.Fatalf("the first frame is %+v, %v", connected, err)
	}
	join := func(ackID int) string { return fmt.Sprintf(`{"type":"joinGroup","group":"g","ackId":%d}`, ackID) }
	publish := func(ackID int, text string) string {
		return fmt.Sprintf(`{"type":"sendToGroup","group":"g","ackId":%d,"noEcho":false,"dataType":"text","data":%q}`, ackID, text)
	}
	send(join(0))
	expect("ack 0 true ")
	send(join(0))
	expect("ack 0 false Duplicate")
	send(publish(1, "one"))
	expect("message one")
	expect("ack 1 true ")
	send(fmt.Sprintf(`{"type":"sequenceAck","sequenceId":%d}`, last))

	// The network is lost, and a message comes meanwhile.
	_ = ws.NetConn().Close()
	if err := chat.SendToGroup(t.Context(), "g", webpubsub.Text("two"), nil); err != nil {
		t.Fatal(err)
	}
	ws = dial(url.Values{
		"awps_connection_id":      {connected.ConnectionID},
		"awps_reconnection_token": {connected.ReconnectionToken},
	})
	send(join(2))
	send(publish(1, "one")) // what it has no answer to is sent again
	send(publish(3, "three"))
	for _, want := range []string{"message two", "ack 2 true ", "ack 1 false Duplicate", "message three", "ack 3 true "} {
		expect(want)
	}
}
