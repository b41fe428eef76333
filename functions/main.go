// Command functions is the whole application in one process: what an Azure
// function app runs as its custom handler, with the routes of host.json. It is
// also a Lambda function and a plain server, which serve the same routes.
//
//	go build -o bin/functions ./functions && func start
//	PORT=7071 WebPubSubConnectionString=... go run ./functions
//
// The settings are documented in package webapp.
package main

import (
	"example.com/webpubsub/app"
	"example.com/webpubsub/webapp"
)

func main() { webapp.Main(app.New) }
