// Package wsconn writes the frames of a WebSocket connection. It serves both
// ends: the client, which masks its frames, and the emulator, which does not and
// sends one encoding of a message to many connections.
//
// A [Writer] queues messages of any type and hands them to its [Owner] to be
// encoded when they are written. What is queued at the same time is written in
// one system call, of about [BatchSize] bytes: with small messages, system calls
// are most of the cost. A Writer that has nothing to write has no goroutine and
// no buffer; the goroutine is started by the first message that is queued and
// ends when the queue is empty, and buffers are shared.
//
//	var settings = wsconn.Settings{MaxMessages: 1000, MaxBytes: 16 << 20, Stall: 30 * time.Second}
//
//	c.writer.Init(&settings, c)     // c is the Owner
//	c.writer.Push(message, size)    // may come before Start, for example in a handshake
//	c.writer.Start(conn)
//
// # Order
//
// Messages are written in the order in which they were queued, except those
// queued by PushUrgent and Pong, which are written before everything that is not
// being written already. Without that, acknowledgements and pings would wait
// behind megabytes of data on a slow connection, and the peer would take the
// connection for dead. PushLast queues a message, usually a close frame, behind
// which nothing is written; PushOnly drops the messages before it as well.
//
// # Bounds
//
// Push fails when the queue is full, by messages or bytes. What is being written
// does not count. PushAlways and PushUrgent are not bounded: their callers must
// queue only what has a bound of its own. Of several pongs that wait only the
// last is written, as RFC 6455, section 5.5.3, allows, so that a peer that sends
// pings and reads nothing costs no memory.
//
// A [HandshakeBound] bounds what a client reads before there are frames.
//
// # Deadline
//
// A write fails when the peer takes nothing for [Settings.Stall]. The deadline is
// renewed with each batch, and is longer for a large one, so that a slow
// connection that makes progress is not closed. Expire sets a last deadline, for
// a connection that is closing.
//
// # Other writers
//
// Each batch is one call of Write and contains whole frames, and net.Conn does
// not mix concurrent calls. A library that reads the connection, such as
// gorilla/websocket, can therefore write control frames of its own to it, such
// as the close frame that reports a protocol error, as long as it writes each in
// one call too.
//
// # Locks
//
// The mutex of a Writer is the innermost: its methods can be called with other
// locks held, except Wait, and the methods of the Owner are called without it.
// DrainStarted is called by the method that queues, with the locks of its
// caller; Encode, WriteFailed and DrainEnded are called by the draining
// goroutine, without any.
package wsconn
