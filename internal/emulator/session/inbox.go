package session

import (
	"sync"

	"example.com/webpubsub/internal/emulator/journal"
)

// inbox carries out the frames of a client, one after another. A frame runs on
// the goroutine of the reader if nothing is before it and it cannot wait for an
// event handler; else on a goroutine that exists while there is something to do.
// It belongs to the connection: frames that one link brought are carried out
// before those of the next.
type inbox struct {
	srv   *Server
	owner client

	mu      sync.Mutex
	queue   []entry
	bytes   int
	running bool
	closed  bool          // frames are dropped
	room    chan struct{} // closed when there may be room again; nil without a waiter
}

// entry is a frame, or what is to be done behind the last one.
type entry struct {
	frame any
	size  int
	by    *journal.Cause // of what the frame leads to
	end   func()
}

// put carries out a frame, or queues it. waits reports whether the frame may wait
// for an event handler. Where too much is queued, put returns when there is room.
func (in *inbox) put(frame any, size int, waits bool, by *journal.Cause) {
	in.mu.Lock()
	for full := false; ; {
		if in.closed {
			in.mu.Unlock()
			return
		}
		if len(in.queue) < in.srv.MaxMessages && in.bytes+size <= in.srv.MaxBytes || len(in.queue) == 0 {
			break
		}
		if in.room == nil {
			in.room = make(chan struct{})
		}
		room := in.room
		in.mu.Unlock()
		if !full {
			full = true
			in.owner.pause(true)
			defer in.owner.pause(false)
		}
		in.srv.Tasks.End() // what is queued is counted by the goroutine that works on it
		<-room
		in.srv.Tasks.Begin()
		in.mu.Lock()
	}
	if in.running || waits {
		in.add(entry{frame: frame, size: size, by: by})
		in.mu.Unlock()
		return
	}
	in.running = true
	in.mu.Unlock()
	in.owner.execute(frame, by)
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.running = false; len(in.queue) > 0 {
		in.start()
	}
}

// add must be called with the lock held.
func (in *inbox) add(e entry) {
	in.queue = append(in.queue, e)
	in.bytes += e.size
	if !in.running {
		in.start()
	}
}

func (in *inbox) start() {
	in.running = true
	in.srv.Tasks.Go(in.work)
}

func (in *inbox) work() {
	for {
		in.mu.Lock()
		if len(in.queue) == 0 {
			in.running = false
			in.queue = nil
			in.mu.Unlock()
			return
		}
		e := in.queue[0]
		in.queue[0] = entry{}
		in.queue = in.queue[1:]
		in.bytes -= e.size
		in.makeRoom()
		in.mu.Unlock()
		if e.end != nil {
			e.end()
		} else {
			in.owner.execute(e.frame, e.by)
		}
	}
}

// makeRoom must be called with the lock held.
func (in *inbox) makeRoom() {
	if in.room != nil {
		close(in.room)
		in.room = nil
	}
}

// drop discards the frames that wait, and all that come.
func (in *inbox) drop() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	ends := in.queue[:0]
	for _, e := range in.queue {
		if e.end != nil {
			ends = append(ends, e)
		}
	}
	clear(in.queue[len(ends):])
	in.queue, in.bytes = ends, 0
	in.makeRoom()
}

// end calls f behind the frames that wait.
func (in *inbox) end(f func()) {
	in.mu.Lock()
	if in.running {
		in.add(entry{end: f})
		in.mu.Unlock()
		return
	}
	in.mu.Unlock()
	f()
}
