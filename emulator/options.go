package emulator

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"example.com/webpubsub/internal/emulator/journal"
)

// DefaultAccessKey is the access key unless another one is set. It is public
// and the same as that of Microsoft's emulator.
const DefaultAccessKey = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"

// DefaultAddr is the address of the emulator as a command.
const DefaultAddr = "localhost:8080"

// Options configures an emulator. The zero value listens on a free port of the
// loopback interface, with [DefaultAccessKey] and without event handlers.
type Options struct {
	// Addr is the address to listen on. Default: a free loopback port.
	Addr string
	// Listener is used instead of a listener on Addr, and closed with the server;
	// Addr is then only the name by which clients know it. See [NewMemoryListener].
	// Default: a TCP listener on Addr.
	Listener net.Listener
	// AccessKey signs and verifies tokens. Default: DefaultAccessKey.
	AccessKey string
	// SecondaryKey is accepted in addition to AccessKey, as during key rotation.
	// Default: none.
	SecondaryKey string
	// SeparateSignatureHeaders sends ce-signature as one header line for each key.
	// Event handlers receive both forms. Default: one line with a list.
	SeparateSignatureHeaders bool
	// TLS serves https and wss instead of http and ws, with a certificate that is
	// generated for the name that a client requests. [Server.Client] trusts it; see
	// [Server.CertificatePEM] for programs in other languages. Token credentials
	// require it, since the SDKs do not send them unencrypted. Default: false.
	TLS bool
	// RequestClientCertificates asks clients for a TLS certificate during the TLS
	// handshake, as the service does if tls.clientCertEnabled is set on the resource.
	// The connect event contains it; who issued it is not verified, and a client without
	// one is not rejected: the event handler decides. It requires TLS. If the emulator is
	// mounted on another server, that server asks. Default: false.
	RequestClientCertificates bool
	// AllowUnverifiedEntra accepts any unexpired token whose audience is Web
	// PubSub as one of Microsoft Entra, with all rights and without looking at
	// its signature, so that code with a token credential runs here. Start rejects
	// it on an address that other machines can reach. Default: such tokens are
	// rejected.
	AllowUnverifiedEntra bool
	// AllowHosts are host names by which requests may address the emulator, besides
	// localhost, the name in Addr and every IP address, for example the name of its
	// container. They are compared without port and case; "*" matches any name.
	// A request with another name in Host is rejected with 403, so that web pages
	// cannot reach the emulator through their own host name (DNS rebinding). The
	// service has no such rule. Default: none.
	AllowHosts []string
	// AllowOrigins are origins, such as "https://app.example", of web pages that may
	// open a WebSocket, besides pages of localhost, of the IP addresses of this
	// machine and of the names in Addr and AllowHosts. "*" matches any origin, and
	// "null" for sandboxed pages and files. Another Origin is rejected with 403, since
	// any page could sign a token with the public default key; clients that send
	// none, which are not browsers, are accepted. The service accepts any origin.
	// Default: none.
	AllowOrigins []string
	// Hubs contains settings by hub name, compared without case. A hub that is not
	// listed works too, without event handlers. [Server.SetHub] changes them later.
	// Default: none.
	Hubs map[string]HubSettings
	// HubsFile names a file of hub settings in the form of [ReadHubs]. A hub in it
	// replaces that hub in Hubs, its allowedHosts and allowedOrigins are added to
	// AllowHosts and AllowOrigins, and its requireGroupStateRoles is the same as
	// RequireGroupStateRoles. The file is read again when it changes, within a
	// second; while it is missing or invalid, which the journal reports, the previous
	// settings remain in force. Default: no file.
	HubsFile string
	// Settings are those of Microsoft's emulator, from [ReadSettings]. Of them the
	// server uses the hubs, each unless Hubs or HubsFile has it too, and reads the
	// files again when they change, like HubsFile. The key and the address are for
	// the caller to set. Default: none.
	Settings *Settings
	// Logger receives one record for each journal entry: rejections and failures as
	// warnings that name the rule and the remedy, the rest as debug records.
	// Default: nothing is logged.
	Logger *slog.Logger
	// Observe is called with each journal entry when it is added, from several
	// goroutines concurrently. It may query the server, but must not block, close
	// connections or close the server: processing waits for it. Default: none.
	Observe func(Entry)
	// RequireGroupStateRoles rejects a client that sets or subscribes to group state
	// without webpubsub.RoleSetGroupState or webpubsub.RoleGetGroupState with the
	// error Forbidden. What the service does is not documented; Microsoft's preview
	// packages for Web PubSub Chat grant both roles to every client.
	// Default: it is accepted, with one EntryWarned for each role and connection.
	RequireGroupStateRoles bool
	// Control serves the control API, with which programs in any language observe
	// the emulator, inject faults and reset it, at [Server.ControlURL], and the
	// dashboard, a page that uses it, at [Server.DashboardURL]. It also has the journal
	// keep details, see JournalDetailBytes. Default: there is neither.
	Control bool
	// ControlToken allows every call of the control API, and ControlReadToken those
	// that change nothing. They are sent as Authorization: Bearer. If ControlToken is
	// given, peers on other machines may call, and by every name in AllowHosts; on an
	// address that they can reach, tokens need at least 16 characters. Default: a token
	// that is generated at each start and accepted from this machine only, and none for
	// reading.
	ControlToken, ControlReadToken string
	// ControlLinks are pages that the dashboard links to. Default: none.
	ControlLinks []Link
	// PublicURL is the address by which browsers and other machines reach the emulator,
	// scheme, host and port, for example "http://localhost:8080" for one in a container
	// or the address of a forwarded port. [Server.ClientURL] and [Server.MQTTURL]
	// contain it, and so do links in responses to requests that came by it. Its name is
	// accepted in addition to others, as if in AllowHosts and AllowOrigins, and in the
	// audience of tokens. [Server.URL] and [Server.ConnectionString] are those of this
	// machine all the same. Default: none.
	PublicURL string
	// JournalSize is the number of entries that the journal keeps. Default: 1,000.
	JournalSize int
	// JournalDetailBytes is the memory in bytes for what the control API shows of
	// journal entries beyond their fields: frames, requests, responses and payloads, of
	// each the first 64 KiB, without tokens, keys and signatures. The oldest are removed
	// first. Default: 32 MiB with Control, else 0: none are kept.
	JournalDetailBytes int
	// RecoveryWindow is how long a reliable connection, and at most how long the
	// session of an MQTT client, outlives its WebSocket.
	// Default: 30 s, as in the service.
	RecoveryWindow time.Duration
	// MaxPendingMessages and MaxPendingBytes bound what is kept for one connection, queued or
	// not acknowledged; one that falls behind further is closed with 1008. For an
	// MQTT client MaxPendingMessages bounds the messages in flight and, separately, those
	// that wait to be sent. More may wait while its client is connected and
	// acknowledged a message in the last 10 seconds, up to MaxPendingBytes.
	// Default: 1,000 messages and 16 MiB, as in the service.
	MaxPendingMessages, MaxPendingBytes int
	// Tier is the pricing tier whose limits apply to all hubs together: TierFree allows 20
	// connections at the same time and 20,000 messages a day, TierStandard 1,000
	// connections for each of Units. A handshake that exceeds them is rejected with 429. Messages
	// to clients and event handlers count, a larger one once for each 2 KiB; when they are
	// used up, all connections are closed with 1008, and new ones are rejected until
	// midnight UTC. Default: no limits.
	Tier Tier
	// Units is the number of units of TierStandard, 1 to 100. Default: 1.
	Units int
	// NetworkConditions are simulated from the start. [Server.SetNetworkConditions]
	// changes them later. Default: nothing is delayed.
	NetworkConditions NetworkConditions
	// EventHubsCredential signs in to the namespaces of event listeners that have no
	// connection string. The identity needs the role Azure Event Hubs Data Sender.
	// Default: their events are dropped.
	EventHubsCredential azcore.TokenCredential
	// Transport carries the events to the event handlers, and to event listeners with a
	// URL, for example to a handler
	// in the same process in a bubble of testing/synctest. Default: the network.
	Transport http.RoundTripper
}

// Link is a page that belongs to an emulator.
type Link struct{ Title, URL string }

func (o Options) withDefaults() Options {
	if o.Addr == "" && o.Listener == nil {
		o.Addr = "127.0.0.1:0"
	}
	if o.AccessKey == "" {
		o.AccessKey = DefaultAccessKey
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.RecoveryWindow <= 0 {
		o.RecoveryWindow = 30 * time.Second
	}
	if o.JournalSize <= 0 {
		o.JournalSize = journal.Size
	}
	if o.JournalDetailBytes == 0 && o.Control {
		o.JournalDetailBytes = 32 << 20
	}
	if o.MaxPendingMessages <= 0 {
		o.MaxPendingMessages = 1000
	}
	if o.MaxPendingBytes <= 0 {
		o.MaxPendingBytes = 16 << 20
	}
	return o
}

func (o Options) keys() []string {
	if o.SecondaryKey == "" {
		return []string{o.AccessKey}
	}
	return []string{o.AccessKey, o.SecondaryKey}
}
