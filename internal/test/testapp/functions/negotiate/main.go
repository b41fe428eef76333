// Command negotiate is negotiate of the test application alone.
package main

import (
	"example.com/webpubsub/internal/test/testapp"
	"example.com/webpubsub/webapp"
)

func main() { webapp.MainPart(testapp.New, (*webapp.App).Negotiate) }
