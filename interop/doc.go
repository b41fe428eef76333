// Package interop proves that the official SDKs of other languages work with
// this module, unmodified: as clients and service clients of the emulator, and
// as event handlers that the emulator calls. It has tests only:
//
//	WEBPUBSUB_REQUIRE_TOOLS=1 go test ./interop
//
// Each language has a folder with its programs and a lock file of what they
// need. A test starts the emulator and an event handler in process, and gives
// the programs these environment variables:
//
//	WebPubSubConnectionString          the emulator
//	WEBPUBSUB_PROXY_CONNECTION_STRING  the same behind a proxy that can cut connections
//	WEBPUBSUB_TLS_CONNECTION_STRING    another emulator, over https and wss; its certificate is trusted
//	WEBPUBSUB_ENTRA_TOKEN              a token of Microsoft Entra's form that the latter accepts
//	WEBPUBSUB_REVERSE_PROXY            what is sent there reaches the emulator as http://webpubsub.invalid
//	WEBPUBSUB_HARNESS_URL                the address of the harness, see below
//	WEBPUBSUB_RESULTS                  the file for one line of JSON for each test: {"name":"…","ok":true}
//
// A test's name begins with the features that it proves. features_test.go lists
// them, and TestPackages writes the tables of docs/compatibility.md from what every
// suite reports:
//
//	WEBPUBSUB_REQUIRE_TOOLS=1 go test ./interop -run Packages -update
//
// The folder mqtt is for MQTT.js and Eclipse Paho. WEBPUBSUB_MQTT_URL is the
// emulator's address for MQTT up to the name of the hub.
//
// The harness responds to GET /seen?connection=id with the events that the handler
// got from a connection, as a JSON array of text, and POST /cut by cutting every
// connection through the proxy, as a lost network does.
//
// The hub "events" has the Go event handler, with these events:
//
//	echo     replies with the message that it got
//	count    replies with {"count":n}, n counted in the connection's state
//	deny     fails with status 400
//	publish  sends its text to the group of that name, by the service client
//	message  replies with the text in upper case (what simple clients send)
//
// Its connect callback rejects with 403 a client whose URL has refuse=yes, and
// makes the connection one of the user that the query parameter as names.
//
// The hub "express" has the official Express middleware, of node/express, or the
// same in Go: both pass the same tests, with UPSTREAM_URL for their address, and
// TestPackages compares their responses to the same requests.
package interop
