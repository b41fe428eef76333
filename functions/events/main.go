// Command events is the function that handles the events of the service, alone:
// for a separate Lambda function or function app. It responds on every path.
//
//	go run ./cmd/webpubsub package ./functions/events                 # a function app
//	go run ./cmd/webpubsub package -target lambda ./functions/events  # a Lambda function
//
// The settings are documented in package webapp.
package main

import (
	"net/http"

	"example.com/webpubsub/app"
	"example.com/webpubsub/webapp"
)

func main() {
	webapp.MainPart(app.New, func(a *webapp.App) http.Handler { return a.Events })
}
