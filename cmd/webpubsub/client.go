package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/service"
)

// connection are the flags of every command that speaks to a service.
type connection struct {
	connectionString string
	serviceURI       string // in place of a connection string
	hub              string
}

func (c *connection) flags(e *env, fs *flag.FlagSet) {
	c.connectionString = e.getenv("WebPubSubConnectionString")
	otherwise := "the setting WebPubSubConnectionString"
	if c.connectionString == "" {
		c.serviceURI = e.getenv("WebPubSubConnectionString__serviceUri")
		otherwise = "the setting WebPubSubConnectionString__serviceUri, and what you are signed in to Azure with"
	}
	if c.connectionString == "" && c.serviceURI == "" {
		c.connectionString = connstr.ConnectionString{Endpoint: "http://" + emulator.DefaultAddr, AccessKey: emulator.DefaultAccessKey}.String()
		otherwise = "that of the local emulator"
	}
	// The default of a flag is printed with its help, and this one holds a key.
	fs.Func("connection-string", "connection string; by default "+otherwise, func(s string) error {
		c.connectionString, c.serviceURI = s, ""
		return nil
	})
	fs.StringVar(&c.hub, "hub", cmp.Or(e.getenv("WebPubSubHub"), "chat"), "hub")
}

func (c *connection) client() (*service.Client, error) {
	// Somebody waits for the answer: what fails is told at once.
	o := &service.ClientOptions{ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}}
	if c.serviceURI == "" {
		return service.NewClientFromConnectionString(c.connectionString, c.hub, o)
	}
	cred, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		return nil, err
	}
	return service.NewClient(c.serviceURI, c.hub, cred, o)
}

// explainRefused says what to start where nobody listens.
func explainRefused(err error) error {
	var op *net.OpError
	if !errors.Is(err, syscall.ECONNREFUSED) || !errors.As(err, &op) {
		return err
	}
	return fmt.Errorf("connection refused: nobody listens on %s; start the emulator with webpubsub emulator or webpubsub dev, or name another service", op.Addr)
}

// list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// split returns the values of a list whose elements may be separated by commas.
func (l list) split() []string {
	if len(l) == 0 {
		return nil
	}
	return strings.Split(strings.Join(l, ","), ",")
}

// runToken prints a client access URL.
func runToken(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("token", flag.ContinueOnError)
	var c connection
	c.flags(e, fs)
	user := fs.String("user", "", "user id; anonymous by default")
	expiry := fs.Duration("expiry", time.Hour, "how long the token may be used to connect")
	protocol := fs.String("protocol", "default", "what the client speaks: default, mqtt or socketio")
	var roles, groups list
	fs.Var(&roles, "role", "role, for example "+webpubsub.RoleSendToAnyGroup+"; may be repeated")
	fs.Var(&groups, "group", "group that the client joins when it connects; may be repeated")
	if err := parseFlags(e, fs, args); err != nil {
		return helpIsFine(err)
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	o := &service.GetClientAccessTokenOptions{UserID: *user, Roles: roles, Groups: groups, Expiry: *expiry}
	switch *protocol {
	case "default":
	case "mqtt", "socketio":
		o.Protocol = service.ClientProtocol(*protocol)
	default:
		return fmt.Errorf("-protocol is %q: give default, mqtt or socketio", *protocol)
	}
	t, err := client.GetClientAccessToken(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintln(e.out, t.URL)
	return nil
}

// runSend sends one message.
func runSend(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("send", flag.ContinueOnError)
	var c connection
	c.flags(e, fs)
	user := fs.String("user", "", "send to the connections of this user")
	group := fs.String("group", "", "send to this group")
	connection := fs.String("connection", "", "send to this connection")
	filter := fs.String("filter", "", "OData filter that a connection must pass")
	asJSON := fs.Bool("json", false, "the message is JSON; text by default")
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), "Usage: webpubsub send [flags] <message>   (to everybody, unless a flag says otherwise)\n")
		fs.PrintDefaults()
	}
	if err := parse(e, fs, args); err != nil {
		return helpIsFine(err)
	}
	if fs.NArg() != 1 {
		return errors.New("send takes one message, after the flags; put it in quotes")
	}
	m := webpubsub.Text(fs.Arg(0))
	if *asJSON {
		m = webpubsub.Message{Type: webpubsub.DataTypeJSON, Data: []byte(fs.Arg(0))}
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	o := &webpubsub.SendOptions{Filter: webpubsub.Filter(*filter)}
	switch targets := countSet(*user, *group, *connection); {
	case targets > 1:
		return errors.New("give one of -user, -group and -connection")
	case *user != "":
		err = client.SendToUser(ctx, *user, m, o)
	case *group != "":
		err = client.SendToGroup(ctx, *group, m, o)
	case *connection != "":
		err = client.SendToConnection(ctx, *connection, m, o)
	default:
		err = client.SendToAll(ctx, m, o)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the service did not answer in time; is it running? %w", err)
	}
	return explainRefused(err)
}

func countSet(values ...string) int {
	n := 0
	for _, v := range values {
		if v != "" {
			n++
		}
	}
	return n
}
