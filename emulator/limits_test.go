package emulator_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/token"
)

// throttled wants a handshake to be answered with 429, and the journal to say why.
func throttled(t *testing.T, srv *emulator.Server, o dialOptions, body, why string) {
	t.Helper()
	_, resp, err := tryDial(t, srv, o)
	if err == nil {
		t.Fatal("the handshake succeeded")
	}
	got, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusTooManyRequests || string(got) != body {
		t.Errorf("%d %q, want 429 %q", resp.StatusCode, got, body)
	}
	all := srv.Journal()
	if e := all[len(all)-1]; e.Kind != emulator.EntryRejected || e.Status != 429 || !strings.Contains(e.Reason, why) {
		t.Errorf("the journal has %v, want a reason with %q", e, why)
	}
}

const (
	tooManyConnections = "Connection count reaches limit."
	tooManyMessages    = "Message count reaches limit."
)

func TestTierFreeConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rejects := false
		handlers, _ := upstreamInProcess(t, func(w http.ResponseWriter, e event) {
			if e.Name == "connect" && rejects {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.WriteHeader(http.StatusNoContent)
		})
		srv := virtual(t, emulator.Options{Tier: emulator.TierFree, Hubs: map[string]emulator.HubSettings{"events": {EventHandlers: handlers}}})
		// Rejected handshakes take no place.
		rejects = true
		for range 25 {
			if _, resp, err := tryDial(t, srv, dialOptions{hub: "events"}); err == nil || resp.StatusCode != http.StatusUnauthorized {
				t.Fatalf("%v, %v", resp, err)
			}
		}
		rejects = false
		// All hubs and protocols count together.
		reliable, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol})
		device := connectMQTT(t, srv, "device")
		last := dial(t, srv, dialOptions{hub: "events"})
		for range 17 {
			dial(t, srv, dialOptions{})
		}
		throttled(t, srv, dialOptions{}, tooManyConnections, "the tier free allows 20 connections")

		// An interrupted connection takes its place until it ends, and recovers in it.
		_ = reliable.ws.NetConn().Close()
		waitForNth(t, srv, emulator.EntryInterrupted, hello.ConnectionID, 1)
		throttled(t, srv, dialOptions{}, tooManyConnections, "the tier free allows 20 connections")
		recovered := recoverWith(t, srv, hello)
		recovered.expectNothingElse()

		_ = last.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
		_, _, _ = last.ws.ReadMessage()
		synctest.Wait()
		dial(t, srv, dialOptions{})
		throttled(t, srv, dialOptions{}, tooManyConnections, "20 connections")
		_ = device.ws.NetConn().Close()
		synctest.Wait()
		dial(t, srv, dialOptions{})
	})
}

// recoverWith takes a connection up again.
func recoverWith(t *testing.T, srv *emulator.Server, hello connected) *client {
	t.Helper()
	return dial(t, srv, dialOptions{subprotocol: reliableProtocol, query: map[string][]string{
		"awps_connection_id": {hello.ConnectionID}, "awps_reconnection_token": {hello.ReconnectionToken},
	}})
}

func TestTierStandard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := virtual(t, emulator.Options{Tier: emulator.TierStandard, Units: 2})
		for range 2000 {
			dial(t, srv, dialOptions{})
		}
		throttled(t, srv, dialOptions{}, tooManyConnections, "the tier standard allows 2000 connections")
	})
}

// 20 clients get messages of 10 KB, each of which counts five times, and so does the
// event of a client.
func TestTierFreeMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour) // noon
		handlers, _ := upstreamInProcess(t, nil)
		srv := virtual(t, emulator.Options{Tier: emulator.TierFree, Hubs: map[string]emulator.HubSettings{hubName: {EventHandlers: []emulator.EventHandler{{URL: handlers[0].URL, UserEvents: "*"}}}}})
		var clients []*client
		for range 20 {
			c, _ := dialJSON(t, srv, dialOptions{groups: []string{"g"}})
			clients = append(clients, c)
		}
		for range 199 {
			send(t, srv, "groups/g/:send", strings.Repeat("x", 10_000))
			for _, c := range clients {
				c.recv()
			}
		}
		// 19,900 are used: 19 events of 10 KB and 5 small ones make 20,000.
		raise := func(id, size int) {
			clients[0].send(fmt.Sprintf(`{"type":"event","event":"e","dataType":"text","data":%q,"ackId":%d}`, strings.Repeat("x", size), id))
		}
		for id := 1; id <= 19; id++ {
			raise(id, 10_000)
			clients[0].expect(fmt.Sprintf(`{"type":"ack","ackId":%d,"success":true}`, id))
		}
		for id := 20; id <= 24; id++ {
			raise(id, 1)
			clients[0].expect(fmt.Sprintf(`{"type":"ack","ackId":%d,"success":true}`, id))
		}
		synctest.Wait()
		for _, c := range clients {
			c.expectNothingElse()
		}
		raise(25, 1)
		for _, c := range clients[1:] {
			c.expectClose(websocket.ClosePolicyViolation, tooManyMessages)
		}
		waitForReason(t, srv, "the tier free allows 20000 messages")
		synctest.Wait()
		throttled(t, srv, dialOptions{}, tooManyMessages, "used up until midnight UTC")
		time.Sleep(12 * time.Hour)
		dial(t, srv, dialOptions{})
	})
}

