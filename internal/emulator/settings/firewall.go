package settings

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"example.com/webpubsub/internal/emulator/limits"
)

// FirewallForm is the rules against abuse of a hub. The names are those of the property
// applicationFirewall of a resource (Azure Resource Manager, Microsoft.SignalRService,
// webPubSub, from 2024-10-01-preview).
type FirewallForm struct {
	Counts      []RuleForm `json:"clientConnectionCountRules,omitempty"`
	Traffic     []RuleForm `json:"clientTrafficControlRules,omitempty"`
	MaxLifetime int64      `json:"maxClientConnectionLifetimeInSeconds,omitempty"`
}

// RuleForm is one rule of a [FirewallForm].
type RuleForm struct {
	Type     string `json:"type"`
	Claim    string `json:"claimName,omitempty"`
	MaxCount int    `json:"maxCount,omitempty"`
	MaxBytes int64  `json:"maxInboundMessageBytes,omitempty"`
	Window   int64  `json:"aggregationWindowInSeconds,omitempty"`
}

// firewallForm returns the rules in that form, nil if there are none.
func firewallForm(w *limits.Firewall) *FirewallForm {
	if w.IsZero() {
		return nil
	}
	f := &FirewallForm{MaxLifetime: seconds(w.MaxLifetime)}
	for _, r := range w.Counts {
		f.Counts = append(f.Counts, RuleForm{Type: r.Type(), Claim: r.Claim, MaxCount: r.MaxCount})
	}
	for _, r := range w.Traffic {
		f.Traffic = append(f.Traffic, RuleForm{Type: r.Type(), Claim: r.Claim, MaxBytes: r.MaxBytes, Window: seconds(r.Window)})
	}
	return f
}

// seconds rounds up: 0 would mean the default.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

func (f *reader) firewall(path string, raw json.RawMessage) (limits.Firewall, error) {
	var w limits.Firewall
	var in struct {
		Counts      []json.RawMessage `json:"clientConnectionCountRules"`
		Traffic     []json.RawMessage `json:"clientTrafficControlRules"`
		MaxLifetime int64             `json:"maxClientConnectionLifetimeInSeconds"`
	}
	if err := f.decode(path, raw, &in); err != nil {
		return w, err
	}
	for i, raw := range in.Counts {
		path := fmt.Sprintf("%s.clientConnectionCountRules[%d]", path, i)
		r := struct {
			Type     string `json:"type"`
			Claim    string `json:"claimName"`
			MaxCount *int64 `json:"maxCount"`
		}{}
		if err := f.decode(path, raw, &r); err != nil {
			return w, err
		}
		by, err := limits.ParseCountType(r.Type)
		if err != nil {
			return w, f.fail(path, fmt.Errorf("type: %w", err))
		}
		n, err := f.positive(path, "maxCount", r.MaxCount, math.MaxInt32)
		if err != nil {
			return w, err
		}
		w.Counts = append(w.Counts, limits.CountRule{By: by, Claim: r.Claim, MaxCount: int(n)})
		if err := f.rule(path, w); err != nil {
			return w, err
		}
	}
	for i, raw := range in.Traffic {
		path := fmt.Sprintf("%s.clientTrafficControlRules[%d]", path, i)
		r := struct {
			Type     string `json:"type"`
			Claim    string `json:"claimName"`
			MaxBytes *int64 `json:"maxInboundMessageBytes"`
			Window   *int64 `json:"aggregationWindowInSeconds"`
		}{}
		if err := f.decode(path, raw, &r); err != nil {
			return w, err
		}
		by, err := limits.ParseTrafficType(r.Type)
		if err != nil {
			return w, f.fail(path, fmt.Errorf("type: %w", err))
		}
		bytes, err := f.positive(path, "maxInboundMessageBytes", r.MaxBytes, math.MaxInt64)
		if err != nil {
			return w, err
		}
		window, err := f.positive(path, "aggregationWindowInSeconds", r.Window, math.MaxInt32)
		if err != nil {
			return w, err
		}
		w.Traffic = append(w.Traffic, limits.TrafficRule{By: by, Claim: r.Claim, MaxBytes: bytes, Window: time.Duration(window) * time.Second})
		if err := f.rule(path, w); err != nil {
			return w, err
		}
	}
	if n := in.MaxLifetime; n < 0 || n > math.MaxInt32 {
		return w, f.fail(path+".maxClientConnectionLifetimeInSeconds", fmt.Errorf("%d: 0 to %d are allowed, and 0 is no limit", n, math.MaxInt32))
	}
	w.MaxLifetime = time.Duration(in.MaxLifetime) * time.Second
	return w, nil
}

// rule checks the rule that was read last, so that an error has its line.
func (f *reader) rule(path string, w limits.Firewall) error {
	if _, err := w.Normalize(); err != nil {
		return f.fail(path, err)
	}
	return nil
}

// positive returns a number, 0 if there is none.
func (f *reader) positive(path, name string, n *int64, most int64) (int64, error) {
	switch {
	case n == nil:
		return 0, nil
	case *n < 1 || *n > most:
		return 0, f.fail(path+"."+name, fmt.Errorf("%d: 1 to %d are allowed", *n, most))
	}
	return *n, nil
}
