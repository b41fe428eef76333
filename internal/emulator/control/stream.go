package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Intervals of a stream.
const (
	// streamWrite is how long a write may take before the client counts as gone.
	streamWrite = 30 * time.Second
	// streamPause is after how long without an entry a comment follows, so that
	// proxies do not end the stream.
	streamPause = 15 * time.Second
)

// acceptsStream reports whether the caller asks for server-sent events.
func acceptsStream(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(accept, ",") {
			if t, _, err := mime.ParseMediaType(part); err == nil && t == "text/event-stream" {
				return true
			}
		}
	}
	return false
}

type streamStart struct {
	Instance string `json:"instance"`
	Oldest   uint64 `json:"oldest"`
	Newest   uint64 `json:"newest"`
}

type streamDropped struct {
	First uint64 `json:"first"`
	Last  uint64 `json:"last"`
	Count uint64 `json:"count"`
}

// stream sends the entries that are kept and those that come, until the caller
// disconnects or the emulator closes. An emulator with open streams counts as idle.
func (c *call) stream(s selection) error {
	if err := c.lastEvent(&s.after); err != nil {
		return err
	}
	c.Tasks.End()
	defer c.Tasks.Begin()
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx
	out := &eventWriter{w: c.w, conn: http.NewResponseController(c.w)}
	c.w.WriteHeader(http.StatusOK)
	stats := c.Journal.Stats()
	out.event("start", "", streamStart{c.instance, stats.Oldest, stats.Newest})
	resets := stats.Resets
	pause := time.NewTicker(streamPause)
	defer pause.Stop()
	for out.flush() {
		grown := c.Journal.Grown(s.after)
		stats = c.Journal.Stats()
		if stats.Resets != resets {
			resets = stats.Resets
			s.after = max(s.after, stats.Newest-uint64(stats.Entries)-stats.Dropped)
			out.event("reset", "", streamStart{c.instance, stats.Oldest, stats.Newest})
			continue
		}
		entries, newest := c.Journal.Since(s.after)
		if len(entries) > 0 && s.after > 0 && entries[0].ID > s.after+1 {
			out.event("dropped", "", streamDropped{s.after + 1, entries[0].ID - 1, entries[0].ID - 1 - s.after})
		}
		s.after = newest
		for _, e := range entries {
			if s.match(e) {
				out.event("entry", c.instance+"."+strconv.FormatUint(e.ID, 10), showEntry(e))
			}
		}
		if len(entries) > 0 {
			continue
		}
		select {
		case <-grown:
		case <-pause.C:
			out.comment()
		case <-c.r.Context().Done():
			return nil
		case <-c.Context.Done():
			return nil
		}
	}
	return nil
}

// lastEvent reads where a stream continues. The id of another start of the
// emulator means the beginning.
func (c *call) lastEvent(after *uint64) error {
	id := c.r.Header.Get("Last-Event-ID")
	if id == "" {
		return nil
	}
	instance, number, ok := strings.Cut(id, ".")
	n, err := strconv.ParseUint(number, 10, 63)
	switch {
	case !ok || err != nil:
		return invalidf("Last-Event-ID is not the id of an event of this stream.")
	case instance != c.instance:
		*after = 0
	default:
		*after = n
	}
	return nil
}

// eventWriter writes server-sent events (HTML Standard, section 9.2).
type eventWriter struct {
	w    http.ResponseWriter
	conn *http.ResponseController
	buf  bytes.Buffer
}

func (o *eventWriter) event(name, id string, data any) {
	b, _ := json.Marshal(data) // without line breaks
	fmt.Fprintf(&o.buf, "event: %s\n", name)
	if id != "" {
		fmt.Fprintf(&o.buf, "id: %s\n", id)
	}
	fmt.Fprintf(&o.buf, "data: %s\n\n", b)
}

func (o *eventWriter) comment() { o.buf.WriteString(":\n\n") }

// flush sends what was written. It reports false if the client is gone.
func (o *eventWriter) flush() bool {
	_ = o.conn.SetWriteDeadline(time.Now().Add(streamWrite))
	_, err := o.buf.WriteTo(o.w)
	o.buf.Reset()
	return err == nil && o.conn.Flush() == nil
}
