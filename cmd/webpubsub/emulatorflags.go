package main

import (
	"flag"

	"example.com/webpubsub/emulator"
)

// emulatorFlags are the flags that all commands that run an emulator share.
type emulatorFlags struct {
	addr, key, hubs string

	settings   emulatorSettings
	security   security
	control    controlFlags
	simulation simulation
}

func (f *emulatorFlags) flags(fs *flag.FlagSet) {
	fs.StringVar(&f.addr, "addr", emulator.DefaultAddr, "`address` of the emulator; port 0 is a free one, which the connection string and -ready-file contain")
	fs.StringVar(&f.key, "key", emulator.DefaultAccessKey, "access `key` of the emulator")
	fs.StringVar(&f.hubs, "hubs", "", "JSON `file` with hub settings (event handlers and listeners, anonymous clients, keep-alive); takes precedence over the other flags and is reloaded when it changes")
	f.settings.flags(fs)
	f.security.flags(fs)
	f.control.flags(fs)
	f.simulation.flags(fs)
}

// options returns the options of the flags as they were parsed, with log as the
// observer.
func (f *emulatorFlags) options(e *env, fs *flag.FlagSet, log *lines) (emulator.Options, error) {
	if err := f.settings.apply(e, fs, &f.addr, &f.key, &f.security); err != nil {
		return emulator.Options{}, err
	}
	log.more = func() map[string]emulator.HubSettings { return f.settings.reread(e) }
	o, err := f.security.apply(emulator.Options{
		Addr: f.addr, AccessKey: f.key, HubsFile: f.hubs, Settings: f.settings.read, Observe: log.entry,
		EventHubsCredential: newLazySignIn(),
	})
	if err != nil {
		return o, err
	}
	return f.control.apply(f.simulation.apply(o))
}

// start starts the emulator and returns instructions for its users.
func (f *emulatorFlags) start(o emulator.Options) (srv *emulator.Server, hint string, err error) {
	if srv, err = emulator.Start(o); err != nil {
		return nil, "", explainListen(err, "-addr")
	}
	if hint, err = f.security.finish(srv); err != nil {
		_ = srv.Close()
		return nil, "", err
	}
	return srv, hint + f.simulation.hint() + publicKeyWarning(f.addr, f.key), nil
}
