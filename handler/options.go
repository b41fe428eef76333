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

// Options configure a [Handler]. At least one way to verify events is needed:
// ConnectionStrings, AccessKeys or Entra. What is configured must pass: with
// both a key and Entra an event needs a valid signature and a valid token. A
// resource can so move from keys to Entra without a gap: let the service send
// tokens, add Entra, remove the keys.
type Options struct {
	// ConnectionStrings are those of the resources that send events. Their keys
	// verify signatures, their endpoints are allowed origins.
	ConnectionStrings []string
	// AccessKeys verify signatures beside the keys of ConnectionStrings; give
	// the secondary key here. An event needs to fit one of them.
	AccessKeys []string
	// Entra verifies the token that the service sends when its event handler is
	// configured with a managed identity. Nil does not look at tokens.
	Entra *EntraOptions
	// TrustTunnel accepts requests that package tunnel serves without looking at
	// signature, token and origin: the service was authenticated when the tunnel
	// was opened, and a request from the network cannot look like one of the tunnel.
	// Requests from the network are verified by the fields above, and rejected if
	// none of them is set. Default: every request is verified.
	TrustTunnel bool
	// DangerouslySkipVerification lets everybody who can reach the URL send
	// events in the name of any user. It is for development, where no key is at
	// hand, and excludes the three fields above.
	DangerouslySkipVerification bool

	// AllowedOrigins are the hosts of services that may send events, beside the
	// endpoints of ConnectionStrings: host names or URLs, compared whole, without
	// port and case. "*" allows every origin, which is the default only with
	// DangerouslySkipVerification.
	AllowedOrigins []string
	// Hubs are the hubs that are served; events of others are answered with 404.
	// Empty serves every hub.
	Hubs []string

	// MaxBodyBytes bounds an event's body; the service's own limit for a client's
	// message is 1 MB. Zero means 1 MiB and 64 KiB.
	MaxBodyBytes int64
	// Timeout is the deadline of a callback's context. Zero means 90 seconds:
	// the service waits 100, retries included.
	Timeout time.Duration
	// Dedup answers a repeated event from memory instead of calling the callback
	// again. Nil calls it for every delivery.
	Dedup *DedupOptions
	// DotNetState writes the values of connection states in the form of
	// Microsoft's .NET library, for connections whose events .NET handlers get as
	// well; a JavaScript handler then sees base64 text. Default: plain JSON, which
	// the .NET library takes for an empty state. Both are read either way.
	DotNetState bool
	// Sender is the service client behind [Event.SendToSender] and its
	// neighbours; a *service.Client is one. Nil makes them fail with
	// [ErrNoSender].
	Sender Sender
	// Logger gets refusals (Warn), failed callbacks (Error) and one line per
	// event (Debug). Nil means slog.Default().
	Logger *slog.Logger
}

const (
	defaultMaxBody = 1<<20 + 64<<10
	defaultTimeout = 90 * time.Second
)

// New returns a handler that answers events. It fails where the options leave
// events unverified or cannot be understood; the error names the field. New
// calls nobody: keys of Entra are fetched with the first event.
func New(o Options) (*Handler, error) {
	h := &Handler{
		origins: make(map[string]struct{}),
		hubs:    make(map[string]*Hub),
		maxBody: o.MaxBodyBytes,
		timeout: o.Timeout,
		dotNet:  o.DotNetState,
		log:     o.Logger,
	}
	h.limit = h.newLimiter()
	h.all = &Hub{sender: o.Sender}
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
			return fmt.Errorf("Options.AccessKeys[%d] is empty or has white space around it: give the key as the portal shows it", i)
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
		return errors.New("Options.TrustTunnel and DangerouslySkipVerification are mutually exclusive: remove one")
	case h.tunnelOnly:
	case !verified && !o.DangerouslySkipVerification:
		return errors.New("nothing verifies that events come from the service: set Options.ConnectionStrings, Options.AccessKeys or Options.Entra (or, in development only, Options.DangerouslySkipVerification)")
	case verified && o.DangerouslySkipVerification:
		return errors.New("Options.DangerouslySkipVerification excludes ConnectionStrings, AccessKeys and Entra: remove the one or the others")
	case len(allowed) == 0 && !verified:
		allowed = []string{anyOrigin}
	case len(allowed) == 0:
		return errors.New(`no origin is allowed to send events: set Options.AllowedOrigins to the host of your resource, such as "name.webpubsub.azure.com", or give Options.ConnectionStrings; "*" allows every origin`)
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
