package limits

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"example.com/webpubsub/internal/token"
)

// By is what the clients have in common that a rule counts together.
type By int

// The kinds of rules.
const (
	UserID By = iota
	Signature
	Claim
)

// names are the parts of the types of rules in Azure Resource Manager.
var names = [...]string{"ByUserIdRule", "ByJwtSignatureRule", "ByJwtCustomClaimRule"}

// CountRule bounds the connections of clients at the same time.
type CountRule struct {
	By       By
	Claim    string // of the kind Claim
	MaxCount int
}

// TrafficRule bounds the bytes that clients send in a window.
type TrafficRule struct {
	By       By
	Claim    string // of the kind Claim
	MaxBytes int64
	Window   time.Duration
}

// The types of rules in Azure Resource Manager.
const (
	countPrefix   = "Throttle"
	trafficPrefix = "TrafficThrottle"
)

// Type returns the type of the rule in Azure Resource Manager.
func (r CountRule) Type() string { return countPrefix + names[r.By] }

// Type returns the type of the rule in Azure Resource Manager.
func (r TrafficRule) Type() string { return trafficPrefix + names[r.By] }

// ParseCountType returns the kind of a type of rule about the number of connections.
func ParseCountType(s string) (By, error) { return parseType(countPrefix, s) }

// ParseTrafficType returns the kind of a type of rule about traffic.
func ParseTrafficType(s string) (By, error) { return parseType(trafficPrefix, s) }

func parseType(prefix, s string) (By, error) {
	for by, name := range names {
		if s == prefix+name {
			return By(by), nil
		}
	}
	return 0, fmt.Errorf("%q is not one of %[2]s%[3]s, %[2]s%[4]s and %[2]s%[5]s", s, prefix, names[0], names[1], names[2])
}

// Firewall is the rules of a hub. The public type of a similar name documents them.
type Firewall struct {
	Counts      []CountRule
	Traffic     []TrafficRule
	MaxLifetime time.Duration
}

// IsZero reports whether there are no rules.
func (f *Firewall) IsZero() bool {
	return len(f.Counts) == 0 && len(f.Traffic) == 0 && f.MaxLifetime == 0
}

// The defaults of rules (Microsoft Learn, reference of Azure Resource Manager, types
// ThrottleByUserIdRule and TrafficThrottleByUserIdRule). That 1 GB is 2^30 bytes is a
// guess.
const (
	DefaultMaxCount = 20
	DefaultMaxBytes = 1 << 30
	DefaultWindow   = 60 * time.Second
)

// maxSeconds is the largest number of seconds in a setting, about 68 years.
const maxSeconds = math.MaxInt32

// Normalize checks the rules, and returns them with their defaults.
func (f Firewall) Normalize() (Firewall, error) {
	out := Firewall{MaxLifetime: f.MaxLifetime}
	for i, r := range f.Counts {
		if r.MaxCount == 0 {
			r.MaxCount = DefaultMaxCount
		}
		err := check(r.By, r.Claim)
		if err == nil && r.MaxCount < 0 {
			err = fmt.Errorf("maxCount is %d: it must be at least 1", r.MaxCount)
		}
		if err != nil {
			return f, fmt.Errorf("connection count rule %d: %w", i+1, err)
		}
		out.Counts = append(out.Counts, r)
	}
	for i, r := range f.Traffic {
		if r.MaxBytes == 0 {
			r.MaxBytes = DefaultMaxBytes
		}
		if r.Window == 0 {
			r.Window = DefaultWindow
		}
		err := check(r.By, r.Claim)
		switch {
		case err != nil:
		case r.MaxBytes < 0:
			err = fmt.Errorf("maxInboundMessageBytes is %d: it must be at least 1", r.MaxBytes)
		case r.Window < 0:
			err = fmt.Errorf("the aggregation window is %v: it must be positive", r.Window)
		}
		if err != nil {
			return f, fmt.Errorf("traffic control rule %d: %w", i+1, err)
		}
		out.Traffic = append(out.Traffic, r)
	}
	if f.MaxLifetime < 0 || f.MaxLifetime > maxSeconds*time.Second {
		return f, fmt.Errorf("the longest lifetime of connections is %v: 0 to %d s are allowed, and 0 is none", f.MaxLifetime, maxSeconds)
	}
	return out, nil
}

func check(by By, claim string) error {
	switch {
	case by < UserID || by > Claim:
		return fmt.Errorf("the kind of rule %d does not exist", by)
	case by == Claim && claim == "":
		return errors.New("the name of the claim is missing")
	case by != Claim && claim != "":
		return errors.New("the name of a claim is for a rule by claim only")
	}
	return nil
}

// Client is what rules know of a client: what its access token contains. A client
// without one has nothing, and passes every rule.
type Client struct {
	UserID    string
	Signature string
	Claims    map[string][]string
}

// value returns what a rule counts the client by, and false if the client has none:
// then the rule is skipped (Microsoft Learn, Application Firewall, Configure access
// token).
func (c *Client) value(by By, claim string) (string, bool) {
	switch by {
	case UserID:
		return c.UserID, c.UserID != ""
	case Signature:
		return c.Signature, c.Signature != ""
	}
	v, ok := c.Claims[claim]
	if !ok {
		v, ok = c.Claims[token.LongName(claim)]
	}
	return strings.Join(v, "\x00"), ok
}

// describe names what a rule counts by, without the signature, which is a secret.
func describe(by By, claim, value string) string {
	switch by {
	case UserID:
		return fmt.Sprintf("the user %q", value)
	case Signature:
		return "the access token"
	}
	return fmt.Sprintf("the value %q of the claim %q", strings.ReplaceAll(value, "\x00", ","), claim)
}
