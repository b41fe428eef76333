// Command negotiate is the function that returns client access URLs, alone: for a
// separate Lambda function or function app. It responds on every path.
//
//	go run ./cmd/webpubsub package ./functions/negotiate                 # a function app
//	go run ./cmd/webpubsub package -target lambda ./functions/negotiate  # a Lambda function
//
// The settings are documented in package webapp.
package main

import (
	"example.com/webpubsub/app"
	"example.com/webpubsub/webapp"
)

func main() { webapp.MainPart(app.New, (*webapp.App).Negotiate) }
