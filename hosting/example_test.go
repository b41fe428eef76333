package hosting_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"

	"example.com/webpubsub/hosting"
)

func ExampleMain() {
	hosting.Main(func(log *slog.Logger) (http.Handler, error) {
		name := os.Getenv("GREETING_NAME")
		if name == "" {
			return nil, errors.New("GREETING_NAME is not set: set it to the name to greet")
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			log.InfoContext(r.Context(), "greeted")
			fmt.Fprintln(w, "hello", name)
		}), nil
	})
}

func ExampleRun() {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "hello")
	})

	ctx, cancel := context.WithCancel(context.Background())
	err := hosting.Run(ctx, hello, &hosting.Options{
		Addr:   "127.0.0.1:0",
		Logger: slog.New(slog.DiscardHandler),
		OnListen: func(addr net.Addr) {
			defer cancel()
			client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			resp, err := client.Get("http://" + addr.String())
			if err != nil {
				fmt.Println(err)
				return
			}
			defer resp.Body.Close()
			_, _ = io.Copy(os.Stdout, resp.Body)
		},
	})
	fmt.Println("ended:", err)
	// Output:
	// hello
	// ended: <nil>
}

func ExampleInvocationID() {
	ctx := hosting.WithInvocationID(context.Background(), "5f1b7c1e")
	fmt.Println(hosting.InvocationID(ctx))
	// Output: 5f1b7c1e
}
