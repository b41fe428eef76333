package emulator_test

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/emulator"
)

var update = flag.Bool("update", false, "write the golden files anew")

const (
	typeText   = "text/plain"
	typeJSON   = "application/json"
	typeBinary = "application/octet-stream"
	goldenHost = "contoso.webpubsub.azure.com"
)

// goldenCall is one request. Its answer stands in testdata/rest.golden, byte
// for byte, but for the date.
type goldenCall struct {
	method, path, contentType, body string
}

// Every operation, on what is there and on what is not, and every error. The
// order matters: later calls see what earlier ones did. ID is the connection of
// alice, who is in group g.
var goldenCalls = []struct {
	about string
	calls []goldenCall
}{
	{"success", []goldenCall{
		{"POST", ":addToGroups", typeJSON, `{"groups":["a","b"],"filter":"userId eq 'alice'"}`},
		{"POST", ":addToGroups", typeJSON, `{"groups":["c"],"filter":"userId eq 'nobody'"}`},
		{"POST", ":addToGroups", typeJSON + "; charset=utf-8", `{"groups":["c"],"filter":null}`},
		{"POST", ":removeFromGroups", typeJSON, `{"groups":["a"],"filter":""}`},
		{"POST", ":removeFromGroups", typeJSON, `{"groups":["a"]}`},
		{"POST", ":generateToken", "", ""},
		{"POST", ":generateToken?clientType=MQTT&minutesToExpire=1&role=r&group=g&group=h&userId=u", "", ""},
		{"POST", ":generateToken?clientType=socketio", "", ""},
		{"POST", ":send", typeText, "hi"},
		{"POST", ":send?excluded=ID&excluded=x", typeJSON, `{"a":1}`},
		{"POST", ":send?filter=userId%20ne%20null&messageTtlSeconds=60", typeBinary, "\x01"},
		{"POST", ":send?messageTtlSeconds=0", typeText, ""},
		{"HEAD", "connections/ID", "", ""},
		{"POST", "connections/ID/:send", typeText, "hi"},
		{"POST", "connections/nobody/:send", typeText, "hi"},
		{"POST", "connections/nobody/:send?filter=ignored%20junk&messageTtlSeconds=300", typeText, "hi"},
		{"HEAD", "groups/g", "", ""},
		{"POST", "groups/g/:send", typeText, "hi"},
		{"POST", "groups/nothing/:send", typeText, "hi"},
		{"GET", "groups/g/connections", "", ""},
		{"GET", "groups/nothing/connections", "", ""},
		{"PUT", "groups/b/connections/ID", "", ""},
		{"DELETE", "groups/b/connections/ID", "", ""},
		{"DELETE", "groups/b/connections/nobody", "", ""},
		{"PUT", "permissions/sendToGroup/connections/ID?targetName=g", "", ""},
		{"HEAD", "permissions/SENDTOGROUP/connections/ID?targetName=g", "", ""},
		{"HEAD", "permissions/1/connections/ID?targetName=g", "", ""},
		{"DELETE", "permissions/sendToGroup/connections/ID?targetName=g", "", ""},
		{"DELETE", "permissions/joinLeaveGroup/connections/nobody?targetName=g", "", ""},
		{"HEAD", "users/alice", "", ""},
		{"POST", "users/alice/:send", typeText, "hi"},
		{"POST", "users/nobody/:send", typeText, "hi"},
		{"PUT", "users/alice/groups/b", "", ""},
		{"DELETE", "users/alice/groups/b", "", ""},
		{"DELETE", "users/nobody/groups/b", "", ""},
		{"DELETE", "users/alice/groups", "", ""},
		{"DELETE", "users/nobody/groups", "", ""},
		{"DELETE", "connections/ID/groups", "", ""},
		{"DELETE", "connections/nobody/groups", "", ""},
		{"DELETE", "connections/nobody?reason=r", "", ""},
		{"POST", "groups/nothing/:closeConnections", "", ""},
		{"POST", "users/nobody/:closeConnections?reason=r&excluded=x", "", ""},
		{"POST", ":closeConnections?reason=r&excluded=ID", "", ""},
		{"HEAD", "connections/ID", "", ""},
	}},
	{"older versions, and none", []goldenCall{
		{"HEAD", "users/alice?api-version=2021-10-01", "", ""},
		{"HEAD", "users/alice?api-version=2022-11-01", "", ""},
		{"HEAD", "users/alice?api-version=2023-07-01", "", ""},
		{"HEAD", "users/alice?api-version=2024-01-01", "", ""},
		{"HEAD", "users/alice?", "", ""},
	}},
	{"what is not there", []goldenCall{
		{"HEAD", "connections/" + strings.Repeat("x", 31), "", ""},
		{"HEAD", "groups/nothing", "", ""},
		{"HEAD", "users/Alice", "", ""},
		{"PUT", "groups/g/connections/xxxx", "", ""},
		{"HEAD", "permissions/sendToGroup/connections/xxxx?targetName=g", "", ""},
		{"HEAD", "permissions/sendToGroup/connections/ID?targetName=g", "", ""},
		{"PUT", "permissions/sendToGroup/connections/xxxx?targetName=g", "", ""},
		{"PUT", "permissions/joinLeaveGroup/connections/xxxx?targetName=g", "", ""},
		{"PUT", "users/fake-user/groups/g", "", ""},
		{"GET", "nothing", "", ""},
		{"POST", "groups//:send", "", ""},
		{"POST", "connections/ID", "", ""},
	}},
	{"bad requests", []goldenCall{
		{"POST", ":send?filter=invalid%20filter", typeText, "x"},
		{"POST", "groups/g/:send?filter=userId%20lt%201", typeText, "x"},
		{"POST", "users/alice/:send?filter=%20", typeText, "x"},
		{"POST", ":addToGroups", typeJSON, `{"groups":["g"],"filter":"invalid filter"}`},
		{"POST", ":removeFromGroups", typeJSON, `{"groups":["g"],"filter":"invalid filter"}`},
		{"POST", ":addToGroups", typeJSON, `{}`},
		{"POST", ":addToGroups", typeJSON, `null`},
		{"POST", ":addToGroups", typeJSON, `{"groups":["g"," "]}`},
		{"POST", ":addToGroups", typeJSON, `{"groups":"g"}`},
		{"POST", ":addToGroups", typeJSON, `{"groups":["g"],"filter":5}`},
		{"POST", ":addToGroups", typeJSON, `[]`},
		{"POST", ":addToGroups", typeJSON, `{`},
		{"POST", ":addToGroups", typeText, `{"groups":["g"]}`},
		{"PUT", "permissions/sendToGroup/connections/ID", "", ""},
		{"PUT", "permissions/fly/connections/ID?targetName=g", "", ""},
		{"PUT", "groups/%20/connections/nobody", "", ""},
		{"POST", ":send?messageTtlSeconds=301", typeText, "x"},
		{"POST", ":send?messageTtlSeconds=1&messageTtlSeconds=1", typeText, "x"},
		{"POST", ":send", typeJSON, `{`},
		{"POST", ":send", "image/png", "x"},
		{"POST", ":send", "text/plain; charset", "x"},
		{"POST", ":send", "text/plain; charset=klingon", "x"},
		{"POST", ":send", "", ""}, // no Content-Length
		{"GET", "groups/g/connections?maxpagesize=201", "", ""},
		{"GET", "groups/g/connections?top=0", "", ""},
		{"GET", "groups/g/connections?top=1&top=2", "", ""},
		{"GET", "groups/g/connections?continuationToken=", "", ""},
		{"POST", ":generateToken?minutesToExpire=0", "", ""},
		{"POST", ":generateToken?clientType=smoke", "", ""},
		{"HEAD", "users/alice?api-version=1999-01-01", "", ""},
		{"DELETE", "users/alice/groups?api-version=2024-12-01&api-version=2024-12-01", "", ""},
	}},
	// Of several faults the first in the service's order is told.
	{"order of checks", []goldenCall{
		{"POST", ":send?filter=invalid%20filter&messageTtlSeconds=301", "image/png", "x"},
		{"POST", ":send?filter=invalid%20filter", "image/png", ""},
		{"POST", ":send", "image/png", ""},
		{"POST", ":send", typeJSON + "; charset=klingon", "{"},
		{"POST", "groups/%20/:send?messageTtlSeconds=301", typeText, "x"},
	}},
	{"the end", []goldenCall{
		{"DELETE", "connections/ID?reason=r", "", ""},
		{"HEAD", "connections/ID", "", ""},
	}},
}

