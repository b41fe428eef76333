package emulator_test

import (
	"fmt"
	"time"

	"example.com/webpubsub/emulator"
)

func ExampleServer_SetNetworkConditions() {
	srv, err := emulator.Start(emulator.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	// A mobile network: a round trip takes 100 to 160 ms.
	err = srv.SetNetworkConditions(emulator.NetworkConditions{
		Latency: 50 * time.Millisecond, Jitter: 30 * time.Millisecond, Bandwidth: 200_000,
	})
	fmt.Println(err, srv.NetworkConditions().Latency)
	// Output: <nil> 50ms
}

// At most two connections of a user at the same time, and 100 KB a minute of what an
// access token is used for.
func ExampleApplicationFirewall() {
	srv, err := emulator.Start(emulator.Options{Hubs: map[string]emulator.HubSettings{"chat": {
		ApplicationFirewall: emulator.ApplicationFirewall{
			ClientConnectionCountRules: []emulator.ClientConnectionCountRule{{By: emulator.ThrottleByUserID, MaxCount: 2}},
			ClientTrafficControlRules: []emulator.ClientTrafficControlRule{{
				By: emulator.ThrottleByJWTSignature, MaxInboundMessageBytes: 100_000, AggregationWindow: time.Minute,
			}},
		},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(srv.Close())
	// Output: <nil>
}