// A message counts where it is sent, by every protocol.
func TestMessagesOfAllProtocolsCount(t *testing.T) {
	for name, connect := range map[string]func(*testing.T, *emulator.Server){
		"simple": func(t *testing.T, srv *emulator.Server) { dial(t, srv, dialOptions{groups: []string{"g"}}) },
		"reliable": func(t *testing.T, srv *emulator.Server) {
			dialJSON(t, srv, dialOptions{groups: []string{"g"}, subprotocol: reliableProtocol})
		},
		"MQTT": func(t *testing.T, srv *emulator.Server) {
			c := connectMQTT(t, srv, "m", anything...)
			c.subscribe("g", 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := virtual(t, emulator.Options{Tier: emulator.TierFree, MaxPendingMessages: 1000, MaxPendingBytes: 1 << 30})
				connect(t, srv)
				for range 41 { // of 488 or 489 units each: the last exceeds 20,000
					send(t, srv, "groups/g/:send", strings.Repeat("x", 1_000_000))
				}
				waitForReason(t, srv, "the tier free allows 20000 messages")
			})
		})
	}
}

// limited starts an emulator with rules for its hub.
func limited(t *testing.T, f emulator.ApplicationFirewall) *emulator.Server {
	t.Helper()
	return virtual(t, emulator.Options{Hubs: map[string]emulator.HubSettings{hubName: {ApplicationFirewall: f, AllowAnonymous: true}}})
}

func TestConnectionCountRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := limited(t, emulator.ApplicationFirewall{ClientConnectionCountRules: []emulator.ClientConnectionCountRule{
			{MaxCount: 2},
			{By: emulator.ThrottleByJWTSignature, MaxCount: 3},
			{By: emulator.ThrottleByJWTCustomClaim, ClaimName: "role", MaxCount: 4},
		}})
		dial(t, srv, dialOptions{user: "alice"})
		second := dial(t, srv, dialOptions{user: "alice"})
		throttled(t, srv, dialOptions{user: "alice"}, tooManyConnections, `ThrottleByUserIdRule: the user "alice" has 2 connections to the hub, and maxCount is 2`)
		dial(t, srv, dialOptions{user: "bob"})
		_ = second.ws.NetConn().Close()
		synctest.Wait()
		dial(t, srv, dialOptions{user: "alice"})

		// The same token, of no user.
		same := dialOptions{groups: []string{"one token"}}
		for range 3 {
			dial(t, srv, same)
		}
		throttled(t, srv, same, tooManyConnections, "ThrottleByJwtSignatureRule: the access token has 3 connections")
		for _, e := range srv.Journal() {
			if strings.Contains(e.Reason, "eyJ") {
				t.Errorf("the journal has a token: %v", e)
			}
		}

		for i := range 4 {
			dial(t, srv, dialOptions{roles: []string{"x", "y"}, groups: []string{fmt.Sprint(i)}})
		}
		throttled(t, srv, dialOptions{roles: []string{"x", "y"}, groups: []string{"other"}}, tooManyConnections,
			`ThrottleByJwtCustomClaimRule: the value "x,y" of the claim "role" has 4 connections`)
		dial(t, srv, dialOptions{roles: []string{"x"}, groups: []string{"other"}})

		// Without a token there is nothing to count by.
		for range 10 {
			dial(t, srv, dialOptions{noToken: true})
		}
		// Another hub has no rules.
		for range 10 {
			dial(t, srv, dialOptions{hub: "other", user: "alice"})
		}
		if err := srv.SetHub(hubName, emulator.HubSettings{}); err != nil {
			t.Fatal(err)
		}
		dial(t, srv, dialOptions{user: "alice"})
	})
}

