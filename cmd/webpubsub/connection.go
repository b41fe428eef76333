package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/azclient"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/service"
)

// connection contains the flags of every command that sends requests to a
// service.
type connection struct {
	connectionString string
	endpoint         string // in place of a connection string
	hub              string
	verbose          bool

	credential azcore.TokenCredential // set by resolve
}

func (c *connection) flags(fs *flag.FlagSet) {
	// The help prints the default of a flag, and a connection string contains a key.
	fs.StringVar(&c.connectionString, "connection-string", "", "connection `string` of the service (default: the emulator on localhost:8080)")
	fs.StringVar(&c.endpoint, "endpoint", "", "in place of a connection string, the `URL` of a resource to sign in to with the credential that DefaultAzureCredential finds, for example the account of az login")
	fs.StringVar(&c.hub, "hub", "chat", "`name` of the hub")
	fs.BoolVar(&c.verbose, "v", false, "print whole responses and error messages")
}

// resolve decides, for the flags as they were parsed, between the two ways to name a
// service: the command line goes before the environment. For the endpoint it sets
// the credential, and else the connection string.
func (c *connection) resolve(fs *flag.FlagSet) error {
	byString, byEndpoint := isSet(fs, "connection-string"), isSet(fs, "endpoint")
	if byString && byEndpoint {
		return usagef("-connection-string and -endpoint are mutually exclusive")
	}
	if byEndpoint || c.endpoint != "" && c.connectionString == "" {
		c.connectionString = ""
		cred, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions: azcore.ClientOptions{Transport: azclient.Transport(nil)},
		})
		c.credential = signIn{cred}
		return err
	}
	if c.connectionString == "" {
		c.connectionString = connstr.ConnectionString{Endpoint: "http://" + emulator.DefaultAddr, AccessKey: emulator.DefaultAccessKey}.String()
	}
	return nil
}

// client returns a client for the flags as they were parsed.
func (c *connection) client(fs *flag.FlagSet) (*service.Client, error) {
	if err := c.resolve(fs); err != nil {
		return nil, err
	}
	o := &service.ClientOptions{
		// Interactive command: disable retries so that failures are reported
		// immediately.
		ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}},
		Logger:        slog.New(slog.DiscardHandler), // the commands warn themselves
	}
	if c.credential != nil {
		client, err := service.NewClient(c.endpoint, c.hub, c.credential, o)
		return client, asUsage(err)
	}
	client, err := service.NewClientFromConnectionString(c.connectionString, c.hub, o)
	return client, asUsage(err)
}

// asUsage marks an error of the constructors, which check the flags and send
// nothing.
func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return usageError{err}
}

// explain returns an error of a request in one line, or whole with -v.
func (c *connection) explain(err error) error {
	var op *net.OpError
	var re *azcore.ResponseError
	var failed signInError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ECONNREFUSED) && errors.As(err, &op):
		return fmt.Errorf("connection refused: nothing is listening on %s; start the emulator with webpubsub emulator or webpubsub dev, or set -connection-string", op.Addr)
	case c.verbose:
		return err
	case errors.As(err, &failed):
		return errors.New("cannot sign in to Azure: run az login, or use -connection-string (-v prints what was tried)")
	case errors.As(err, &re):
		return errors.New(strings.TrimSuffix(err.Error(), re.Error()) + summary(re))
	}
	if first, rest, _ := strings.Cut(err.Error(), "\n"); rest != "" {
		return fmt.Errorf("%s (-v prints the whole error)", first)
	}
	return err
}

// signIn is a credential whose errors can be distinguished from those of the service.
type signIn struct{ azcore.TokenCredential }

type signInError struct{ error }

func (e signInError) Unwrap() error { return e.error }

func (s signIn) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	t, err := s.TokenCredential.GetToken(ctx, o)
	if err != nil {
		err = signInError{err}
	}
	return t, err
}

// summary describes a response in one line.
func summary(re *azcore.ResponseError) string {
	text := fmt.Sprintf("%d %s", re.StatusCode, http.StatusText(re.StatusCode))
	if re.ErrorCode != "" {
		text += " (" + re.ErrorCode + ")"
	}
	if re.RawResponse != nil {
		var body struct{ Message string }
		if err := runtime.UnmarshalAsJSON(re.RawResponse, &body); err == nil && body.Message != "" {
			text += ": " + body.Message
		}
	}
	return printable(text) + " (-v prints the response)"
}
