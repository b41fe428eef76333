package main

import (
	"flag"
	"fmt"
	"strings"

	"example.com/webpubsub/emulator"
)

// emulatorSettings are the settings of every command that runs an emulator which
// Microsoft's emulator has too, in the form of that one.
type emulatorSettings struct {
	file string
	read *emulator.Settings

	addrFrom string // what the address was read from
}

func (s *emulatorSettings) flags(fs *flag.FlagSet) {
	fs.StringVar(&s.file, "settings", "", "settings `file` of Microsoft's emulator (appsettings.json); its hubs are reloaded when it changes. The environment variables of that emulator, Urls and WebPubSub__*, are read with and without it")
}

// apply reads the settings and sets what no flag and no variable of this command
// sets. addr and key are the flags -addr and -key.
func (s *emulatorSettings) apply(e *env, fs *flag.FlagSet, addr, key *string, sec *security) error {
	var err error
	if s.read, err = emulator.ReadSettings(s.file, e.environ()); err != nil {
		return fmt.Errorf("settings of Microsoft's emulator: %w", err)
	}
	for _, w := range s.read.Warnings {
		fmt.Fprintf(e.err, "Warning: %s.\n", w)
	}
	switch from := givenBy(e, fs, "addr"); {
	case from != "":
		s.addrFrom = from
	case s.read.Addr == "":
		s.addrFrom = "the default of -addr"
	default:
		*addr, s.addrFrom = s.read.Addr, s.read.AddrFrom
		if s.read.TLS && sec.tls == "" {
			return usagef("%s: https requires -tls FILE, the file to write the certificate to that clients have to trust", s.read.AddrFrom)
		}
	}
	if s.read.AccessKey != "" && givenBy(e, fs, "key") == "" {
		*key = s.read.AccessKey
	}
	if givenBy(e, fs, "allow-unverified-entra") == "" {
		sec.entra = s.read.AllowUnverifiedEntra
	}
	return nil
}

// has reports whether the settings have a hub.
func (s *emulatorSettings) has(hub string) bool {
	for name := range s.read.Hubs {
		if strings.EqualFold(name, hub) {
			return true
		}
	}
	return false
}

// reread returns the hubs of the settings as they are now.
func (s *emulatorSettings) reread(e *env) map[string]emulator.HubSettings {
	now, err := emulator.ReadSettings(s.file, e.environ())
	if err != nil {
		return s.read.Hubs
	}
	return now.Hubs
}
