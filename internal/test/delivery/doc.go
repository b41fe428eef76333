// Package delivery verifies delivery guarantees in randomized tests with fault
// injection. A run records its calls and the messages that are received in a
// [Recorder], which then reports the violations:
//
//	r := delivery.NewRecorder()
//	m := r.Send("alice", "room")           // before the call
//	err := c.SendToGroup(ctx, "room", webpubsub.Text(m.Text()), nil)
//	r.Sent(m, err)                         // after it
//	…
//	r.Received("bob", connectionID, sequenceID, "room", text)
//	…
//	for _, violation := range r.Check() { t.Error(violation) }
//
// The guarantees are those of the reliable subprotocols, for interruptions that are
// shorter than the recovery window. A message that the service has acknowledged is
// delivered exactly once to every member of the group that it does not exclude, in
// the order of its sender and with increasing sequence IDs. A message that is sent
// after a leave was acknowledged is not delivered.
package delivery
