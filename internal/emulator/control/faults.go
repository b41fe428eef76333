package control

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/endpoint"
	"example.com/webpubsub/internal/emulator/fault"
	"example.com/webpubsub/internal/emulator/journal"
)

type faultRequest struct {
	At           string      `json:"at"`
	Action       faultAction `json:"action"`
	Hub          string      `json:"hub,omitempty"`
	UserID       string      `json:"userId,omitempty"`
	ConnectionID string      `json:"connectionId,omitempty"`
	Frame        string      `json:"frame,omitempty"`
	Skip         int         `json:"skip,omitempty"`
	Times        int         `json:"times,omitempty"`
}

type faultAction struct {
	Type    string  `json:"type"`
	DelayMs float64 `json:"delayMs,omitempty"`
	Status  int     `json:"status,omitempty"`
	Code    int     `json:"code,omitempty"`
	Reason  string  `json:"reason,omitempty"`
}

type injectedFault struct {
	ID int `json:"id"`
	faultRequest
	Text string `json:"text"`
	Hits int    `json:"hits"`
}

func showFault(in *fault.Injected) injectedFault {
	return injectedFault{
		ID: in.ID, Text: in.String(), Hits: in.Hits(),
		faultRequest: faultRequest{
			At: in.At.String(), Action: showAction(in.Fault), Hub: in.Hub, UserID: in.UserID, ConnectionID: in.ConnectionID,
			Frame: in.Frame, Skip: in.Skip, Times: in.Times,
		},
	}
}

func showAction(f fault.Fault) faultAction {
	switch a := f.Do; a.Kind {
	case fault.Delay:
		return faultAction{Type: "delay", DelayMs: journal.Milliseconds(a.Delay)}
	case fault.Stall:
		return faultAction{Type: "stall"}
	case fault.Reject:
		return faultAction{Type: "rejectHandshake", Status: a.Code}
	case fault.Close:
		return faultAction{Type: "close", Code: a.Code, Reason: a.Reason}
	default:
		return faultAction{Type: "resetConnection"}
	}
}

// fault returns the fault that is asked for.
func (in faultRequest) fault() (fault.Fault, error) {
	f := fault.Fault{Hub: in.Hub, UserID: in.UserID, ConnectionID: in.ConnectionID, Frame: in.Frame, Skip: in.Skip, Times: in.Times}
	var err error
	if f.At, err = fault.ParsePoint(in.At); err != nil {
		return f, invalidf("%v.", err)
	}
	a := in.Action
	given := faultAction{Type: a.Type} // the fields that the type takes
	switch a.Type {
	case "resetConnection":
		f.Do = fault.Action{Kind: fault.Reset}
	case "delay":
		if !(a.DelayMs >= 0 && a.DelayMs <= math.MaxInt32) {
			return f, invalidf("delayMs must be from 0 to %d.", math.MaxInt32)
		}
		f.Do = fault.Action{Kind: fault.Delay, Delay: time.Duration(a.DelayMs * float64(time.Millisecond))}
		given.DelayMs = a.DelayMs
	case "stall":
		f.Do = fault.Action{Kind: fault.Stall}
	case "rejectHandshake":
		f.Do = fault.Action{Kind: fault.Reject, Code: a.Status}
		given.Status = a.Status
	case "close":
		if err := checkCloseCode(a.Code); err != nil {
			return f, err
		}
		f.Do = fault.Action{Kind: fault.Close, Code: a.Code, Reason: a.Reason}
		given.Code, given.Reason = a.Code, a.Reason
	case "failRecovery":
		if f.At != fault.AtRecovery {
			return f, invalidf("The action failRecovery is for the point recovery.")
		}
		f.Do = fault.Action{Kind: fault.Close, Code: websocket.ClosePolicyViolation, Reason: endpoint.NotRecovered}
	default:
		return f, invalidf("The action's type must be resetConnection, delay, stall, rejectHandshake, close or failRecovery.")
	}
	if a != given {
		return f, invalidf("The action %s does not take all of the fields that it has: delayMs is for delay, status for rejectHandshake, code and reason for close.", a.Type)
	}
	if err := f.Check(); err != nil {
		return f, invalidf("The fault breaks a rule: %v.", err)
	}
	return f, nil
}

func (c *call) listFaults() error {
	return answerPage(c, c.Faults.List(), func(in *fault.Injected) string { return ordinal(in.ID) }, false, showFault)
}

func (c *call) injectFault() error {
	var in faultRequest
	if err := c.decode(&in, false); err != nil {
		return err
	}
	f, err := in.fault()
	if err != nil {
		return err
	}
	injected, err := c.Faults.Inject(f)
	if err != nil {
		return invalidf("The fault breaks a rule: %v.", err)
	}
	return c.answerAs(http.StatusCreated, showFault(injected))
}

// fault returns the fault that the path names.
func (c *call) fault() (*fault.Injected, error) {
	id, err := strconv.Atoi(c.args["id"])
	if err != nil {
		return nil, invalidf("The id of a fault is a number.")
	}
	for _, in := range c.Faults.List() {
		if in.ID == id {
			return in, nil
		}
	}
	return nil, notFoundf("There is no fault %d: it was removed, or never injected.", id)
}

func (c *call) getFault() error {
	in, err := c.fault()
	if err != nil {
		return err
	}
	return c.answer(showFault(in))
}

func (c *call) removeFault() error {
	in, err := c.fault()
	if err != nil {
		return err
	}
	in.Remove()
	return c.answerAs(http.StatusNoContent, nil)
}

func (c *call) removeFaults() error {
	c.removeAllFaults()
	return c.answerAs(http.StatusNoContent, nil)
}

func (a *API) removeAllFaults() {
	for _, in := range a.Faults.List() {
		in.Remove()
	}
}
