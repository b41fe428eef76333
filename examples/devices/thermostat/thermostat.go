// Package thermostat is a simulated device: an MQTT 5 client that publishes what it
// measures, and takes commands. It needs nothing of this repository, so that its code
// can run on a device.
package thermostat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
)

const (
	// A message to a topic with this prefix is an event, which the server handles.
	events      = "$webpubsub/server/events/"
	statusTopic = "status"

	keepAlive     = 20 // s; without a packet for longer, the service publishes the will
	sessionExpiry = 30 // s for which commands are kept while the connection is lost; the most that the service allows
	patience      = 15 * time.Second
	firstRetry    = time.Second
	lastRetry     = 30 * time.Second
)

// Config configures a device.
type Config struct {
	App   string        // URL of the application, such as http://localhost:7071
	Name  string        // small letters, digits and -
	Key   string        // what the device authenticates with; "" for none, in development
	Every time.Duration // between two measurements
	Log   *slog.Logger
}

type device struct {
	Config

	mu                  sync.Mutex
	temperature, target float64
}

// Run connects the device, again and again, until the context ends.
func Run(ctx context.Context, c Config) {
	d := &device{Config: c, temperature: 18, target: 21}
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		began := time.Now()
		err := d.session(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > lastRetry {
			wait = firstRetry // it was connected
		}
		pause := wait/2 + rand.N(wait/2) // devices that failed together do not come back together
		d.Log.Warn("not connected", "device", d.Name, "error", err, "retry", pause.Round(time.Millisecond))
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// session is one connection, with a client access URL of its own: a token expires.
func (d *device) session(ctx context.Context) error {
	server, err := d.negotiate(ctx)
	if err != nil {
		return err
	}
	// It outlives the context, to say that the device goes offline.
	inner, end := context.WithCancelCause(context.WithoutCancel(ctx))
	c, err := autopaho.NewConnection(inner, autopaho.ClientConfig{
		ServerUrls:            []*url.URL{server},
		KeepAlive:             keepAlive,
		SessionExpiryInterval: sessionExpiry,
		ConnectTimeout:        patience,
		WillMessage:           &paho.WillMessage{Topic: statusTopic, QoS: 1, Payload: online(false)},
		WillProperties:        &paho.WillProperties{ContentType: "application/json"},
		OnConnectError:        func(err error) { end(err) },
		OnConnectionDown: func() bool {
			end(errors.New("the connection was lost"))
			return false
		},
		// A normal end is that of the session as well: commands are not kept for it.
		DisconnectPacketBuilder: func() *paho.Disconnect {
			return &paho.Disconnect{Properties: &paho.DisconnectProperties{SessionExpiryInterval: new(uint32)}}
		},
		ClientConfig: paho.ClientConfig{
			ClientID:          d.Name,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){d.command},
		},
	})
	if err != nil {
		end(err)
		return err
	}
	defer func() {
		bye, cancel := context.WithTimeout(inner, patience)
		defer cancel()
		_ = c.Disconnect(bye)
		end(nil)
		<-c.Done()
	}()
	err = d.serve(ctx, inner, c)
	if cause := context.Cause(inner); cause != nil {
		return cause
	}
	return err
}

// serve subscribes to commands and publishes, until ctx ends or inner does, which is the
// connection.
func (d *device) serve(ctx, inner context.Context, c *autopaho.ConnectionManager) error {
	connecting, cancel := context.WithCancel(inner)
	defer cancel()
	stop := context.AfterFunc(ctx, cancel)
	defer stop()
	if err := c.AwaitConnection(connecting); err != nil {
		return err
	}
	if _, err := c.Subscribe(inner, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: "commands." + d.Name, QoS: 1}}}); err != nil {
		return err
	}
	if err := publish(inner, c, statusTopic, online(true)); err != nil {
		return err
	}
	d.Log.Info("connected", "device", d.Name)
	tick := time.NewTicker(d.Every)
	defer tick.Stop()
	for {
		if err := publish(inner, c, events+"telemetry", d.measure()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return publish(inner, c, statusTopic, online(false)) // a normal end has no will
		case <-inner.Done():
			return inner.Err()
		case <-tick.C:
		}
	}
}

// negotiate gets the URL to connect to.
func (d *device) negotiate(ctx context.Context) (*url.URL, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	query := url.Values{"clientProtocol": {"mqtt"}}
	if d.Key == "" {
		query.Set("userId", "device-"+d.Name)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.App+"/api/negotiate?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if d.Key != "" {
		r.SetBasicAuth(d.Name, d.Key)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var body struct{ URL, Error string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&body); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("negotiate responded with %s: %s", resp.Status, body.Error)
	}
	server, err := url.Parse(body.URL)
	if err != nil {
		return nil, errors.New("negotiate responded with an invalid URL") // whose token is not to be logged
	}
	return server, nil
}

// publish sends JSON, and returns when the service has it.
func publish(ctx context.Context, c *autopaho.ConnectionManager, topic string, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := c.Publish(ctx, &paho.Publish{
		Topic: topic, QoS: 1, Payload: payload,
		Properties: &paho.PublishProperties{ContentType: "application/json"},
	})
	return err
}

func online(is bool) []byte { return fmt.Appendf(nil, `{"online":%t}`, is) }

// measure moves the temperature towards the target, and returns both.
func (d *device) measure() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.temperature += (d.target-d.temperature)*0.15 + rand.NormFloat64()*0.05
	return fmt.Appendf(nil, `{"temperature":%.2f,"target":%.1f}`, d.temperature, d.target)
}

// command sets the target. Responses to events come here too, and are left alone.
func (d *device) command(p paho.PublishReceived) (bool, error) {
	if p.Packet.Topic != "commands."+d.Name {
		return false, nil
	}
	var c struct{ Target *float64 }
	if err := json.Unmarshal(p.Packet.Payload, &c); err != nil || c.Target == nil {
		d.Log.Warn("command ignored: it has no target", "device", d.Name)
		return true, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.target = *c.Target
	d.Log.Info("target set", "device", d.Name, "target", d.target)
	return true, nil
}
