package session

import (
	"example.com/webpubsub/internal/emulator/fault"
	"example.com/webpubsub/internal/emulator/transport"
)

// FaultsActive implements [transport.Faults].
func (b *base) FaultsActive() bool { return b.srv.Faults.Active() }

// BeforeWrite implements [transport.Faults].
func (b *base) BeforeWrite(l *transport.Link, name string) bool {
	return b.applyFaults(fault.AtSend, name, l)
}

func (b *base) target() fault.Target {
	return fault.Target{Hub: b.conn.Hub.Name, UserID: b.conn.UserID, ConnectionID: b.conn.ID}
}

// applyFaults reports whether to go on with a frame.
func (b *base) applyFaults(at fault.Point, name string, l *transport.Link) bool {
	if name == "" || !b.srv.Faults.Active() {
		return true
	}
	do, ends := b.srv.Faults.Apply(at, name, b.target(), l.Gone())
	if ends {
		b.suffer(do, l)
	}
	return !ends
}

func (b *base) suffer(do fault.Action, l *transport.Link) {
	if do.Kind == fault.Close {
		b.Close(do.Code, do.Reason, "a fault closed the connection", nil)
		return
	}
	b.drop(l, "a fault dropped the connection", nil)
}
