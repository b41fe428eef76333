package emulator_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/emulator"
)

// The members of applicationFirewall of a resource, by every type of rule.
const firewallExample = `{"hubs": {"chat": {"applicationFirewall": {
  "clientConnectionCountRules": [
    {"type": "ThrottleByUserIdRule", "maxCount": 5},
    {"type": "ThrottleByJwtSignatureRule"},
    {"type": "ThrottleByJwtCustomClaimRule", "claimName": "tenant", "maxCount": 7}
  ],
  "clientTrafficControlRules": [
    {"type": "TrafficThrottleByUserIdRule", "maxInboundMessageBytes": 1000, "aggregationWindowInSeconds": 30},
    {"type": "TrafficThrottleByJwtSignatureRule"},
    {"type": "TrafficThrottleByJwtCustomClaimRule", "claimName": "tenant"}
  ],
  "maxClientConnectionLifetimeInSeconds": 3600
}}}}`

func TestReadApplicationFirewall(t *testing.T) {
	hubs, err := emulator.ReadHubs(strings.NewReader(firewallExample))
	if err != nil {
		t.Fatal(err)
	}
	want := emulator.ApplicationFirewall{
		ClientConnectionCountRules: []emulator.ClientConnectionCountRule{
			{MaxCount: 5},
			{By: emulator.ThrottleByJWTSignature},
			{By: emulator.ThrottleByJWTCustomClaim, ClaimName: "tenant", MaxCount: 7},
		},
		ClientTrafficControlRules: []emulator.ClientTrafficControlRule{
			{MaxInboundMessageBytes: 1000, AggregationWindow: 30 * time.Second},
			{By: emulator.ThrottleByJWTSignature},
			{By: emulator.ThrottleByJWTCustomClaim, ClaimName: "tenant"},
		},
		MaxClientConnectionLifetime: time.Hour,
	}
	if got := hubs["chat"].ApplicationFirewall; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	for _, tt := range []struct{ old, new, want string }{
		{`"ThrottleByUserIdRule"`, `"TrafficThrottleByUserIdRule"`, `line 3: hubs.chat.applicationFirewall.clientConnectionCountRules[0]: type: "TrafficThrottleByUserIdRule" is not one of ThrottleByUserIdRule, ThrottleByJwtSignatureRule and ThrottleByJwtCustomClaimRule`},
		{`"TrafficThrottleByUserIdRule"`, `"ThrottleByUserIdRule"`, `line 8: hubs.chat.applicationFirewall.clientTrafficControlRules[0]: type: "ThrottleByUserIdRule" is not one of TrafficThrottle`},
		{`"maxCount": 5`, `"maxCount": 0`, "line 3: hubs.chat.applicationFirewall.clientConnectionCountRules[0].maxCount: 0: 1 to 2147483647 are allowed"},
		{`"maxCount": 5`, `"maxCount": "5"`, "line 3: hubs.chat.applicationFirewall.clientConnectionCountRules[0].maxCount: string is not what belongs here: it takes a whole number"},
		{`"maxCount": 5`, `"maxcount5": 5`, "maxcount5: there is no such setting"},
		{`"claimName": "tenant", "maxCount": 7`, `"maxCount": 7`, "line 5: hubs.chat.applicationFirewall.clientConnectionCountRules[2]: connection count rule 3: the name of the claim is missing"},
		{`"aggregationWindowInSeconds": 30`, `"aggregationWindowInSeconds": -1`, "line 8: hubs.chat.applicationFirewall.clientTrafficControlRules[0].aggregationWindowInSeconds: -1: 1 to"},
		{`"maxInboundMessageBytes": 1000`, `"maxInboundMessageBytes": 0`, "maxInboundMessageBytes: 0: 1 to"},
		{`3600`, `-1`, "line 12: hubs.chat.applicationFirewall.maxClientConnectionLifetimeInSeconds: -1: 0 to 2147483647 are allowed"},
		{`"TrafficThrottleByJwtSignatureRule"`, `"TrafficThrottleByJwtSignatureRule", "claimName": "x"`, "the name of a claim is for a rule by claim only"},
	} {
		if !strings.Contains(firewallExample, tt.old) {
			t.Fatalf("%s is not in the example", tt.old)
		}
		_, err := emulator.ReadHubs(strings.NewReader(strings.Replace(firewallExample, tt.old, tt.new, 1)))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}
