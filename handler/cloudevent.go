//go:build !webpubsub.nocloudevents

package handler

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/url"
	"strings"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
)

// CloudEvent returns the event as a type of the CloudEvents SDK, to forward it to
// another CloudEvents system. Each call builds a new one. The names of extensions
// are in lower case: hub, connectionid, eventname, userid, subprotocol and so on.
// The signature is omitted, because it is a credential.
//
// It returns an error if the event is not a valid CloudEvent, for example if it
// has no ce-id.
//
// The SDK keeps the linker from removing methods that are not called. A program that does
// not call this one may be built with the tag webpubsub.nocloudevents, which removes it:
// the command webpubsub is then 3 MB smaller.
func (e *Event) CloudEvent() (cloudevents.Event, error) {
	ce := cloudevents.New()
	ce.SetID(e.ID)
	ce.SetType(e.Type)
	if !e.Time.IsZero() {
		ce.SetTime(e.Time)
	}
	// An MQTT client ID can contain characters that must be escaped in a URI.
	if u, err := url.Parse(e.Source); err == nil {
		ce.SetSource(u.String())
	} else {
		ce.SetSource((&url.URL{Path: e.Source}).String())
	}
	for key, values := range e.header {
		name, ok := strings.CutPrefix(key, headerPrefixCE)
		if !ok || len(values) == 0 || key == headerSignature || isCoreAttribute(key) {
			continue
		}
		if name = strings.ToLower(name); cloudevents.IsExtensionNameValid(name) {
			if _, err := types.Validate(values[0]); err == nil {
				ce.SetExtension(name, values[0])
			}
		}
	}
	if len(e.body) > 0 {
		contentType := value(e.header, headerContentType)
		if !validContentType(contentType) {
			contentType = "application/octet-stream"
		}
		ce.SetDataContentType(contentType)
		ce.DataEncoded = e.body
		// If the event is encoded as JSON, text is not encoded as base64.
		text := isJSON(contentType) && json.Valid(e.body) ||
			strings.HasPrefix(contentType, "text/") && utf8.Valid(e.body)
		ce.DataBase64 = !text
	}
	if err := ce.Validate(); err != nil {
		return ce, fmt.Errorf("handler: CloudEvent: %w", err)
	}
	return ce, nil
}

func isCoreAttribute(key string) bool {
	switch key {
	case headerID, headerType, headerSource, headerTime, headerSpecVersion:
		return true
	}
	return false
}

func validContentType(s string) bool {
	_, _, err := mime.ParseMediaType(s)
	return err == nil
}
