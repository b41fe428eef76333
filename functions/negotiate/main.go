// Command negotiate is the function that gives a client its URL, alone: for a
// Lambda function or a function app of its own. It answers on every path.
//
//	go run ./cmd/webpubsub package ./functions/negotiate                 # a function app
//	go run ./cmd/webpubsub package -target lambda ./functions/negotiate  # a Lambda function
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
		return chat.Negotiate(), nil
	})
}
