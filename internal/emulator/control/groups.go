package control

import (
	"time"

	"example.com/webpubsub/internal/emulator/broker"
)

type group struct {
	Hub         string `json:"hub"`
	Name        string `json:"name"`
	Connections int    `json:"connections"`
}

type groupDetail struct {
	group
	State []stateItem `json:"state"`
}

type stateItem struct {
	ConnectionID string            `json:"connectionId"`
	UserID       *string           `json:"userId,omitempty"`
	State        map[string]string `json:"state"`
	UpdatedAt    time.Time         `json:"updatedAt"`
}

type user struct {
	Hub         string `json:"hub"`
	UserID      string `json:"userId"`
	Connections int    `json:"connections"`
}

// counted is a group or a user of a hub.
type counted struct {
	hub string
	broker.Count
}

// counts returns those of all hubs that are asked for.
func (c *call) counts(of func(*broker.Hub) []broker.Count) []counted {
	found := c.searcher()
	var all []counted
	for _, h := range c.hubs() {
		for _, n := range of(h) {
			if found(n.Name) {
				all = append(all, counted{h.Name, n})
			}
		}
	}
	return all
}

func (n counted) key() string { return keyOf(n.hub, n.Name) }

func (c *call) listGroups() error {
	return answerPage(c, c.counts((*broker.Hub).Groups), counted.key, false, func(n counted) group { return group{n.hub, n.Name, n.Conns} })
}

func (c *call) listUsers() error {
	return answerPage(c, c.counts((*broker.Hub).Users), counted.key, false, func(n counted) user { return user{n.hub, n.Name, n.Conns} })
}

func (c *call) getGroup() error {
	hub, err := c.hubName()
	if err != nil {
		return err
	}
	name := c.args["group"]
	h := c.Broker.Existing(hub)
	if h == nil || len(h.Members(name)) == 0 {
		return notFoundf("The group %q of the hub %s has no members, so it does not exist.", name, hub)
	}
	d := groupDetail{group: group{hub, name, len(h.Members(name))}, State: []stateItem{}}
	for _, i := range h.State(name).Items {
		d.State = append(d.State, stateItem{i.ConnectionID, i.UserID, i.State, unixMilli(i.UpdatedAt)})
	}
	return c.answer(d)
}

func (c *call) getUser() error {
	hub, err := c.hubName()
	if err != nil {
		return err
	}
	id := c.args["userId"]
	h := c.Broker.Existing(hub)
	if h == nil || len(h.UserConns(id)) == 0 {
		return notFoundf("The user %q has no connection in the hub %s.", id, hub)
	}
	return c.answer(user{hub, id, len(h.UserConns(id))})
}
