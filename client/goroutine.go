package client

import (
	"bytes"
	"runtime"
	"strconv"
)

// goroutineID returns a number that no other goroutine has, 0 where it cannot be
// found. Stop compares it, to not wait for the callback that it was called in;
// nothing else can tell the two cases apart.
func goroutineID() uint64 {
	var buf [64]byte
	b := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	if i := bytes.IndexByte(b, ' '); i > 0 {
		b = b[:i]
	}
	id, _ := strconv.ParseUint(string(b), 10, 64)
	return id
}
