// Package testcontainers shows a Go test that starts the emulator in a container.
//
// A Go program does not need one: [example.com/webpubsub/emulator.StartT] runs the
// emulator in the test's own process. It is for suites that start all that they need in
// containers, and a pattern for other languages, where the same few calls exist.
package testcontainers
