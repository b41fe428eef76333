package webapp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"example.com/webpubsub/handler"
)

// The query parameters of a client access URL that carry the readable name of a
// user whom the platform has signed in, see User names in the package
// documentation.
const (
	queryName      = "userName"
	querySignature = "userNameSignature"
)

// nameLifetime is how long a name may be used to connect: as long as the access
// token in the same URL.
const nameLifetime = time.Hour

// nameKeys sign the readable names of users. The first key signs, all verify, so
// that keys can be rotated.
type nameKeys []string

// sign returns the query parameters for a name, or "" without a key.
func (k nameKeys) sign(hub, userID, name string, now time.Time) string {
	if len(k) == 0 {
		return ""
	}
	expires := strconv.FormatInt(now.Add(nameLifetime).Unix(), 10)
	return url.Values{
		queryName:      {name},
		querySignature: {expires + "." + hex.EncodeToString(nameMAC(k[0], hub, userID, name, expires))},
	}.Encode()
}

// verify returns the name in the query of a client URL, or "" if there is none.
func (k nameKeys) verify(hub, userID string, query url.Values, now time.Time) (string, error) {
	if !query.Has(queryName) && !query.Has(querySignature) {
		return "", nil
	}
	if len(query[queryName]) != 1 || len(query[querySignature]) != 1 {
		return "", fmt.Errorf("the URL must have one %s and one %s: use the URL of negotiate", queryName, querySignature)
	}
	name := query.Get(queryName)
	expires, signature, _ := strings.Cut(query.Get(querySignature), ".")
	mac, err := hex.DecodeString(signature)
	if err != nil {
		return "", errNameSignature
	}
	valid := false
	for _, key := range k {
		valid = hmac.Equal(mac, nameMAC(key, hub, userID, name, expires)) || valid
	}
	if !valid {
		return "", errNameSignature
	}
	if t, err := strconv.ParseInt(expires, 10, 64); err != nil || now.Unix() > t {
		return "", fmt.Errorf("%s has expired: negotiate again", querySignature)
	}
	return name, nil
}

var errNameSignature = errors.New(querySignature + " does not match: use the URL of negotiate as it is")

// nameMAC is HMAC-SHA256 over the lines below. The access keys sign two other kinds
// of messages, which must not be mistaken for a name: tokens, which contain no line
// feed, and connection IDs (ce-signature). An MQTT client chooses its connection ID,
// but receives no signature of it: the service sends that to event handlers only.
func nameMAC(key, hub, userID, name, expires string) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(strings.Join([]string{"webpubsub user name", strings.ToLower(hub), userID, expires, name}, "\n")))
	return mac.Sum(nil)
}

// stateName is the key of the readable name in the connection state.
const stateName = "userName"

// UserName returns the readable name of the user of an event: the name that
// negotiate has signed, or what the user ID encodes.
func UserName(e *handler.Event) string {
	if name, err := handler.StateValue[string](e.State(), stateName); err == nil && name != "" {
		return name
	}
	return DecodeUserID(e.UserID)
}
