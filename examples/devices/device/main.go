// Command device is a simulated thermostat.
//
//	go run ./examples/devices/device -name kitchen
//	DEVICE_KEY=... go run ./examples/devices/device -name kitchen -app https://NAME.azurewebsites.net
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"example.com/webpubsub/examples/devices/thermostat"
)

func main() {
	app := flag.String("app", "http://localhost:7071", "URL of the application")
	name := flag.String("name", "kitchen", "name of the device: small letters, digits and -")
	every := flag.Duration("every", 2*time.Second, "time between two measurements")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	thermostat.Run(ctx, thermostat.Config{
		App: *app, Name: *name, Key: os.Getenv("DEVICE_KEY"), Every: *every, Log: slog.Default(),
	})
}
