package main

import (
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"

	"github.com/gorilla/websocket"
)

// bareHub is the ceiling of the fan-out: whatever is posted goes to everybody who
// is connected. It knows no users, groups, tokens or limits. A frame is built
// once, and what waits for a connection is written in one go.
type bareHub struct {
	prefix, suffix string // so that a frame is as long as one of the protocol
	opcode         byte
	upgrader       websocket.Upgrader

	mu    sync.RWMutex
	conns []*bareConn
}

type bareConn struct {
	net net.Conn

	mu      sync.Mutex
	queue   []byte
	spare   []byte
	writing bool
}

func bareHubRole(args []string) error {
	h := &bareHub{opcode: websocket.TextMessage, upgrader: websocket.Upgrader{ReadBufferSize: 1 << 10, WriteBufferPool: &sync.Pool{}}}
	switch args[0] {
	case "json":
		h.prefix, h.suffix = `{"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"`, `"}`
	case "json.reliable":
		h.prefix, h.suffix = `{"type":"message","from":"group","group":"g","fromUserId":null,"dataType":"text","data":"`, `","sequenceId":100000}`
	case "protobuf":
		h.prefix, h.opcode = "\x12\xa3\x01\x0a\x05group\x12\x01g\x1a\x99\x01\x0a\x96\x01", websocket.BinaryMessage
	}
	return serve(h)
}

func (h *bareHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		h.publish(h.frame(body))
		w.WriteHeader(http.StatusAccepted)
		return
	}
	ws, err := h.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := &bareConn{net: ws.NetConn()}
	h.mu.Lock()
	h.conns = append(h.conns, c)
	c.send([]byte{0x80 | websocket.TextMessage, 2, 'h', 'i'}) // from now on it gets everything
	h.mu.Unlock()
	go func() {
		for {
			if _, _, err := ws.NextReader(); err != nil {
				return
			}
		}
	}()
}

// frame encodes a message of 126 to 65,535 bytes (RFC 6455, section 5.2).
func (h *bareHub) frame(body []byte) []byte {
	n := len(h.prefix) + len(body) + len(h.suffix)
	f := append(make([]byte, 0, n+4), 0x80|h.opcode, 126)
	f = binary.BigEndian.AppendUint16(f, uint16(n))
	f = append(f, h.prefix...)
	f = append(f, body...)
	return append(f, h.suffix...)
}

func (h *bareHub) publish(frame []byte) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, c := range h.conns {
		c.send(frame)
	}
}

func (c *bareConn) send(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, frame...)
	if !c.writing {
		c.writing = true
		go c.write()
	}
}

func (c *bareConn) write() {
	for {
		runtime.Gosched() // as in the emulator: larger batches
		c.mu.Lock()
		out := c.queue
		if len(out) == 0 {
			c.writing = false
			c.mu.Unlock()
			return
		}
		c.queue = c.spare[:0]
		c.mu.Unlock()
		_, err := c.net.Write(out)
		c.mu.Lock()
		c.spare = out
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}
