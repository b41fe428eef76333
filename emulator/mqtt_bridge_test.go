package emulator_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/mqtt"
)

// A message reaches clients of every protocol, with the data type of its
// content type.
func TestMQTTToOthers(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	from, _ := dialMQTT(t, srv, dialOptions{user: "ann", roles: anything}, &mqtt.Connect{ClientID: "a"})
	to, _ := dialJSON(t, srv, dialOptions{groups: []string{"t"}})
	reliable, _ := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol, groups: []string{"t"}})
	simple := dial(t, srv, dialOptions{groups: []string{"t"}})
	for i, tt := range []struct{ contentType, payload, kind, data string }{
		{"", "\x01", "binary", `"AQ=="`},
		{"application/octet-stream", "\x01", "binary", `"AQ=="`},
		{"text/plain; charset=utf-8", "hi", "text", `"hi"`},
		{"application/json", `{"a":1}`, "json", `{"a":1}`},
		{"image/png", "\x02", "binary", `"Ag=="`},
	} {
		from.send(message("t", tt.contentType, tt.payload))
		rest := `"type":"message","from":"group","fromUserId":"ann","group":"t","dataType":"` + tt.kind + `","data":` + tt.data + `}`
		to.expect("{" + rest)
		reliable.expect(`{"sequenceId":` + string(rune('1'+i)) + "," + rest)
		simple.expect(tt.payload)
	}
}

// From elsewhere a message comes with QoS 1 at most, and the content type of
// its data type.
func TestOthersToMQTT(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	from, _ := dialJSON(t, srv, dialOptions{roles: anything})
	for version, contentType := range map[mqtt.Version][3]string{
		mqtt.V5:   {"text/plain", "application/json", "application/octet-stream"},
		mqtt.V311: {},
	} {
		c, _ := dialMQTT(t, srv, dialOptions{user: "bob", roles: anything}, &mqtt.Connect{Version: version, ClientID: "a", CleanStart: true})
		c.subscribe("t", 2)
		from.send(`{"type":"sendToGroup","group":"t","dataType":"text","data":"x"}`)
		from.send(`{"type":"sendToGroup","group":"t","dataType":"json","data":{"b":2}}`)
		from.send(`{"type":"sendToGroup","group":"t","dataType":"binary","data":"AQID"}`)
		c.expect(
			withQoS(1, 1, message("t", contentType[0], "x")),
			withQoS(1, 2, message("t", contentType[1], `{"b":2}`)),
			withQoS(1, 3, message("t", contentType[2], "\x01\x02\x03")),
		)
		// What is for the client itself has a topic of the service's own, and QoS 1
		// unless the client subscribes to it for less.
		for i, path := range []string{":send", "users/bob/:send", "connections/a/:send"} {
			send(t, srv, path, path)
			c.expect(withQoS(1, uint16(4+i), message("$webpubsub/server/messages", contentType[0], path)))
		}
		c.subscribe("$webpubsub/server/messages", 0)
		send(t, srv, "connections/a/:send", "y")
		c.expect(message("$webpubsub/server/messages", contentType[0], "y"))
	}
}

// Groups of other protocols may have names that are no topics. Their messages
// used to be sent to MQTT members all the same, which must close the connection
// on such a topic.
func TestGroupsThatAreNoTopics(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c := connectMQTT(t, srv, "a", anything...)
	for _, group := range []string{"c++", "a#b", "nul\x00"} {
		path := "groups/" + url.PathEscape(group)
		if got := rest(t, srv, request{method: "PUT", path: path + "/connections/a"}); got.status != 200 {
			t.Fatalf("%q: %d %s", group, got.status, got.body)
		}
		other, _ := dialJSON(t, srv, dialOptions{groups: []string{group}})
		send(t, srv, path+"/:send", "x")
		if got := other.recv(); !strings.Contains(got, `"data":"x"`) {
			t.Errorf("%q: other members get %s", group, got)
		}
		waitForReason(t, srv, fmt.Sprintf("a message to the group %q does not reach its MQTT clients", group))
	}
	c.expectNothingElse()
}

// A topic with levels works between clients. REST calls on its group succeed and
// reach nobody, as in the service, which showed in production first: the journal
// says so when a client joins it.
func TestTopicsThatRESTCannotReach(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c := connectMQTT(t, srv, "a", anything...)
	c.subscribe("tenant/1", 0)
	c.send(message("tenant/1", "", "x"))
	c.expect(message("tenant/1", "", "x"))
	send(t, srv, "groups/tenant%2F1/:send", "y")
	c.expectNothingElse()
	if e := waitFor(t, srv, emulator.EntryJoined, "a"); !strings.Contains(e.Reason, "REST calls on it have no effect") {
		t.Errorf("journal %+v", e)
	}
	c.subscribe("tenant.1", 0)
	if e := waitForNth(t, srv, emulator.EntryJoined, "a", 2); e.Reason != "" {
		t.Errorf("journal %+v", e)
	}
}