func TestRESTGolden(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{AllowHosts: []string{"contoso.webpubsub.azure.com"}})
	_, alice := dialJSON(t, srv, dialOptions{user: "alice", groups: []string{"g"}})
	hidden := strings.NewReplacer(alice.ConnectionID, "ID")
	var got bytes.Buffer
	for _, chapter := range goldenCalls {
		fmt.Fprintf(&got, "# %s\n\n", chapter.about)
		for _, c := range chapter.calls {
			path := strings.ReplaceAll(c.path, "ID", alice.ConnectionID)
			if !strings.Contains(path, "?") {
				path += "?api-version=2024-12-01"
			}
			fmt.Fprintf(&got, "> %s %s\n", c.method, c.path)
			if c.contentType != "" {
				fmt.Fprintf(&got, "> Content-Type: %s\n> %q\n", c.contentType, c.body)
			}
			got.WriteString(hidden.Replace(wireCall(t, srv, c, "/api/hubs/chat/"+path)))
		}
	}
	const file = "testdata/rest.golden"
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	g, w := strings.Split(got.String(), "\n> "), strings.Split(string(want), "\n> ")
	for i := range max(len(g), len(w)) {
		if i >= len(g) || i >= len(w) || g[i] != w[i] {
			t.Fatalf("answer %d:\ngot  %s\nwant %s", i, strings.Join(g[min(i, len(g)):min(i+2, len(g))], "\n> "), strings.Join(w[min(i, len(w)):min(i+2, len(w))], "\n> "))
		}
	}
}

