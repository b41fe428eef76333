package emulator_test

import (
	"crypto/sha1"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/mqtt"
	"example.com/webpubsub/internal/test/testcert"
)

// What the connect event contains of the certificate of a client, by both client
// endpoints. The reference of events has lines that end with CR LF.
func TestCertificateInTheConnectEvent(t *testing.T) {
	handlers, events := upstream(t, nil)
	srv := emulator.StartT(t, emulator.Options{
		TLS: true, RequestClientCertificates: true,
		Hubs: map[string]emulator.HubSettings{hubName: {EventHandlers: handlers, AllowAnonymous: true}},
	})
	cert := testcert.SelfSigned(t, "device-7")
	for _, tt := range []struct {
		name, url, subprotocol string
		certificates           []tls.Certificate
	}{
		{"simple", srv.ClientURL(hubName), "", []tls.Certificate{cert}},
		{"JSON", srv.ClientURL(hubName), jsonProtocol, []tls.Certificate{cert}},
		{"MQTT", srv.MQTTURL(hubName), "mqtt", []tls.Certificate{cert}},
		{"without", srv.ClientURL(hubName), "", nil},
	} {
		d := websocket.Dialer{TLSClientConfig: &tls.Config{RootCAs: srv.CertPool(), Certificates: tt.certificates}}
		if tt.subprotocol != "" {
			d.Subprotocols = []string{tt.subprotocol}
		}
		ws, _, err := d.DialContext(t.Context(), tt.url, nil)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if tt.name == "MQTT" {
			connect := mqtt.V5.Append(nil, &mqtt.Connect{Version: mqtt.V5, ClientID: "c", CleanStart: true})
			if err := ws.WriteMessage(websocket.BinaryMessage, connect); err != nil {
				t.Fatal(err)
			}
		}
		var body struct {
			ClientCertificates []struct{ Thumbprint, Content string }
		}
		e := nextEvent(t, events)
		for e.Name != "connect" {
			e = nextEvent(t, events)
		}
		if err := json.Unmarshal([]byte(e.Body), &body); err != nil {
			t.Fatal(err)
		}
		switch {
		case tt.certificates == nil:
			if !strings.Contains(e.Body, `"clientCertificates":[]`) {
				t.Errorf("%s: %s", tt.name, e.Body)
			}
		case len(body.ClientCertificates) != 1:
			t.Errorf("%s: %s", tt.name, e.Body)
		default:
			got := body.ClientCertificates[0]
			if want := fmt.Sprintf("%X", sha1.Sum(cert.Certificate[0])); got.Thumbprint != want {
				t.Errorf("%s: thumbprint %s, want %s", tt.name, got.Thumbprint, want)
			}
			if !regexp.MustCompile(`^-----BEGIN CERTIFICATE-----\r\n([A-Za-z0-9+/=]+\r\n)+-----END CERTIFICATE-----\r\n$`).MatchString(got.Content) {
				t.Errorf("%s: content %q", tt.name, got.Content)
			}
			if block, _ := pem.Decode([]byte(got.Content)); block == nil || string(block.Bytes) != string(cert.Certificate[0]) {
				t.Errorf("%s: the content is another certificate", tt.name)
			}
		}
		_ = ws.Close()
	}
}

func TestClientCertificatesNeedTLS(t *testing.T) {
	if _, err := emulator.Start(emulator.Options{RequestClientCertificates: true}); err == nil || !strings.Contains(err.Error(), "set TLS too") {
		t.Errorf("Start: %v", err)
	}
}

// An emulator that is mounted on another server passes on what that asks for.
func TestCertificateOfAMountedEmulator(t *testing.T) {
	handlers, events := upstream(t, nil)
	srv := emulator.StartT(t, emulator.Options{Hubs: map[string]emulator.HubSettings{hubName: {EventHandlers: handlers, AllowAnonymous: true}}})
	front := httptest.NewUnstartedServer(srv)
	front.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	front.StartTLS()
	t.Cleanup(front.Close)
	config := front.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = nil
	config.Certificates = []tls.Certificate{testcert.SelfSigned(t, "device-7")}
	d := websocket.Dialer{TLSClientConfig: config}
	ws, _, err := d.DialContext(t.Context(), "wss"+strings.TrimPrefix(front.URL, "https")+"/client/hubs/"+hubName, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	if e := nextEvent(t, events); !strings.Contains(e.Body, fmt.Sprintf(`"thumbprint":"%X"`, sha1.Sum(config.Certificates[0].Certificate[0]))) {
		t.Errorf("connect event %s", e.Body)
	}
}
