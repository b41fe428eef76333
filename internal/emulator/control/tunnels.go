package control

import (
	"slices"
	"strings"

	"example.com/webpubsub/internal/emulator/tunnels"
	"example.com/webpubsub/internal/tunnelwire"
)

// tunnel is an open tunnel: the connection of an event handler that the emulator
// does not call by address.
type tunnel struct {
	Hub          string `json:"hub"`
	ConnectionID string `json:"connectionId"`
	Target       string `json:"target,omitempty"`
}

// tunnels returns the open tunnels of a hub.
func (c *call) tunnels(hub string) []tunnels.Info {
	return slices.DeleteFunc(c.Tunnels.Tunnels(), func(t tunnels.Info) bool { return !strings.EqualFold(t.Hub, hub) })
}

func (c *call) listTunnels() error {
	open := c.Tunnels.Tunnels()
	if c.query.Has("hub") {
		open = c.tunnels(c.query.Get("hub"))
	}
	key := func(t tunnels.Info) string { return keyOf(strings.ToLower(t.Hub), t.ConnectionID) }
	return answerPage(c, open, key, false, func(t tunnels.Info) tunnel {
		return tunnel{strings.ToLower(t.Hub), t.ConnectionID, t.Target}
	})
}

type tunnelTarget struct {
	ConnectionID string `json:"connectionId"`
}

func (c *call) reconnectTunnels() error {
	return c.redirectTunnels(func(r tunnelwire.Redirect) tunnelwire.Message { return &tunnelwire.Reconnect{Redirect: r} })
}

func (c *call) rebalanceTunnels() error {
	return c.redirectTunnels(func(r tunnelwire.Redirect) tunnelwire.Message { return &tunnelwire.Rebalance{Redirect: r} })
}

func (c *call) redirectTunnels(message func(tunnelwire.Redirect) tunnelwire.Message) error {
	var in struct {
		tunnelTarget
		Target string `json:"target"`
	}
	if err := c.decode(&in, true); err != nil {
		return err
	}
	m := message(tunnelwire.Redirect{Target: in.Target, Message: "asked for by the control API"})
	return c.eachTunnel(in.tunnelTarget, func(id string) error { return c.Tunnels.Send(id, m) })
}

func (c *call) closeTunnels() error {
	var in struct {
		tunnelTarget
		Message string `json:"message"`
	}
	if err := c.decode(&in, true); err != nil {
		return err
	}
	return c.eachTunnel(in.tunnelTarget, func(id string) error {
		return c.Tunnels.Send(id, &tunnelwire.Close{Message: in.Message})
	})
}

func (c *call) resetTunnels() error {
	var in tunnelTarget
	if err := c.decode(&in, true); err != nil {
		return err
	}
	return c.eachTunnel(in, c.Tunnels.Drop)
}

// eachTunnel acts on the tunnels of the hub that the path names, or on the one that
// the body names. It counts those that have not ended in the meantime.
func (c *call) eachTunnel(of tunnelTarget, act func(connectionID string) error) error {
	hub, err := c.hubName()
	if err != nil {
		return err
	}
	n, found := 0, of.ConnectionID == ""
	for _, t := range c.tunnels(hub) {
		if of.ConnectionID != "" && of.ConnectionID != t.ConnectionID {
			continue
		}
		found = true
		if act(t.ConnectionID) == nil {
			n++
		}
	}
	if !found {
		return notFoundf("There is no tunnel %q in the hub %s: it has ended, or never existed.", of.ConnectionID, hub)
	}
	return c.answer(count{n})
}
