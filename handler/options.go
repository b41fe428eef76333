package handler

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/names"
)

// Options configure a [Handler]. At least one way to verify events must be
// configured: ConnectionStrings, AccessKeys or Entra. If both keys and Entra are
// configured, an event needs a valid signature and a valid token. To migrate from
// keys to Entra without rejecting events: configure the service to send tokens, add
// Entra, remove the keys.
type Options struct {
	// ConnectionStrings are the connection strings of the resources that send
	// events. Their keys verify signatures, and their endpoints are allowed origins.
	ConnectionStrings []string
	// AccessKeys verify signatures, in addition to the keys of ConnectionStrings:
	// for example the secondary key. An event must match one of the keys.
	AccessKeys []string
	// Entra verifies the token that the service sends if its event handler is
	// configured with a managed identity. Default: tokens are not verified.
	Entra *EntraOptions
	// TrustTunnel accepts requests that package tunnel serves without verifying
	// signature, token and origin: the service was authenticated when the tunnel was
	// opened, and a request from the network cannot look like one of the tunnel.
	// Requests from the network are verified by the fields above, and rejected if
	// none of them is set. Default: every request is verified.
	TrustTunnel bool
	// DangerouslySkipVerification disables verification: any caller can send events
	// as any user. It is for development, and cannot be combined with
	// ConnectionStrings, AccessKeys or Entra.
	DangerouslySkipVerification bool

	// AllowedOrigins are the hosts of services that can send events, in addition to
	// the endpoints of ConnectionStrings: host names or URLs. Whole hosts are
	// compared, without port and case. "*" allows every origin. Default: none, or
	// "*" with DangerouslySkipVerification.
	AllowedOrigins []string
	// Hubs are the hubs that are served. Events of other hubs are rejected with
	// 404. Default: every hub is served.
	Hubs []string

	// MaxBodyBytes is the maximum size of the body of an event. The service limits a
	// client's message to 1 MiB. Default: 1 MiB + 64 KiB.
	MaxBodyBytes int64
	// Timeout is the deadline of a callback's context. Default: 90 seconds; the
	// service waits 100 seconds, including retries.
	Timeout time.Duration
	// Dedup enables deduplication: the response to a retried event is the cached
	// response, and the callback is not called again. Default: disabled.
	Dedup *DedupOptions
	// DotNetStateFormat writes the values of connection states in the format of
	// Microsoft's .NET library, for connections whose events are also sent to .NET
	// handlers; a JavaScript handler then reads base64 text. Both formats are read
	// in any case. Default: plain JSON, which the .NET library reads as empty.
	DotNetStateFormat bool
	// Sender is the service client that is used by [Event.SendToSender] and the
	// other Send methods. *service.Client implements it. Default: the Send methods
	// return [ErrNoSender].
	Sender Sender
	// Logger receives rejected requests at level Warn, failed callbacks at level
	// Error, rejections by callbacks at level Info, and each event at level Debug.
	// Default: slog.Default().
	Logger *slog.Logger
}

const (
	defaultMaxBody = 1<<20 + 64<<10
	defaultTimeout = 90 * time.Second
)

// New returns a handler without callbacks. It returns an error, which names the
// field, if the options do not configure verification or are invalid. New does not
// make network requests: the signing keys of Entra are fetched for the first event.
func New(o Options) (*Handler, error) {
	h := &Handler{
		origins: make(map[string]struct{}),
		hubs:    make(map[string]*HubCallbacks),
		maxBody: o.MaxBodyBytes,
		timeout: o.Timeout,
		dotNet:  o.DotNetStateFormat,
		log:     o.Logger,
	}
	h.limit = h.newLimiter()
	h.all = &HubCallbacks{sender: o.Sender}
	if h.maxBody == 0 {
		h.maxBody = defaultMaxBody
	}
	if h.timeout == 0 {
		h.timeout = defaultTimeout
	}
	if h.maxBody < 0 || h.timeout < 0 {
		return nil, errors.New("handler: Options.MaxBodyBytes and Options.Timeout must not be negative")
	}
	if h.log == nil {
		h.log = slog.Default()
	}
	if err := h.configureVerification(o); err != nil {
		return nil, fmt.Errorf("handler: %w", err)
	}
	for _, hub := range o.Hubs {
		if err := names.Hub(hub); err != nil {
			return nil, fmt.Errorf("handler: Options.Hubs: %w", err)
		}
		if h.served == nil {
			h.served = make(map[string]struct{})
		}
		h.served[strings.ToLower(hub)] = struct{}{}
	}
	if o.Dedup != nil {
		var err error
		if h.dedup, err = newDedup(*o.Dedup); err != nil {
			return nil, fmt.Errorf("handler: %w", err)
		}
	}
	return h, nil
}

func (h *Handler) configureVerification(o Options) error {
	keys := append([]string(nil), o.AccessKeys...)
	allowed := append([]string(nil), o.AllowedOrigins...)
	for i, s := range o.ConnectionStrings {
		cs, err := connstr.Parse(s)
		if err != nil {
			return fmt.Errorf("Options.ConnectionStrings[%d]: %w", i, err)
		}
		keys = append(keys, cs.AccessKey)
		allowed = append(allowed, cs.Endpoint)
	}
	for i, k := range keys {
		if k == "" || strings.TrimSpace(k) != k {
			return fmt.Errorf("Options.AccessKeys[%d] is empty or has leading or trailing white space: use the key as the portal shows it", i)
		}
		h.signers = append(h.signers, newSigner(k))
	}
	if o.Entra != nil {
		v, err := newEntra(*o.Entra)
		if err != nil {
			return err
		}
		h.entra = v
	}

	verified := len(h.signers) > 0 || h.entra != nil
	h.trustTunnel, h.tunnelOnly = o.TrustTunnel, o.TrustTunnel && !verified
	switch {
	case o.TrustTunnel && o.DangerouslySkipVerification:
		return errors.New("Options.TrustTunnel cannot be combined with DangerouslySkipVerification")
	case h.tunnelOnly:
	case !verified && !o.DangerouslySkipVerification:
		return errors.New("no event verification configured: set Options.ConnectionStrings, Options.AccessKeys or Options.Entra (or, for development only, Options.DangerouslySkipVerification)")
	case verified && o.DangerouslySkipVerification:
		return errors.New("Options.DangerouslySkipVerification cannot be combined with ConnectionStrings, AccessKeys or Entra")
	case len(allowed) == 0 && !verified:
		allowed = []string{anyOrigin}
	case len(allowed) == 0:
		return errors.New(`no allowed origin configured: set Options.AllowedOrigins to the host of your resource, for example "name.webpubsub.azure.com", or set Options.ConnectionStrings; "*" allows every origin`)
	}
	for _, a := range allowed {
		if a == anyOrigin {
			h.allowAnyOrigin = true
			continue
		}
		host, err := configuredHost(a)
		if err != nil {
			return fmt.Errorf("Options.AllowedOrigins: %w", err)
		}
		h.origins[host] = struct{}{}
	}
	return nil
}