// What MQTT clients say to each other keeps its properties.
func TestMQTTProperties(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c := connectMQTT(t, srv, "a", anything...)
	c.send(&mqtt.Subscribe{
		PacketID: 1, Properties: mqtt.Properties{{ID: mqtt.SubscriptionID, Int: 7}},
		Filters: []mqtt.Filter{{Topic: "t", QoS: 1}, {Topic: "quiet", NoLocal: true}},
	})
	c.expect(&mqtt.Suback{PacketID: 1, Codes: []mqtt.Code{1, 0}})
	p := message("t", "image/png", "x")
	p.Properties.AddInt(mqtt.PayloadFormat, 1)
	p.Properties.AddData(mqtt.ResponseTopic, "r")
	p.Properties.AddData(mqtt.CorrelationData, "\x00")
	p.Properties.AddUser("k", "1")
	p.Properties.AddUser("k", "2")
	c.send(message("quiet", "", ""), p)
	got := *p
	got.Properties = append(mqtt.Properties{{ID: mqtt.SubscriptionID, Int: 7}}, p.Properties...)
	c.expect(&got)
	// A second SUBSCRIBE replaces the options.
	c.subscribe("t", 0)
	c.send(p)
	c.expect(p)
	other := connectMQTT(t, srv, "b", anything...)
	other.send(message("quiet", "", "x"))
	with := message("quiet", "", "x")
	with.Properties.AddInt(mqtt.SubscriptionID, 7)
	c.expect(with)
}

// The REST API sees sessions as connections and subscriptions as groups.
func TestMQTTAndREST(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	c, _ := dialMQTT(t, srv, dialOptions{user: "bob", roles: []string{"webpubsub.joinLeaveGroup.own"}, groups: []string{"first"}}, &mqtt.Connect{ClientID: "a", KeepAlive: 60})
	send(t, srv, "groups/first/:send", "1")
	c.expect(message("first", "text/plain", "1"))
	c.subscribe("own", 1)
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"HEAD", "connections/a", 200},
		{"HEAD", "users/bob", 200},
		{"HEAD", "groups/own", 200},
		{"PUT", "groups/added/connections/a", 200},
		{"PUT", "users/bob/groups/more", 200},
		{"HEAD", "permissions/joinLeaveGroup/connections/a?targetName=own", 200},
		{"HEAD", "permissions/joinLeaveGroup/connections/a?targetName=x", 404},
		{"PUT", "permissions/joinLeaveGroup/connections/a?targetName=x", 200},
		{"DELETE", "groups/own/connections/a", 204},
		{"HEAD", "groups/own", 404},
	} {
		if got := rest(t, srv, request{method: tt.method, path: tt.path}); got.status != tt.status {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, got.status, got.body)
		}
	}
	c.subscribe("x", 0)
	send(t, srv, "groups/own/:send", "no longer")
	send(t, srv, "groups/added/:send", "2")
	send(t, srv, "groups/more/:send", "3")
	c.expect(message("added", "text/plain", "2"), message("more", "text/plain", "3"))
	// The options of a subscription end with it, whoever ends it.
	rest(t, srv, request{method: "PUT", path: "groups/own/connections/a"})
	send(t, srv, "groups/own/:send", "4")
	c.expect(message("own", "text/plain", "4"))
	if got := rest(t, srv, request{method: "GET", path: "groups/x/connections?api-version=2024-12-01"}); got.body != `{"value":[{"connectionId":"a","userId":"bob"}]}` {
		t.Errorf("members %s", got.body)
	}
	send(t, srv, ":send?filter=connectionId+eq+'a'", "5")
	c.expect(withQoS(1, 1, message("$webpubsub/server/messages", "text/plain", "5")))

	rest(t, srv, request{method: "DELETE", path: "connections/a?reason=go+away"})
	end, ok := c.recv().(*mqtt.Disconnect)
	if reason, _ := end.Properties.Data(mqtt.ReasonString); !ok || end.Code != mqtt.AdministrativeAction || reason != "go away" {
		t.Errorf("end %+v", end)
	}
	c.expectClosed()
	waitFor(t, srv, emulator.EntryDisconnected, "a")
}
