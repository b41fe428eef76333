package emulator

import (
	"fmt"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/internal/emulator/journal"
	"example.com/webpubsub/internal/emulator/limits"
)

// Tier is a pricing tier of the service whose limits an emulator has: see
// [Options].Tier.
type Tier string

// The tiers with limits.
const (
	TierFree     Tier = "free"
	TierStandard Tier = "standard"
)

// The limits of the tiers (Azure Web PubSub pricing; Microsoft Learn, Billing model, and
// Resource logs, Throttling). On the other tiers messages are billed and not limited.
const (
	freeConnections    = 20
	freeMessages       = 20_000 // a day
	connectionsPerUnit = 1_000
	maxUnits           = 100
)

func (o *Options) tier() (limits.Tier, error) {
	t := limits.Tier{Name: string(o.Tier)}
	switch {
	case o.Units < 0 || o.Units > maxUnits:
		return t, fmt.Errorf("the option Units is %d: 1 to %d are allowed", o.Units, maxUnits)
	case o.Units > 0 && o.Tier != TierStandard:
		return t, fmt.Errorf("the option Units is %d, and only the tier standard has several units: set Tier to it", o.Units)
	}
	switch o.Tier {
	case "":
	case TierFree:
		t.Connections, t.Messages = freeConnections, freeMessages
	case TierStandard:
		t.Connections = connectionsPerUnit * max(o.Units, 1)
	default:
		return t, fmt.Errorf("the tier %q is neither %s nor %s", o.Tier, TierFree, TierStandard)
	}
	return t, nil
}

// messagesUsedUp closes all connections. That they are closed is known of Azure SignalR
// Service (github.com/Azure/azure-signalr, issue 635).
func (s *Server) messagesUsedUp(e *limits.Exceeded) {
	s.tasks.Go(func() {
		s.journal.Add(journal.Entry{Kind: journal.Rejected, Name: "messages", Status: websocket.ClosePolicyViolation, Reason: e.Rule})
		for _, c := range s.broker.Conns() {
			c.Session.Close(websocket.ClosePolicyViolation, e.Text, e.Rule, nil)
		}
	})
}

// ApplicationFirewall contains the rules of a hub against abuse. On the service they are
// settings of the resource (a preview, for the tier premium), and whether it counts the
// connections of all hubs together is not documented; here each hub has its own.
//
// Rules count clients by what their access tokens contain. A rule is skipped for a
// client whose token lacks that, and a connection is not counted if its hub had no rules
// when it was made.
type ApplicationFirewall struct {
	// ClientConnectionCountRules bound the connections that clients have at the same
	// time. They are checked in this order. A handshake that exceeds one is rejected with 429.
	ClientConnectionCountRules []ClientConnectionCountRule
	// ClientTrafficControlRules bound what clients send. They are checked in this order.
	// A client whose message exceeds one is closed with 1008, an MQTT client with the
	// reason code 151 (0x97, Quota exceeded), and the message is not processed. The code
	// is this emulator's choice: what the service closes with is not documented.
	ClientTrafficControlRules []ClientTrafficControlRule
	// MaxClientConnectionLifetime is how long a connection may last, in whole seconds. It
	// is then closed with 1008, an MQTT client with 160 (0xA0, Maximum connect time),
	// within about a second, also if it was recovered in the meantime. What the service
	// closes with is not documented. Default: no limit.
	MaxClientConnectionLifetime time.Duration
}

// ThrottleBy is what clients have in common that a rule counts together.
type ThrottleBy int

// The kinds of rules, by their names in Azure Resource Manager.
const (
	// ThrottleByUserID counts by the user of the access token: ThrottleByUserIdRule and
	// TrafficThrottleByUserIdRule.
	ThrottleByUserID = ThrottleBy(limits.UserID)
	// ThrottleByJWTSignature counts by access token: ThrottleByJwtSignatureRule and
	// TrafficThrottleByJwtSignatureRule.
	ThrottleByJWTSignature = ThrottleBy(limits.Signature)
	// ThrottleByJWTCustomClaim counts by the value of a claim of the access token:
	// ThrottleByJwtCustomClaimRule and TrafficThrottleByJwtCustomClaimRule.
	ThrottleByJWTCustomClaim = ThrottleBy(limits.Claim)
)

// ClientConnectionCountRule bounds the number of connections.
type ClientConnectionCountRule struct {
	// By is what is counted. Default: ThrottleByUserID.
	By ThrottleBy
	// ClaimName is the claim of ThrottleByJWTCustomClaim.
	ClaimName string
	// MaxCount is the largest number of connections. Default: 20.
	MaxCount int
}

// ClientTrafficControlRule bounds the number of bytes that clients send.
type ClientTrafficControlRule struct {
	// By is what is counted. Default: ThrottleByUserID.
	By ThrottleBy
	// ClaimName is the claim of ThrottleByJWTCustomClaim.
	ClaimName string
	// MaxInboundMessageBytes is the largest number of bytes in a window: of whole
	// WebSocket messages, of MQTT clients of topic and payload of PUBLISH. What exactly
	// the service counts is not documented. Default: 1 GiB.
	MaxInboundMessageBytes int64
	// AggregationWindow is the length of the window, which begins with a message, in whole
	// seconds. Default: 60 s.
	AggregationWindow time.Duration
}

func (a ApplicationFirewall) internal() limits.Firewall {
	out := limits.Firewall{MaxLifetime: a.MaxClientConnectionLifetime}
	for _, r := range a.ClientConnectionCountRules {
		out.Counts = append(out.Counts, limits.CountRule{By: limits.By(r.By), Claim: r.ClaimName, MaxCount: r.MaxCount})
	}
	for _, r := range a.ClientTrafficControlRules {
		out.Traffic = append(out.Traffic, limits.TrafficRule{
			By: limits.By(r.By), Claim: r.ClaimName, MaxBytes: r.MaxInboundMessageBytes, Window: r.AggregationWindow,
		})
	}
	return out
}

func publicFirewall(w limits.Firewall) ApplicationFirewall {
	out := ApplicationFirewall{MaxClientConnectionLifetime: w.MaxLifetime}
	for _, r := range w.Counts {
		out.ClientConnectionCountRules = append(out.ClientConnectionCountRules, ClientConnectionCountRule{
			By: ThrottleBy(r.By), ClaimName: r.Claim, MaxCount: r.MaxCount,
		})
	}
	for _, r := range w.Traffic {
		out.ClientTrafficControlRules = append(out.ClientTrafficControlRules, ClientTrafficControlRule{
			By: ThrottleBy(r.By), ClaimName: r.Claim, MaxInboundMessageBytes: r.MaxBytes, AggregationWindow: r.Window,
		})
	}
	return out
}
