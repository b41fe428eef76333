// Command functions is all of the test application.
package main

import (
	"example.com/webpubsub/internal/test/testapp"
	"example.com/webpubsub/webapp"
)

func main() { webapp.Main(testapp.New) }
