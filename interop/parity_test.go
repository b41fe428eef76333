package interop_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
)

// sameRequest is an upstream request that Express and the Go handler get.
type sameRequest struct {
	name    string
	request *http.Request
	// differ tells how the answers differ, Express's first, and why why they may.
	// Both are empty where the answers are the same.
	differ, why string
}

// sameRequests are the cases of the tests of web-pubsub-express, and every event
// with every kind of content.
func sameRequests() []sameRequest {
	const success = "both are success"
	connect := func(query string, o *handlertest.Options) *http.Request {
		if o == nil {
			o = &handlertest.Options{}
		}
		q, _ := url.ParseQuery(query)
		o.Query = q
		return handlertest.Connect("express", "conn1", at(o))
	}
	mqtt := func(version int) *handlertest.Options {
		return &handlertest.Options{
			PhysicalConnectionID: "phys1",
			SessionID:            "session1",
			Subprotocols:         []string{"mqtt"},
			MQTTConnect: &handler.MQTTConnect{
				ProtocolVersion: version, Username: "alice", Password: []byte("secret"),
				UserProperties: []handler.MQTTUserProperty{{Name: "a", Value: "b"}},
			},
		}
	}
	user := func(name string, m webpubsub.Message, o *handlertest.Options) *http.Request {
		return handlertest.UserEvent("express", "conn1", name, m, at(o))
	}
	header := func(r *http.Request, change func(http.Header)) *http.Request {
		change(r.Header)
		return r
	}
	set := func(k, v string) func(http.Header) { return func(h http.Header) { h.Set(k, v) } }
	del := func(k string) func(http.Header) { return func(h http.Header) { h.Del(k) } }
	hello := webpubsub.Text("hällo")
	body := func(r *http.Request, text string) *http.Request {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(text)), int64(len(text))
		return r
	}
	method := func(r *http.Request, m string) *http.Request {
		r.Method = m
		return r
	}
	state := map[string]any{"key1": "old", "list": []any{1.0, "ü"}, "object": map[string]any{"a": nil}}

	return []sameRequest{
		{"preflight", handlertest.ValidationRequest("127.0.0.1"), "", ""},
		{"preflight of a host that is not allowed", handlertest.ValidationRequest("other.example"), "status 200/400, allowed 127.0.0.1/", "Express lists its hosts and leaves it to the service to compare; no is said clearly"},
		{"preflight of two hosts, one of them allowed", handlertest.ValidationRequest("127.0.0.1", "other.example"), "", ""},
		{"preflight without ce-awpsversion", header(handlertest.ValidationRequest("127.0.0.1"), del("ce-awpsversion")), "status 404/200, allowed /127.0.0.1", "the origin is what is asked about"},
		{"preflight by GET", method(handlertest.ValidationRequest("127.0.0.1"), http.MethodGet), "status 404/200, allowed /127.0.0.1", "the service falls back to GET"},

		{"connect", connect("as=carol", nil), "", ""},
		{"connect that changes nothing", connect("nothing=1", nil), "", ""},
		{"connect sets states", connect("states=1", nil), "", ""},
		{"connect reads states", connect("states=1", &handlertest.Options{State: state}), "", ""},
		{"connect with an empty state header", header(connect("as=carol", nil), set("ce-connectionState", "")), "", ""},
		{"connect with a damaged state header", header(connect("as=carol", nil), set("ce-connectionState", "%")), "", ""},
		{"connect refused with 400", connect("refuse=400", nil), "", ""},
		{"connect refused with 401", connect("refuse=401", nil), "", ""},
		{"connect refused with 500", connect("refuse=500", nil), "", ""},
		{"connect, no callback", handlertest.Connect("bare", "conn1", at(nil)), "status 200/204", success},
		{"connect, hub in another case", handlertest.Connect("EXPRESS", "conn1", at(nil)), "", ""},
		{"connect to another hub", handlertest.Connect("other", "conn1", at(nil)), "", ""},
		{"connect that is no JSON", body(connect("", nil), "{"), "status 500/400", "it is the request that is broken; the service repeats what fails with 500"},
		{"MQTT 3.1.1 connect", connect("mqtt=1", mqtt(4)), "", ""},
		{"MQTT 5 connect", connect("mqtt=1", mqtt(5)), "", ""},
		{"MQTT connect, no callback", handlertest.Connect("bare", "conn1", at(mqtt(4))), "", ""},
		{"MQTT 3.1.1 connect refused with 400", connect("refuse=400", mqtt(4)), "", ""},
		{"MQTT 3.1.1 connect refused with 401", connect("failWith=401", mqtt(4)), "", ""},
		{"MQTT 3.1.1 connect refused with 500", connect("refuse=500", mqtt(4)), "", ""},
		{"MQTT 5 connect refused with 400", connect("refuse=400", mqtt(5)), "", ""},
		{"MQTT 5 connect refused with 401", connect("failWith=401", mqtt(5)), "", ""},
		{"MQTT 5 connect refused with 500", connect("refuse=500", mqtt(5)), "", ""},
		{"MQTT 3.1.1 connect, bad credentials", connect("mqttCode=4", mqtt(4)), "", ""},
		{"MQTT 3.1.1 connect, server unavailable", connect("mqttCode=3", mqtt(4)), "", ""},
		{"MQTT 5 connect, banned", connect("mqttCode=138", mqtt(5)), "", ""},
		{"MQTT 5 connect, quota exceeded", connect("mqttCode=151", mqtt(5)), "", ""},

		{"connected", handlertest.Connected("express", "conn1", at(nil)), "status 200/204", success},
		{"connected, no callback", handlertest.Connected("bare", "conn1", at(nil)), "status 200/204", success},
		{"MQTT connected", handlertest.Connected("express", "conn1", at(mqtt(5))), "status 200/204", success},
		{"disconnected", handlertest.Disconnected("express", "conn1", "gone", at(nil)), "status 200/204", success},
		{"disconnected, no callback", handlertest.Disconnected("bare", "conn1", "gone", at(nil)), "status 200/204", success},
		{"MQTT disconnected", handlertest.Disconnected("express", "conn1", "gone", at(mqtt(5))), "status 200/204", success},
		{"group joined", handlertest.GroupJoined("express", "conn1", "group1", at(nil)), "status 200/204", success},
		{"group joined, no callback", handlertest.GroupJoined("bare", "conn1", "group1", at(nil)), "status 200/204", success},
		{"group left", handlertest.GroupLeft("express", "conn1", "group1", at(nil)), "status 200/204", success},
		{"group left, another hub", handlertest.GroupLeft("other", "conn1", "group1", at(nil)), "", ""},

		{"user event, text", user("echo", hello, nil), "", ""},
		{"user event, empty text", user("echo", webpubsub.Text(""), nil), "status 200/204", "an empty answer is no reply with either status"},
		{"user event, JSON", user("echo", webpubsub.MustJSON(map[string]any{"a": []any{1, nil, "<ü>"}}), nil), "", ""},
		{"user event, JSON string", user("echo", webpubsub.MustJSON("text"), nil), "", ""},
		{"user event, binary", user("echo", webpubsub.Binary([]byte{0, 128, 255}), nil), "", ""},
		{"user event, protobuf", header(user("echo", webpubsub.Binary([]byte{8, 1}), nil), set("Content-Type", "application/x-protobuf")), "status 404/200", "the service sends it for clients of the protobuf protocol"},
		{"user event, XML", header(user("echo", hello, nil), set("Content-Type", "application/xml")), "status 404/415", "415 says what is wrong"},
		{"user event, no content type", header(user("echo", hello, nil), del("Content-Type")), "status 404/200", "bytes without a type are bytes"},
		{"user event, content type without charset", header(user("echo", hello, nil), set("Content-Type", "text/plain")), "", ""},
		{"user event, broken JSON", body(user("quiet", webpubsub.MustJSON(1), nil), "{"), "status 500/204", "the payload is decoded where the callback asks for it"},
		{"user event without reply", user("quiet", hello, nil), "status 200/204", "an empty answer is no reply with either status"},
		{"user event, failed with 400", user("deny", hello, nil), "", ""},
		{"user event, failed with 500", user("fail", hello, nil), "", ""},
		{"user event, callback throws", user("throw", hello, nil), "", ""},
		{"user event sets states", user("states", hello, nil), "", ""},
		{"user event changes states", user("states", hello, &handlertest.Options{State: state}), "", ""},
		{"user event counts", user("count", hello, &handlertest.Options{State: map[string]any{"visits": 41}}), "", ""},
		{"user event called disconnected", user("disconnected", hello, nil), "", ""},
		{"user event, no callback", handlertest.UserEvent("bare", "conn1", "echo", hello, at(nil)), "status 200/404", "silence would hide a misspelt name"},
		{"user event, another hub", handlertest.UserEvent("other", "conn1", "echo", hello, at(nil)), "", ""},
		{"user event, no user id", user("echo", hello, &handlertest.Options{UserID: ""}), "", ""},
		{"MQTT user event, text", user("echo", hello, mqtt(5)), "", ""},
		{"MQTT user event, XML", header(user("echo", hello, mqtt(5)), set("Content-Type", "application/xml")), "status 404/200", "MQTT messages may be of any type (Microsoft Learn, MQTT event handlers)"},
		{"RFC 1123 time", header(user("echo", hello, nil), set("ce-time", "Thu, 05 Mar 2020 00:00:00 GMT")), "", ""},
		{"ce-event in place of ce-eventName", header(user("echo", hello, nil), func(h http.Header) { h.Del("ce-eventName"); h.Set("ce-event", "echo") }), "", ""},
		{"unknown event", header(user("echo", hello, nil), set("ce-type", "azure.webpubsub.sys.other")), "status 404/400", "400 says what is wrong"},
		{"no signature", header(user("echo", hello, nil), del("ce-signature")), "status 200/401", "Express verifies nothing"},
		{"wrong signature", header(user("echo", hello, nil), set("ce-signature", "sha256=00")), "status 200/401", "Express verifies nothing"},
		{"another origin", header(user("echo", hello, nil), set("WebHook-Request-Origin", "other.example")), "status 200/401", "Express verifies nothing"},
		{"no origin", header(user("echo", hello, nil), del("WebHook-Request-Origin")), "status 404/401", "who sends no origin is not the service"},
		{"no ce-awpsversion", header(user("echo", hello, nil), del("ce-awpsversion")), "status 404/200", "the Functions extension does not need it either"},
		{"not a cloud event", header(user("echo", hello, nil), func(h http.Header) {
			for k := range h {
				if strings.HasPrefix(k, "Ce-") || strings.HasPrefix(k, "Webhook-") {
					h.Del(k)
				}
			}
		}), "status 404/401", "who sends no origin is not the service"},
	}
}

