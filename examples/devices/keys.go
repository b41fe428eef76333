package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"example.com/webpubsub/webapp"
)

// settingKeys is the setting with the keys of devices: name=key, separated by commas.
const settingKeys = "DeviceKeys"

const minKey = 16 // bytes

// deviceKeys has the hash of each device's key, by the device's name.
type deviceKeys map[string][sha256.Size]byte

func parseKeys(setting string) (deviceKeys, error) {
	keys := make(deviceKeys)
	for i, pair := range strings.FieldsFunc(setting, func(r rune) bool { return r == ',' }) {
		name, key, _ := strings.Cut(strings.TrimSpace(pair), "=")
		switch _, again := keys[name]; {
		case !validName.MatchString(name):
			return nil, fmt.Errorf("%s: device %d has no name of 1 to 32 small letters, digits and -: write name=key, separated by commas", settingKeys, i+1)
		case len(key) < minKey:
			return nil, fmt.Errorf("%s: the key of %s has less than %d bytes", settingKeys, name, minKey)
		case again:
			return nil, fmt.Errorf("%s: %s occurs twice", settingKeys, name)
		}
		keys[name] = sha256.Sum256([]byte(key))
	}
	return keys, nil
}

// authenticate is for devices, which call negotiate with their name and key (HTTP Basic,
// RFC 7617). Users of the page are left to the platform. Without the setting, in
// development, a device is whoever says so, as users are.
func (k deviceKeys) authenticate(r *http.Request) (webapp.User, error) {
	name, key, ok := r.BasicAuth()
	if !ok {
		if len(k) > 0 && claimsDevice(r) {
			return webapp.User{}, errors.New("a device authenticates with its name and key")
		}
		return webapp.User{}, nil
	}
	want, known := k[name]
	got := sha256.Sum256([]byte(key))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || !known {
		return webapp.User{}, fmt.Errorf("the name or key of the device is not that of %s", settingKeys)
	}
	return webapp.User{ID: devicePrefix + name}, nil
}

// claimsDevice reports whether a caller asks to be a device by the query, which is
// accepted in demonstrations. Names are compared as user IDs: negotiate accepts other
// spellings of them.
func claimsDevice(r *http.Request) bool {
	query := r.URL.Query()
	return slices.ContainsFunc(append(query["userId"], query["userid"]...), func(name string) bool {
		id, err := webapp.EncodeUserID(name)
		return err == nil && strings.HasPrefix(id, devicePrefix)
	})
}
