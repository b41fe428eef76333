package control

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"example.com/webpubsub/internal/emulator/journal"
)

func (c *call) describe() error {
	c.w.Header().Set("Content-Type", "application/json")
	_, _ = c.w.Write(description)
	return nil
}

type info struct {
	Version          string      `json:"version"`
	Instance         string      `json:"instance"`
	StartedAt        time.Time   `json:"startedAt"`
	PID              int         `json:"pid"`
	URL              string      `json:"url"`
	ControlURL       string      `json:"controlUrl"`
	ConnectionString string      `json:"connectionString,omitempty"`
	Access           string      `json:"access"`
	AuthorityHost    string      `json:"authorityHost"`
	Counts           counts      `json:"counts"`
	Tier             *tierInfo   `json:"tier,omitempty"`
	Journal          journalInfo `json:"journal"`
	Links            []Link      `json:"links"`
}

type counts struct {
	Hubs        int `json:"hubs"`
	Connections int `json:"connections"`
	Interrupted int `json:"interrupted"`
	Groups      int `json:"groups"`
	Users       int `json:"users"`
	Faults      int `json:"faults"`
}

// tierInfo is the limits of a pricing tier, and what is used of them.
type tierInfo struct {
	Name           string `json:"name"`
	Connections    int    `json:"connections"`
	MaxConnections int    `json:"maxConnections"`
	Messages       *int   `json:"messages,omitempty"`
	MaxMessages    int    `json:"maxMessages,omitempty"`
}

func (a *API) tierInfo() *tierInfo {
	t, connections, messages := a.Limits.Usage()
	if t.Name == "" {
		return nil
	}
	out := &tierInfo{Name: t.Name, Connections: connections, MaxConnections: t.Connections, MaxMessages: t.Messages}
	if t.Messages > 0 {
		out.Messages = &messages
	}
	return out
}

type journalInfo struct {
	Oldest         uint64 `json:"oldest"`
	Newest         uint64 `json:"newest"`
	Entries        int    `json:"entries"`
	MaxEntries     int    `json:"maxEntries"`
	Dropped        uint64 `json:"dropped"`
	DetailBytes    int    `json:"detailBytes"`
	MaxDetailBytes int    `json:"maxDetailBytes"`
	DetailsDropped uint64 `json:"detailsDropped"`
	MaxPayload     int    `json:"maxPayload"`
}

func (a *API) journalInfo() journalInfo {
	s := a.Journal.Stats()
	return journalInfo{
		Oldest: s.Oldest, Newest: s.Newest, Entries: s.Entries, MaxEntries: s.MaxEntries, Dropped: s.Dropped,
		DetailBytes: s.DetailBytes, MaxDetailBytes: s.MaxDetailBytes, DetailsDropped: s.DetailsStripped, MaxPayload: journal.MaxPayload,
	}
}

func (c *call) info() error {
	out := info{
		Version: Version(), Instance: c.instance, StartedAt: c.started, PID: os.Getpid(),
		URL: c.URL, ControlURL: c.URL + Path, Access: "readOnly", AuthorityHost: c.AuthorityHost,
		Counts: counts{Faults: len(c.Faults.List())}, Journal: c.journalInfo(), Tier: c.tierInfo(), Links: append([]Link{}, c.Links...),
	}
	if c.Access.Public != nil {
		out.URL = c.Access.Public.String()
	}
	if c.full {
		out.Access, out.ConnectionString = "full", c.ConnectionString
	}
	for _, h := range c.Broker.Hubs() {
		out.Counts.Hubs++
		out.Counts.Groups += len(h.Groups())
		out.Counts.Users += len(h.Users())
		for _, conn := range h.Conns(nil) {
			out.Counts.Connections++
			if conn.Session.Status().Detached {
				out.Counts.Interrupted++
			}
		}
	}
	return c.answer(out)
}

// timeout reads the parameter of the operations that wait.
func (c *call) timeout(missing time.Duration) (time.Duration, error) {
	const most = 300
	if !c.query.Has("timeout") {
		return missing, nil
	}
	n, err := strconv.ParseFloat(c.query.Get("timeout"), 64)
	if err != nil || !(n >= 0 && n <= most) { // NaN is neither
		return 0, invalidf("The parameter timeout must be a number of seconds from 0 to %d.", most)
	}
	return time.Duration(n * float64(time.Second)), nil
}

// untilIdle waits until no work is in progress. The request itself is none.
func (c *call) untilIdle(timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(c.r.Context(), timeout)
	defer cancel()
	defer context.AfterFunc(c.Context, cancel)()
	c.Tasks.End()
	defer c.Tasks.Begin()
	return c.Tasks.Idle(ctx) == nil
}

func (c *call) idle() error {
	timeout, err := c.timeout(30 * time.Second)
	if err != nil {
		return err
	}
	idle, status := c.untilIdle(timeout), http.StatusOK
	if !idle {
		status = http.StatusRequestTimeout
	}
	return c.answerAs(status, struct {
		Idle     bool    `json:"idle"`
		WaitedMs float64 `json:"waitedMs"`
	}{idle, journal.Milliseconds(time.Since(c.begun))})
}

// reset ends all connections and removes all state, so that tests can share one
// process. It waits for the disconnected events, so that none of them comes into
// the next test; those that take too long are cancelled.
func (c *call) reset() error {
	timeout, err := c.timeout(5 * time.Second)
	if err != nil {
		return err
	}
	c.removeAllFaults() // which may delay what follows
	c.Network.Reset()
	ended := 0
	for _, conn := range c.Broker.Conns() {
		conn.Session.CloseByServer("the emulator was reset", nil)
		ended++
	}
	idle := c.untilIdle(timeout)
	if !idle {
		c.Events.Cancel()
		c.untilIdle(time.Second)
	}
	c.Settings.Reset()
	c.Handlers.reset()
	c.Limits.Reset()
	c.Broker.Forget()
	c.Journal.Reset()
	return c.answer(struct {
		Connections int  `json:"connections"`
		Idle        bool `json:"idle"`
	}{ended, idle})
}

// entryID reads the id of a journal entry from the path.
func (c *call) entryID() (uint64, error) {
	id, err := strconv.ParseUint(c.args["id"], 10, 64)
	if err != nil {
		return 0, invalidf("The id of an entry is a number.")
	}
	return id, nil
}

func noEntry(id uint64, s journal.Stats) error {
	why := "it has not been written yet"
	if id <= s.Newest {
		why = fmt.Sprintf("of the journal, the newest %d entries are kept since the last reset", s.MaxEntries)
	}
	return notFoundf("There is no entry %d: %s.", id, why)
}
