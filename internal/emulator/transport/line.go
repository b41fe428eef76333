package transport

import (
	"time"

	"example.com/webpubsub/internal/emulator/network"
)

const (
	// window bounds the bytes of one direction of a link that are on their way at the
	// same time, as the window of TCP does.
	window = 4 << 20
	// backlog is how long bytes may wait in front of a limited bandwidth. It is short, so
	// that what cannot be written waits where its sender has a bound for it.
	backlog = 100 * time.Millisecond
	// maxPart is the size of what is written and read in one step.
	maxPart = 64 << 10
)

// line is what is on its way in one direction of a link, under network conditions.
// It belongs to a [shaper], whose lock guards it.
type line struct {
	parts []part
	bytes int
	free  time.Time // when the bandwidth has room again
}

// part is bytes that arrive together, or the end of the line. It arrives when it is
// due and those before it have arrived.
type part struct {
	data []byte
	due  time.Time
	err  error
}

// partSize is how many bytes travel together: few if the bandwidth is low, so that
// they arrive one after another as they would there.
func partSize(c *network.Conditions) int {
	if c == nil || c.Bandwidth == 0 {
		return maxPart
	}
	return min(max(c.Bandwidth/20, 1), maxPart)
}

// put sends a part on its way. Latency does not reduce the bandwidth: many parts are
// on their way at the same time. Jitter does not change their order, as it does not
// in TCP: a part that is late delays those behind it. c is nil if there are no
// conditions any more; then the part arrives as soon as those before it have.
func (l *line) put(c *network.Conditions, data []byte, err error) {
	due := time.Now()
	if c != nil {
		if c.Bandwidth > 0 {
			if l.free.Before(due) {
				l.free = due
			}
			l.free = l.free.Add(time.Duration(len(data)) * time.Second / time.Duration(c.Bandwidth))
			due = l.free
		}
		due = due.Add(c.Delay())
	}
	l.parts = append(l.parts, part{data, due, err})
	l.bytes += len(data)
}

// full reports whether the line takes nothing for now, and until when, if that is
// known.
func (l *line) full(c *network.Conditions) (until time.Time, full bool) {
	if l.bytes >= window {
		return time.Time{}, true
	}
	if c != nil && c.Bandwidth > 0 {
		until = l.free.Add(-backlog)
	}
	return until, until.After(time.Now())
}

// pop removes the first n bytes of the first part, and the part with the last of
// them.
func (l *line) pop(n int) {
	l.bytes -= n
	if p := &l.parts[0]; n < len(p.data) {
		p.data = p.data[n:]
		return
	}
	l.parts[0] = part{}
	if l.parts = l.parts[1:]; len(l.parts) == 0 {
		l.parts = nil
	}
}

func (l *line) drop() { l.parts, l.bytes = nil, 0 }
