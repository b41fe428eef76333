package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/webpubsub/emulator"
)

// controlFlags are the flags of every command that runs an emulator, about its
// control API and how it is reached.
type controlFlags struct {
	token, readToken, publicURL, readyFile string
}

func (c *controlFlags) flags(fs *flag.FlagSet) {
	fs.StringVar(&c.token, "control-token", "", "`token` of the control API and the dashboard, which peers on other machines may then use (default: generated at each start, for this machine only)")
	fs.StringVar(&c.readToken, "control-read-token", "", "`token` with which the control API can be read only (default: none)")
	fs.StringVar(&c.publicURL, "public-url", "", "`URL` by which browsers and other machines reach the emulator, in addition to its own address")
	fs.StringVar(&c.readyFile, "ready-file", "", "when everything listens, write the addresses and the control token to this `file`, as JSON")
}

// apply completes the options, and removes the file of an earlier run, which could
// be mistaken for the new file.
func (c *controlFlags) apply(o emulator.Options) (emulator.Options, error) {
	o.Control, o.JournalSize = true, 10_000
	o.ControlToken, o.ControlReadToken, o.PublicURL = c.token, c.readToken, c.publicURL
	if c.readyFile == "" {
		return o, nil
	}
	if err := os.Remove(c.readyFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return o, fmt.Errorf("-ready-file: %w", err)
	}
	return o, nil
}

// readiness is the content of the ready file.
type readiness struct {
	URL              string `json:"url"`
	PublicURL        string `json:"publicUrl,omitempty"`
	ConnectionString string `json:"connectionString"`
	ControlURL       string `json:"controlUrl"`
	ControlToken     string `json:"controlToken"`
	PID              int    `json:"pid"`
	Version          string `json:"version"`
}

// ready writes the ready file. The result removes it again.
func (c *controlFlags) ready(srv *emulator.Server) (remove func(), err error) {
	if c.readyFile == "" {
		return func() {}, nil
	}
	b, err := json.MarshalIndent(readiness{
		URL: srv.URL(), PublicURL: c.publicURL, ConnectionString: srv.ConnectionString(),
		ControlURL: srv.ControlURL(), ControlToken: srv.ControlToken(), PID: os.Getpid(), Version: emulator.Version(),
	}, "", "  ")
	if err == nil {
		err = writeAtomically(c.readyFile, append(b, '\n'))
	}
	if err != nil {
		return nil, fmt.Errorf("-ready-file: %w", err)
	}
	return func() { _ = os.Remove(c.readyFile) }, nil
}

// writeAtomically writes a file that only its owner can read, and that is never
// seen half written.
func writeAtomically(name string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