// The rules hold for MQTT clients too, whose connection is that of the network, not
// their session.
func TestConnectionCountRulesForMQTT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := limited(t, emulator.ApplicationFirewall{ClientConnectionCountRules: []emulator.ClientConnectionCountRule{{MaxCount: 1}}})
		o := dialOptions{user: "alice"}
		c, answer := dialMQTT(t, srv, o, &mqtt.Connect{ClientID: "a", KeepAlive: 60, Properties: mqtt.Properties{{ID: mqtt.SessionExpiry, Int: 30}}})
		if answer.Code != 0 {
			t.Fatal(answer)
		}
		if _, resp, err := tryDialMQTT(t, srv, o); err == nil || resp.StatusCode != http.StatusTooManyRequests {
			t.Fatalf("%v, %v", resp, err)
		}
		_ = c.ws.NetConn().Close()
		synctest.Wait()
		if _, answer := dialMQTT(t, srv, o, &mqtt.Connect{ClientID: "a", KeepAlive: 60}); !answer.SessionPresent {
			t.Errorf("the session was not resumed: %+v", answer)
		}
	})
}

func TestTrafficControlRules(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := limited(t, emulator.ApplicationFirewall{ClientTrafficControlRules: []emulator.ClientTrafficControlRule{
			{MaxInboundMessageBytes: 1000, AggregationWindow: 10 * time.Second},
		}})
		o := dialOptions{user: "alice", roles: anything}
		one, _ := dialJSON(t, srv, o)
		two, _ := dialJSON(t, srv, o)
		other, _ := dialJSON(t, srv, dialOptions{user: "bob", roles: anything})
		frame := func(n int) string { // of n bytes
			const around = len(`{"type":"sendToGroup","group":"g","dataType":"text","data":""}`)
			return `{"type":"sendToGroup","group":"g","dataType":"text","data":"` + strings.Repeat("x", n-around) + `"}`
		}
		ping := len(`{"type":"ping"}`)
		for range 3 { // in each window, both connections together send 1,000 bytes
			one.send(frame(500))
			two.send(frame(500 - 2*ping))
			one.expectNothingElse()
			two.expectNothingElse()
			time.Sleep(10 * time.Second)
		}
		one.send(frame(500))
		one.expectNothingElse()
		two.send(frame(1001 - 500 - ping))
		two.expectClose(websocket.ClosePolicyViolation, "Message traffic reaches limit.")
		waitForReason(t, srv, `TrafficThrottleByUserIdRule: the user "alice" has sent 1001 bytes to the hub in this window of 10s, and maxInboundMessageBytes is 1000`)
		other.send(frame(900))
		other.expectNothingElse()
		// The rule is checked when a client sends: then the first is closed too.
		one.send(`{"type":"ping"}`)
		one.expectClose(websocket.ClosePolicyViolation, "Message traffic reaches limit.")
		// A new connection of the user is in the same window.
		again, _ := dialJSON(t, srv, o)
		again.send(`{"type":"ping"}`)
		again.expectClose(websocket.ClosePolicyViolation, "Message traffic reaches limit.")
	})
}

// The message that exceeds a rule is not processed.
func TestTrafficBeyondARuleIsNotProcessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := limited(t, emulator.ApplicationFirewall{ClientTrafficControlRules: []emulator.ClientTrafficControlRule{
			{By: emulator.ThrottleByJWTSignature, MaxInboundMessageBytes: 200},
		}})
		listener, _ := dialJSON(t, srv, dialOptions{groups: []string{"g"}})
		c, _ := dialJSON(t, srv, dialOptions{user: "a", roles: anything})
		c.send(`{"type":"sendToGroup","group":"g","dataType":"text","data":"` + strings.Repeat("x", 200) + `"}`)
		c.expectClose(websocket.ClosePolicyViolation, "Message traffic reaches limit.")
		listener.expectNothingElse()

		m, _ := dialMQTT(t, srv, dialOptions{user: "m", roles: anything}, &mqtt.Connect{ClientID: "m", CleanStart: true, KeepAlive: 60})
		m.send(&mqtt.Publish{Topic: "g", Payload: []byte(strings.Repeat("x", 150))})
		if got := listener.recv(); !strings.Contains(got, `"fromUserId":"m"`) {
			t.Error(got)
		}
		m.send(&mqtt.Publish{Topic: "g", Payload: []byte(strings.Repeat("x", 50))})
		if p, ok := m.recv().(*mqtt.Disconnect); !ok || p.Code != mqtt.QuotaExceeded {
			t.Errorf("got %v", p)
		}
		listener.expectNothingElse()
	})
}

func TestMaxClientConnectionLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := limited(t, emulator.ApplicationFirewall{MaxClientConnectionLifetime: 10 * time.Second})
		start := time.Now()
		c, hello := dialJSON(t, srv, dialOptions{subprotocol: reliableProtocol})
		m := connectMQTT(t, srv, "m")
		time.Sleep(5 * time.Second)
		_ = c.ws.NetConn().Close()
		waitForNth(t, srv, emulator.EntryInterrupted, hello.ConnectionID, 1)
		c = recoverWith(t, srv, hello)
		late, _ := dialJSON(t, srv, dialOptions{})
		_ = c.ws.SetReadDeadline(time.Time{})
		_, _, err := c.ws.ReadMessage()
		if !websocket.IsCloseError(err, websocket.ClosePolicyViolation) || !strings.Contains(err.Error(), "Connection lifetime reaches limit.") {
			t.Errorf("closed with %v", err)
		}
		if took := time.Since(start); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("closed after %v", took)
		}
		if e := waitFor(t, srv, emulator.EntryDisconnected, hello.ConnectionID); !strings.Contains(e.Reason, "maxClientConnectionLifetimeInSeconds: the connection has lasted for 10s") {
			t.Errorf("the journal has %v", e)
		}
		if p, ok := m.recv().(*mqtt.Disconnect); !ok || p.Code != mqtt.MaximumConnectTime {
			t.Errorf("the MQTT client got %v", p)
		}
		late.expectNothingElse()
		// What the client does about it.
		next := recoverWith(t, srv, hello)
		next.expectClose(websocket.ClosePolicyViolation, "The connection could not be recovered.")
	})
}

// Many handshakes at the same time do not exceed a limit while their connect events
// are under way.
func TestLimitsHoldDuringConnectEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		handlers, _ := upstreamInProcess(t, func(w http.ResponseWriter, e event) {
			if e.Name == "connect" {
				<-release
			}
			w.WriteHeader(http.StatusNoContent)
		})
		srv := virtual(t, emulator.Options{Hubs: map[string]emulator.HubSettings{hubName: {
			EventHandlers:       handlers,
			ApplicationFirewall: emulator.ApplicationFirewall{ClientConnectionCountRules: []emulator.ClientConnectionCountRule{{MaxCount: 3}}},
		}}})
		statuses := make(chan int, 10)
		for range 10 {
			go func() {
				_, resp, _ := tryDial(t, srv, dialOptions{user: "alice"})
				statuses <- resp.StatusCode
			}()
		}
		synctest.Wait()
		close(release)
		count := make(map[int]int)
		for range 10 {
			count[<-statuses]++
		}
		if count[http.StatusSwitchingProtocols] != 3 || count[http.StatusTooManyRequests] != 7 {
			t.Errorf("statuses %v", count)
		}
	})
}

func TestLimitsAreChecked(t *testing.T) {
	for want, o := range map[string]emulator.Options{
		`the tier "basic" is neither free nor standard`: {Tier: "basic"},
		"Units is 101: 1 to 100 are allowed":            {Tier: emulator.TierStandard, Units: 101},
		"Units is -1":                                   {Tier: emulator.TierStandard, Units: -1},
		"only the tier standard has several units":      {Tier: emulator.TierFree, Units: 2},
	} {
		if _, err := emulator.Start(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start: %v, want %q", err, want)
		}
	}
	type firewall = emulator.ApplicationFirewall
	for want, f := range map[string]firewall{
		"connection count rule 1: maxCount is -1":                        {ClientConnectionCountRules: []emulator.ClientConnectionCountRule{{MaxCount: -1}}},
		"connection count rule 1: the name of the claim is missing":      {ClientConnectionCountRules: []emulator.ClientConnectionCountRule{{By: emulator.ThrottleByJWTCustomClaim}}},
		"traffic control rule 1: the kind of rule 9":                     {ClientTrafficControlRules: []emulator.ClientTrafficControlRule{{By: 9}}},
		"traffic control rule 1: maxInboundMessageBytes is -1":           {ClientTrafficControlRules: []emulator.ClientTrafficControlRule{{MaxInboundMessageBytes: -1}}},
		"traffic control rule 1: the aggregation window is -1s":          {ClientTrafficControlRules: []emulator.ClientTrafficControlRule{{AggregationWindow: -time.Second}}},
		"traffic control rule 1: the name of a claim is for a rule by c": {ClientTrafficControlRules: []emulator.ClientTrafficControlRule{{ClaimName: "x"}}},
		"the longest lifetime of connections is -1s":                     {MaxClientConnectionLifetime: -time.Second},
	} {
		if err := emulator.CheckHubs(map[string]emulator.HubSettings{"chat": {ApplicationFirewall: f}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A claim is found by the name that the service gives it, too.
func TestConnectionCountRuleByClaimOfTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := limited(t, emulator.ApplicationFirewall{ClientConnectionCountRules: []emulator.ClientConnectionCountRule{
			{By: emulator.ThrottleByJWTCustomClaim, ClaimName: token.LongName("sub"), MaxCount: 1},
			{By: emulator.ThrottleByJWTCustomClaim, ClaimName: "tenant", MaxCount: 1}, // which no token has
		}})
		dial(t, srv, dialOptions{user: "alice"})
		dial(t, srv, dialOptions{user: "bob"})
		throttled(t, srv, dialOptions{user: "alice"}, tooManyConnections, `the value "alice" of the claim`)
	})
}