// at says where the events of the tests come from.
func at(o *handlertest.Options) *handlertest.Options {
	out := handlertest.Options{}
	if o != nil {
		out = *o
	}
	out.Origin = "127.0.0.1"
	out.AccessKeys = []string{emulator.DefaultAccessKey}
	return &out
}

// answer is what is compared.
type answer struct {
	status               int
	contentType, allowed string
	body, state          any
}

// post sends a request to the event handlers at an address.
func post(t *testing.T, address string, r *http.Request) answer {
	t.Helper()
	hub := "express"
	if r.Header.Get("ce-hub") == "bare" {
		hub = "bare"
	}
	u, err := url.Parse(address + "/api/webpubsub/hubs/" + hub + "/")
	if err != nil {
		t.Fatal(err)
	}
	r.URL, r.Host, r.RequestURI = u, u.Host, ""
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{
		status:      resp.StatusCode,
		contentType: resp.Header.Get("Content-Type"),
		allowed:     strings.Join(resp.Header.Values("WebHook-Allowed-Origin"), ","),
		body:        string(content),
	}
	if strings.HasPrefix(a.contentType, "application/json") {
		if err := json.Unmarshal(content, &a.body); err != nil {
			t.Errorf("%s answered with broken JSON: %v", address, err)
		}
	}
	if s := resp.Header.Get("ce-connectionState"); s != "" {
		raw, err := base64.StdEncoding.DecodeString(s)
		if err == nil {
			err = json.Unmarshal(raw, &a.state)
		}
		if err != nil {
			t.Errorf("%s answered with the state %q: %v", address, s, err)
		}
	}
	return a
}

