package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
)

// security contains the flags that all commands that run an emulator share.
type security struct {
	tls            string
	certificates   bool
	entra          bool
	groupState     bool
	hosts, origins list
}

func (s *security) flags(fs *flag.FlagSet) {
	fs.StringVar(&s.tls, "tls", "", "serve https and wss, and write the generated CA certificate to `file`")
	fs.BoolVar(&s.certificates, "request-client-certificates", false, "ask clients for a TLS certificate, which the connect event contains; requires -tls")
	fs.BoolVar(&s.entra, "allow-unverified-entra", false, "accept unexpired Microsoft Entra tokens without verifying the signature (loopback only; insecure)")
	fs.BoolVar(&s.groupState, "require-group-state-roles", false, "reject clients that use group state without the roles for it, "+webpubsub.RoleGetGroupState+" and "+webpubsub.RoleSetGroupState+", in place of a warning")
	fs.Var(&s.hosts, "allow-host", "accept requests for this host `name`, in addition to localhost, the name in -addr and IP addresses; * for any; may be repeated")
	fs.Var(&s.origins, "allow-origin", "let web pages of this `origin`, such as https://app.example, connect WebSockets, in addition to pages of this machine; * for any; may be repeated")
}

func (s *security) apply(o emulator.Options) (emulator.Options, error) {
	if s.certificates && s.tls == "" {
		return o, usagef("-request-client-certificates requires -tls: only TLS clients have certificates")
	}
	o.TLS = s.tls != ""
	o.RequestClientCertificates = s.certificates
	o.AllowUnverifiedEntra = s.entra
	o.RequireGroupStateRoles = s.groupState
	// Neither names nor origins contain a comma, so one variable can list several.
	o.AllowHosts, o.AllowOrigins = s.hosts.split(), s.origins.split()
	return o, nil
}

// finish writes the certificate and returns instructions for clients.
func (s *security) finish(srv *emulator.Server) (hint string, err error) {
	var b strings.Builder
	if s.tls == "" {
		b.WriteString("JavaScript clients need allowInsecureConnection: true for plain http.\n")
		if s.entra {
			b.WriteString("SDKs do not send tokens of Microsoft Entra over plain http; add -tls ca.pem.\n")
		}
		return b.String(), nil
	}
	file, err := filepath.Abs(s.tls)
	if err == nil {
		err = os.WriteFile(file, srv.CertificatePEM(), 0o644)
	}
	if err != nil {
		return "", fmt.Errorf("-tls: cannot write the certificate: %w", err)
	}
	fmt.Fprintf(&b, `A new CA certificate is generated at each start. Configure clients to trust it:

  Node.js     NODE_EXTRA_CA_CERTS=%[1]s
  Python      REQUESTS_CA_BUNDLE=%[1]s SSL_CERT_FILE=%[1]s
  Go, curl    SSL_CERT_FILE=%[1]s
  .NET        SSL_CERT_FILE=%[1]s (on Linux)
  Java        keytool -importcert -noprompt -alias emulator -storepass changeit -keystore trust.p12 -file %[1]s
              java -Djavax.net.ssl.trustStore=trust.p12 -Djavax.net.ssl.trustStorePassword=changeit ...

`, file)
	return b.String(), nil
}
