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

// EntraOptions says which tokens of Microsoft Entra are good. The service sends
// one with every event when its event handler is set to authenticate with a
// managed identity (Azure Web PubSub, Managed identities).
type EntraOptions struct {
	// TenantID is the tenant of the service's managed identity, a GUID.
	TenantID string
	// Audiences are what the token may be for: the resource of the event
	// handler's authentication setting, which is an App ID URI such as
	// "api://my-app", and the application id where tokens of version 2 are issued.
	Audiences []string
	// Principals are the object ids or application ids of the managed identities
	// that may send events. Without this check every program in the tenant could
	// get a token for the audience.
	Principals []string
	// AuthorityHost is Entra's address, for national clouds. Empty means
	// https://login.microsoftonline.com.
	AuthorityHost string
	// Issuers replaces the accepted issuers. Empty means those of TenantID in
	// versions 1 and 2: https://sts.windows.net/{tenant}/ and
	// {AuthorityHost}/{tenant}/v2.0.
	Issuers []string
	// JWKSURL replaces the address of Entra's signing keys. Empty means
	// {AuthorityHost}/{tenant}/discovery/v2.0/keys.
	JWKSURL string
	// HTTPClient fetches the keys. Nil means a client with a timeout of ten
	// seconds.
	HTTPClient *http.Client
}

const (
	defaultAuthority = "https://login.microsoftonline.com"
	// Entra rolls its keys a few times a year and announces a new one by its
	// publication; a day is how long Microsoft's own libraries keep them.
	keysMaxAge = 24 * time.Hour
	// An unknown key id asks for new keys at most this often, so that made-up
	// tokens cannot make the handler flood Entra.
	keysPause = time.Minute
	// After a failed fetch nobody tries again for this long.
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

	mu    sync.Mutex // held while fetching
	tried time.Time
	err   error     // of the last try
	asked time.Time // last time for an unknown key id
}

// keySet is what one fetch brought.
type keySet struct {
	keys    keyfunc.Keyfunc
	fetched time.Time
}

func newEntra(o EntraOptions) (*entra, error) {
	switch {
	case o.TenantID == "" || strings.ContainsAny(o.TenantID, "/?# "):
		return nil, errors.New("Options.Entra.TenantID is missing or no id: give the tenant of the service's managed identity")
	case len(o.Audiences) == 0 || slices.Contains(o.Audiences, ""):
		return nil, errors.New("Options.Entra.Audiences is missing or holds an empty entry: give the resource of the event handler's authentication setting")
	case len(o.Principals) == 0 || slices.Contains(o.Principals, ""):
		return nil, errors.New("Options.Entra.Principals is missing or holds an empty entry: give the object id of the service's managed identity, or every program in the tenant could send events")
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
			// Pinned: a token must not choose how it is verified.
			jwt.WithValidMethods([]string{"RS256"}),
			jwt.WithExpirationRequired(),
			jwt.WithLeeway(token.Skew),
			// One token has one spelling.
			jwt.WithStrictDecoding(),
		),
	}, nil
}

// claims are those that say who sent a token to whom.
type claims struct {
	jwt.RegisteredClaims
	Tenant   string `json:"tid"`
	ObjectID string `json:"oid"`
	AppID    string `json:"appid"` // version 1
	Party    string `json:"azp"`   // version 2
	Scope    string `json:"scp"`   // of a token that a user delegated
}

// errNoKeys marks that the keys could not be fetched, which is not the sender's
// fault.
var errNoKeys = errors.New("the signing keys of Entra cannot be fetched")

