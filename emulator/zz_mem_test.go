package emulator_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/emulator"
)

func TestZZMem(t *testing.T) {
	srv := emulator.StartT(t, emulator.Options{})
	const n = 3000
	var conns []net.Conn
	dial := func() {
		c, err := net.Dial("tcp", strings.TrimPrefix(srv.URL(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		tok := accessToken(t, srv, dialOptions{groups: []string{"g"}, user: "u"})
		fmt.Fprintf(c, "GET /client/hubs/chat?access_token=%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: json.webpubsub.azure.v1\r\n\r\n", tok, strings.TrimPrefix(srv.URL(), "http://"))
		r := bufio.NewReaderSize(c, 16)
		resp, err := http.ReadResponse(r, nil)
		if err != nil || resp.StatusCode != 101 {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	for range 100 {
		dial()
	}
	read := func() (h, s uint64) {
		time.Sleep(300 * time.Millisecond)
		runtime.GC()
		runtime.GC()
		m := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
		metrics.Read(m)
		return m[0].Value.Uint64(), m[1].Value.Uint64()
	}
	h0, s0 := read()
	for range n {
		dial()
	}
	h1, s1 := read()
	fmt.Printf("heap %.0f stack %.0f per conn\n", float64(h1-h0)/n, float64(s1-s0)/n)
	f, _ := os.Create("/tmp/mem.pprof")
	pprof.WriteHeapProfile(f)
	f.Close()
	for _, c := range conns {
		c.Close()
	}
}
