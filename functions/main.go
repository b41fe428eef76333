// Command functions is the whole app in one process: what an Azure function app
// runs as its custom handler, with the routes of host.json. It is as well a
// Lambda function and a plain server, which serve the same routes.
//
//	go build -o bin/functions ./functions && func start
//	PORT=7071 WebPubSubConnectionString=... go run ./functions
//
// The settings are those of the package app.
package main

import (
	"log/slog"
	"net/http"
	"os"

	"example.com/webpubsub/app"
	"example.com/webpubsub/hosting"
)

func main() {
	hosting.Main(func(log *slog.Logger) (http.Handler, error) {
		chat, err := app.FromEnv(os.Getenv, log)
		if err != nil {
			return nil, err
		}
		return chat.Handler(), nil
	})
}
