// Command job is a job that the dashboard shows. Its work is simulated; the service
// client and the reports are what a job of your own has as well.
//
//	go run ./examples/dashboard/job
//	go run ./examples/dashboard/job -name "Import of May" -items 1000
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"example.com/webpubsub/examples/dashboard/progress"
	"example.com/webpubsub/service"
	"example.com/webpubsub/webapp"
)

// local is the connection string of webpubsub dev and webpubsub emulator.
const local = "Endpoint=http://localhost:8080;AccessKey=ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH;Version=1.0;"

func main() {
	name := flag.String("name", "Import", "name of the job")
	items := flag.Int("items", 400, "number of items")
	hub := flag.String("hub", cmp.Or(os.Getenv("WebPubSubHub"), webapp.DefaultHub), "name of the hub [WebPubSubHub]")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, cmp.Or(os.Getenv("WebPubSubConnectionString"), local), *hub, *name, *items); err != nil {
		slog.Error("the job has failed", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, connectionString, hub, name string, items int) error {
	// Without retries: what a report that is lost would have shown is in the next one.
	o := &service.ClientOptions{ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}}
	client, err := service.NewClientFromConnectionString(connectionString, hub, o)
	if err != nil {
		return err
	}
	r := progress.Start(client, name, items, slog.Default())
	err = work(ctx, items, r.Add)
	r.Finish(err)
	return err
}

// work takes longer for some items than for others.
func work(ctx context.Context, items int, done func(int)) error {
	for i := range items {
		select {
		case <-ctx.Done():
			return errors.New("interrupted")
		case <-time.After(time.Duration(20+i%7*10+i/50%3*50) * time.Millisecond):
		}
		done(1)
	}
	return nil
}