func (v *entra) verify(ctx context.Context, header http.Header) *refusal {
	auth := header["Authorization"]
	if len(auth) != 1 || len(auth[0]) <= len(bearerScheme) || !strings.EqualFold(auth[0][:len(bearerScheme)], bearerScheme) {
		return refuse(http.StatusUnauthorized, "the event has no bearer token",
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
		return refuse(http.StatusUnauthorized, "the token comes from another issuer or tenant: "+clip(c.Issuer), "compare Options.Entra.TenantID and Issuers")
	case !slices.ContainsFunc(c.Audience, func(a string) bool { return slices.Contains(v.o.Audiences, a) }):
		return refuse(http.StatusUnauthorized, "the token is for another audience: "+clip(strings.Join(c.Audience, " ")), "compare Options.Entra.Audiences with the resource of the event handler's authentication setting")
	case c.Scope != "":
		return refuse(http.StatusUnauthorized, "the token was delegated by a user", "only a managed identity may send events")
	case !v.isPrincipal(c.ObjectID) && !v.isPrincipal(c.AppID) && !v.isPrincipal(c.Party):
		return refuse(http.StatusUnauthorized, "the token was issued to "+clip(c.ObjectID)+", which may not send events", "if this is the service's managed identity, add it to Options.Entra.Principals")
	}
	return nil
}

func (v *entra) isPrincipal(id string) bool {
	return id != "" && slices.ContainsFunc(v.o.Principals, func(p string) bool { return strings.EqualFold(p, id) })
}

func (v *entra) explain(err error) *refusal {
	no := refuse(http.StatusUnauthorized, "the token is malformed or not signed by Entra", "only Web PubSub may call this URL")
	switch {
	case errors.Is(err, errNoKeys):
		// 503 makes the service try again; a 401 would lose the event.
		no = refuse(http.StatusServiceUnavailable, errNoKeys.Error(), "check that this machine reaches "+v.o.JWKSURL)
		no.cause = err
	case errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenNotValidYet):
		no = refuse(http.StatusUnauthorized, "the token has expired or is not valid yet", "compare this machine's clock")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		no.rule = "the token has no exp claim"
	}
	return no
}

// key finds the public key that a token names.
func (v *entra) key(ctx context.Context, t *jwt.Token) (any, error) {
	if kid, ok := t.Header["kid"].(string); !ok || kid == "" {
		return nil, errors.New("the token names no key")
	}
	set, err := v.current(ctx)
	if err != nil {
		return nil, err
	}
	key, err := set.keys.Keyfunc(t)
	if !errors.Is(err, jwkset.ErrKeyNotFound) {
		return key, err
	}
	// The key may be newer than what is remembered.
	if set, err = v.newer(ctx, set); err != nil {
		return nil, err
	}
	return set.keys.Keyfunc(t)
}

// current returns the keys, fetched anew when they are too old. While Entra
// cannot be reached the old ones remain good. No goroutine runs in the
// background: a serverless host would freeze it.
func (v *entra) current(ctx context.Context) (*keySet, error) {
	if k := v.keys.Load(); k != nil && time.Since(k.fetched) < keysMaxAge {
		return k, nil
	}
	// One event asks; the others do with the old keys, and wait only where there
	// are none.
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
	if v.err == nil || time.Since(v.tried) >= keysRetry {
		v.fetch(ctx)
		k = v.keys.Load()
	}
	if k == nil {
		return nil, errors.Join(errNoKeys, v.err)
	}
	return k, nil
}

// newer returns keys that may hold one that seen has not, however young seen
// is: a process that starts right before a rotation must not refuse events for
// a minute.
func (v *entra) newer(ctx context.Context, seen *keySet) (*keySet, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k := v.keys.Load(); k != seen {
		return k, nil
	}
	pause := keysPause
	if v.err != nil {
		pause = keysRetry
	}
	if time.Since(v.asked) >= pause {
		v.fetch(ctx)
		v.asked = v.tried // when it ended: who waited meanwhile does not ask again
	}
	if v.err != nil {
		return nil, errors.Join(errNoKeys, v.err)
	}
	return v.keys.Load(), nil
}

func (v *entra) fetch(ctx context.Context) {
	// Others wait for the same keys, so one caller's end does not end the fetch.
	ctx = context.WithoutCancel(ctx)
	var keys keyfunc.Keyfunc
	store, err := jwkset.NewStorageFromHTTP(v.o.JWKSURL, jwkset.HTTPClientStorageOptions{
		Client: boundedClient(v.o.HTTPClient), Ctx: ctx, HTTPTimeout: keysTimeout,
	})
	if err == nil {
		keys, err = keyfunc.New(keyfunc.Options{Storage: store})
	}
	v.tried, v.err = time.Now(), err
	if err == nil {
		v.keys.Store(&keySet{keys: keys, fetched: v.tried})
	}
}

// boundedClient returns a client that reads no more than maxKeySet bytes of a
// response, which package jwkset reads whole.
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
