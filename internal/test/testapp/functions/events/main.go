// Command events is the event handler of the test application alone.
package main

import (
	"net/http"

	"example.com/webpubsub/internal/test/testapp"
	"example.com/webpubsub/webapp"
)

func main() {
	webapp.MainPart(testapp.New, func(a *webapp.App) http.Handler { return a.Events })
}
