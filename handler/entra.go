package handler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"example.com/webpubsub/internal/token"
)

// EntraOptions configures the validation of Microsoft Entra tokens. The service
// sends a token with every event if its event handler is configured to authenticate
// with a managed identity (Azure Web PubSub, Managed identities).
type EntraOptions struct {
	// TenantID is the tenant of the service's managed identity, a GUID.
	TenantID string
	// Audiences are the accepted audiences: the resource of the event handler's
	// authentication setting, which is an App ID URI such as "api://my-app", and the
	// application ID if tokens of version 2 are issued.
	Audiences []string
	// Principals are the object IDs or application IDs of the managed identities
	// that can send events. Without this check, any application in the tenant could
	// obtain a token for the audience.
	Principals []string
	// AuthorityHost is the address of Entra, for national clouds. Default:
	// https://login.microsoftonline.com.
	AuthorityHost string
	// Issuers are the accepted issuers. Default: the issuers of TenantID in versions
	// 1 and 2, https://sts.windows.net/{tenant}/ and {AuthorityHost}/{tenant}/v2.0.
	Issuers []string
	// JWKSURL is the address of Entra's signing keys. Default:
	// {AuthorityHost}/{tenant}/discovery/v2.0/keys.
	JWKSURL string
	// HTTPClient fetches the signing keys, of which at most 1 MiB is read. Default: a
	// client with a timeout of ten seconds.
	HTTPClient *http.Client
}

const (
	defaultAuthority = "https://login.microsoftonline.com"
	// keysMaxAge is how long keys are cached, as in Microsoft's own libraries. Entra
	// rotates its keys a few times a year and publishes a new one in advance.
	keysMaxAge = 24 * time.Hour
	// minRefreshInterval is the minimum interval between fetches for an unknown key
	// ID, so that forged tokens cannot make the handler flood Entra.
	minRefreshInterval = time.Minute
	// keysRetry is the minimum interval between fetches after a failure.
	keysRetry    = time.Second
	keysTimeout  = 10 * time.Second
	maxKeySet    = 1 << 20 // bytes; Entra's has about 20 KiB
	bearerScheme = "Bearer "
)

// entra verifies bearer tokens.
type entra struct {
	o      EntraOptions
	parser *jwt.Parser

	keys atomic.Pointer[keySet] // nil before the first fetch

	mu              sync.Mutex // held while fetching
	lastFetch       time.Time
	err             error     // of the last fetch
	lastForcedFetch time.Time // for an unknown key ID
}

// keySet is the result of one fetch.
type keySet struct {
	keys    keyfunc.Keyfunc
	fetched time.Time
}

func newEntra(o EntraOptions) (*entra, error) {
	switch {
	case o.TenantID == "" || strings.ContainsAny(o.TenantID, "/?# "):
		return nil, errors.New("Options.Entra.TenantID is missing or is not a tenant ID: set it to the tenant of the service's managed identity")
	case len(o.Audiences) == 0 || slices.Contains(o.Audiences, ""):
		return nil, errors.New("Options.Entra.Audiences is missing or contains an empty entry: set it to the resource of the event handler's authentication setting")
	case len(o.Principals) == 0 || slices.Contains(o.Principals, ""):
		return nil, errors.New("Options.Entra.Principals is missing or contains an empty entry: set it to the object ID of the service's managed identity; otherwise any application in the tenant could send events")
	}
	if o.AuthorityHost == "" {
		o.AuthorityHost = defaultAuthority
	}
	o.AuthorityHost = strings.TrimRight(o.AuthorityHost, "/")
	if len(o.Issuers) == 0 {
		o.Issuers = []string{
			"https://sts.windows.net/" + o.TenantID + "/",
			o.AuthorityHost + "/" + o.TenantID + "/v2.0",
		}
	}
	if o.JWKSURL == "" {
		o.JWKSURL = o.AuthorityHost + "/" + o.TenantID + "/discovery/v2.0/keys"
	}
	if u, err := url.Parse(o.JWKSURL); err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("Options.Entra.AuthorityHost or JWKSURL: %q is not an address", o.JWKSURL)
	}
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{Timeout: keysTimeout}
	}
	return &entra{
		o: o,
		parser: jwt.NewParser(
			// Only RS256 is accepted; never trust the alg header of the token.
			jwt.WithValidMethods([]string{"RS256"}),
			jwt.WithExpirationRequired(),
			jwt.WithLeeway(token.Skew),
			// Each token has one encoding only.
			jwt.WithStrictDecoding(),
		),
	}, nil
}

// claims are the claims of a token that are verified.
type claims struct {
	jwt.RegisteredClaims
	Tenant   string `json:"tid"`
	ObjectID string `json:"oid"`
	AppID    string `json:"appid"` // version 1
	Party    string `json:"azp"`   // version 2
	Scope    string `json:"scp"`   // if a user delegated the token
}

// errNoKeys is the error if the keys cannot be fetched, which does not mean that the
// token is invalid.
var errNoKeys = errors.New("cannot fetch the signing keys of Entra")