// differ tells how two answers differ. Of two failures the service reads the
// status, the text and an MQTT code; Express's own error pages say nothing to it.
func differ(a, b answer) string {
	var list []string
	add := func(same bool, format string, args ...any) {
		if !same {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	add(a.status == b.status, "status %d/%d", a.status, b.status)
	add(a.allowed == b.allowed, "allowed %s/%s", a.allowed, b.allowed)
	failed := a.status >= 400 || b.status >= 400
	if failed && (a.status != b.status || strings.HasPrefix(a.contentType, "text/html")) {
		return strings.Join(list, ", ")
	}
	add(reflect.DeepEqual(a.body, b.body), "body")
	if !failed && a.status == b.status {
		add(a.contentType == b.contentType, "type %s/%s", a.contentType, b.contentType)
	}
	add(reflect.DeepEqual(a.state, b.state), "state")
	return strings.Join(list, ", ")
}

// compareUpstreams sends the same requests to Express and to the Go handler.
func compareUpstreams(t *testing.T, p *proof, express, goURL string) {
	theirs, ours := sameRequests(), sameRequests() // a body is read once
	for i, tt := range theirs {
		t.Run(tt.name, func(t *testing.T) {
			a, b := post(t, express, tt.request), post(t, goURL, ours[i].request)
			if got := differ(a, b); got != tt.differ {
				t.Errorf("the answers differ in %q, want %q\nExpress: %+v\nGo:      %+v", got, tt.differ, a, b)
			}
			if (tt.differ == "") != (tt.why == "") {
				t.Error("a difference needs its reason, and only a difference does")
			}
		})
	}
	for _, pkg := range []string{jsExpress, goHandler} {
		p.add(t, pkg, result{Name: "upstream-same: what sameRequests lists", OK: !t.Failed()})
	}
}