var variable = regexp.MustCompile(`"token":"[\w-]+\.[\w-]+\.[\w-]+"`)

// wireCall returns an answer as it comes over the network, without its date
// and with chunks put together.
func wireCall(t *testing.T, srv *emulator.Server, c goldenCall, target string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	audience := "https://" + goldenHost + target
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nAuthorization: Bearer %s\r\n", c.method, target, goldenHost,
		serviceToken(t, emulator.DefaultAccessKey, audience, time.Now().Add(time.Minute)))
	if c.contentType != "" {
		fmt.Fprintf(conn, "Content-Type: %s\r\nContent-Length: %d\r\n", c.contentType, len(c.body))
	}
	fmt.Fprintf(conn, "\r\n%s", c.body)
	raw, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := bytes.Cut(raw, []byte("\r\n\r\n"))
	if !ok {
		t.Fatalf("no answer to %s %s: %q", c.method, target, raw)
	}
	var out strings.Builder
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if !strings.HasPrefix(line, "Date: ") && line != "Connection: close" {
			out.WriteString(line + "\n")
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: c.method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(body) > 0 {
		fmt.Fprintf(&out, "\n%s\n", variable.ReplaceAll(body, []byte(`"token":"TOKEN"`)))
	}
	return out.String() + "\n"
}

// What is known of the real service beyond the form of its answers.
func TestRESTRecordedLengths(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	a := rest(t, srv, request{method: "HEAD", path: "connections/" + strings.Repeat("x", 31)})
	if got := a.header.Get("Content-Length"); got != "161" {
		t.Errorf("the error for a missing connection has %s bytes, recorded were 161", got)
	}
	a = rest(t, srv, request{method: "POST", path: ":send?filter=invalid%20filter", contentType: typeText, body: "x"})
	if len(a.body) != 416 {
		t.Errorf("the error for a bad filter has %d bytes, recorded were 416", len(a.body))
	}
	for size, status := range map[int]int{1 << 20: 202, 1<<20 + 1: 400} {
		if a := rest(t, srv, request{method: "POST", path: ":send", contentType: typeText, body: strings.Repeat("x", size)}); a.status != status {
			t.Errorf("a body of %d bytes: %d, want %d", size, a.status, status)
		}
	}
}