func (v *entra) verify(ctx context.Context, header http.Header) *rejection {
	auth := header["Authorization"]
	if len(auth) != 1 || len(auth[0]) <= len(bearerScheme) || !strings.EqualFold(auth[0][:len(bearerScheme)], bearerScheme) {
		return reject(http.StatusUnauthorized, "the event has no bearer token",
			"set the event handler's authentication to managed identity, with the resource in Options.Entra.Audiences")
	}
	var c claims
	_, err := v.parser.ParseWithClaims(strings.TrimSpace(auth[0][len(bearerScheme):]), &c, func(t *jwt.Token) (any, error) {
		return v.key(ctx, t)
	})
	if err != nil {
		return v.explain(err)
	}
	switch {
	case !slices.Contains(v.o.Issuers, c.Issuer) || !strings.EqualFold(c.Tenant, v.o.TenantID):
		return reject(http.StatusUnauthorized, "the token was issued by another issuer or tenant: "+truncate(c.Issuer), "compare Options.Entra.TenantID and Issuers")
	case !slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(v.o.Audiences, a) }):
		return reject(http.StatusUnauthorized, "the token is for another audience: "+truncate(strings.Join(c.Audience, " ")), "compare Options.Entra.Audiences with the resource of the event handler's authentication setting")
	case c.Scope != "":
		return reject(http.StatusUnauthorized, "the token was delegated by a user", "configure the event handler with a managed identity")
	case !v.isPrincipal(c.ObjectID) && !v.isPrincipal(c.AppID) && !v.isPrincipal(c.Party):
		return reject(http.StatusUnauthorized, "the token was issued to "+truncate(c.ObjectID)+", which is not allowed to send events", "if this is the service's managed identity, add it to Options.Entra.Principals")
	}
	return nil
}

func (v *entra) isPrincipal(id string) bool {
	return id != "" && slices.ContainsFunc(v.o.Principals, func(p string) bool { return strings.EqualFold(p, id) })
}

func (v *entra) explain(err error) *rejection {
	rej := reject(http.StatusUnauthorized, "the token is malformed or not signed by Entra", "only Web PubSub may call this URL")
	switch {
	case errors.Is(err, errNoKeys):
		// The service retries after a 503; after a 401 the event would be lost.
		rej = reject(http.StatusServiceUnavailable, errNoKeys.Error(), "check that this machine can reach "+v.o.JWKSURL)
		rej.err = err
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet):
		rej = reject(http.StatusUnauthorized, "the token has expired or is not valid yet", "check that the system clock is synchronized")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		rej.reason = "the token has no exp claim"
	}
	return rej
}

// key returns the public key for the key ID of a token.
func (v *entra) key(ctx context.Context, t *jwt.Token) (any, error) {
	if kid, ok := t.Header["kid"].(string); !ok || kid == "" {
		return nil, errors.New("the token has no key ID")
	}
	set, err := v.current(ctx)
	if err != nil {
		return nil, err
	}
	key, err := set.keys.Keyfunc(t)
	if !errors.Is(err, jwkset.ErrKeyNotFound) {
		return key, err
	}
	// The key can be newer than the cached keys.
	if set, err = v.refresh(ctx, set); err != nil {
		return nil, err
	}
	return set.keys.Keyfunc(t)
}

// current returns the cached keys, and fetches them if they are too old. While Entra
// cannot be reached, the old keys remain valid. There is no background goroutine,
// which a serverless host would freeze.
func (v *entra) current(ctx context.Context) (*keySet, error) {
	if k := v.keys.Load(); k != nil && time.Since(k.fetched) < keysMaxAge {
		return k, nil
	}
	// One event fetches the keys. The others use the old keys, or wait if there are
	// none.
	if k := v.keys.Load(); k == nil {
		v.mu.Lock()
	} else if !v.mu.TryLock() {
		return k, nil
	}
	defer v.mu.Unlock()
	k := v.keys.Load()
	if k != nil && time.Since(k.fetched) < keysMaxAge {
		return k, nil
	}
	if v.err == nil || time.Since(v.lastFetch) >= keysRetry {
		v.fetch(ctx)
		k = v.keys.Load()
	}
	if k == nil {
		return nil, errors.Join(errNoKeys, v.err)
	}
	return k, nil
}

// refresh returns keys that may contain one that seen does not, however new seen is:
// a process that starts right before a key rotation must not reject events for a
// minute.
func (v *entra) refresh(ctx context.Context, seen *keySet) (*keySet, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k := v.keys.Load(); k != seen {
		return k, nil
	}
	interval := minRefreshInterval
	if v.err != nil {
		interval = keysRetry
	}
	if time.Since(v.lastForcedFetch) >= interval {
		v.fetch(ctx)
		v.lastForcedFetch = v.lastFetch // its end, so that events that waited for it do not fetch again
	}
	if v.err != nil {
		return nil, errors.Join(errNoKeys, v.err)
	}
	return v.keys.Load(), nil
}

func (v *entra) fetch(ctx context.Context) {
	// Other requests wait for the same keys, so the end of one does not cancel the
	// fetch.
	ctx = context.WithoutCancel(ctx)
	var keys keyfunc.Keyfunc
	store, err := jwkset.NewStorageFromHTTP(v.o.JWKSURL, jwkset.HTTPClientStorageOptions{
		Client: boundedClient(v.o.HTTPClient), Ctx: ctx, HTTPTimeout: keysTimeout,
	})
	if err == nil {
		keys, err = keyfunc.New(keyfunc.Options{Storage: store})
	}
	v.lastFetch, v.err = time.Now(), err
	if err == nil {
		v.keys.Store(&keySet{keys: keys, fetched: v.lastFetch})
	}
}

// boundedClient returns a client that reads at most maxKeySet bytes of a response,
// because package jwkset reads the whole body.
func boundedClient(c *http.Client) *http.Client {
	bounded := *c
	bounded.Transport = boundedTransport{cmp.Or(c.Transport, http.DefaultTransport)}
	return &bounded
}

type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := t.next.RoundTrip(r)
	if err == nil {
		res.Body = boundedBody{http.MaxBytesReader(nil, res.Body, maxKeySet)}
	}
	return res, err
}

type boundedBody struct{ io.ReadCloser }

func (b boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		err = fmt.Errorf("the key set exceeds %d bytes", tooLarge.Limit)
	}
	return n, err
}
