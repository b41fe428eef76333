package main

import (
	"bytes"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

// A message of the benchmarks is 150 bytes of text: who sent it, its number and
// the time, and then filling. It passes through JSON and protobuf as it is, so a
// receiver finds it in any frame.

const payloadSize = 150

var marker = []byte("|b:")

// stamp appends the text of a message.
func stamp(dst []byte, sender, number int, now time.Time) []byte {
	start := len(dst)
	dst = fmt.Appendf(dst, "|b:%02d:%08d:%019d|", sender, number, now.UnixNano())
	for len(dst)-start < payloadSize {
		dst = append(dst, 'x')
	}
	return dst
}

const stampSize = len("|b:00:00000000:0000000000000000000|")

// inspector reads the messages of one receiver and finds what is missing,
// doubled or out of order: each sender's numbers must come 1, 2, 3.
type inspector struct {
	newest map[int]int
	took   []time.Duration
	count  *atomic.Int64 // shared by the receivers
}

func newInspector(count *atomic.Int64) *inspector {
	return &inspector{newest: make(map[int]int), count: count}
}

// frame reads every message in a frame and returns how many there were.
func (in *inspector) frame(b []byte, now time.Time) (int, error) {
	n := 0
	for {
		i := bytes.Index(b, marker)
		if i < 0 || len(b)-i < stampSize {
			in.count.Add(int64(n))
			return n, nil
		}
		s := string(b[i : i+stampSize])
		b = b[i+stampSize:]
		sender, err1 := strconv.Atoi(s[3:5])
		number, err2 := strconv.Atoi(s[6:14])
		sent, err3 := strconv.ParseInt(s[15:34], 10, 64)
		if err1 != nil || err2 != nil || err3 != nil {
			return n, fmt.Errorf("damaged message %q", s)
		}
		if want := in.newest[sender] + 1; number != want {
			return n, fmt.Errorf("sender %d: message %d came where %d was due: lost, doubled or reordered", sender, number, want)
		}
		in.newest[sender] = number
		in.took = append(in.took, time.Duration(now.UnixNano()-sent))
		n++
	}
}
