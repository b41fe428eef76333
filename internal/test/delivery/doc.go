// Package delivery checks what a chaotic run of clients may and must deliver. A
// run tells a [Ledger] what it asks for and what arrives; the ledger says
// afterwards which promise was broken:
//
//	l := delivery.NewLedger()
//	m := l.Send("alice", "room")           // before the call
//	err := c.SendToGroup(ctx, "room", webpubsub.Text(m.Text()), nil)
//	l.Sent(m, err)                         // after it
//	…
//	l.Received("bob", connectionID, sequenceID, "room", text)
//	…
//	for _, broken := range l.Check() { t.Error(broken) }
//
// The promises are those of the reliable client protocol, for interruptions that
// are shorter than the recovery window: what the service has acknowledged
// reaches every member that it did not exclude, once, in the order of its
// sender, under rising sequence ids, and nothing that is sent after a leave was
// acknowledged arrives.
package delivery
