package emulator

import "example.com/webpubsub/internal/emulator/entra"

// The emulator's managed identity, see [Server.AuthorityHost]. They are the
// same for every emulator.
const (
	TenantID    = entra.TenantID
	PrincipalID = entra.PrincipalID
)

const authorityPath = "/entra"

// AuthorityHost returns the address of the local replacement for Microsoft Entra
// that issues the tokens of the emulator's managed identity. An event handler
// of package handler verifies them with
//
//	&handler.EntraOptions{
//		AuthorityHost: srv.AuthorityHost(),
//		TenantID:      emulator.TenantID,
//		Principals:    []string{emulator.PrincipalID},
//		Audiences:     []string{"api://my-app"}, // the EventHandler's Audience
//	}
//
// (with TLS also HTTPClient: srv.Client()), and any other by the OpenID configuration at
// {AuthorityHost}/{TenantID}/v2.0/.well-known/openid-configuration. Tokens are
// signed with RS256, valid for an hour of the emulator's clock and renewed in
// time; the verifier's clock has to agree.
func (s *Server) AuthorityHost() string { return s.url + authorityPath }

// RotateIdentityKey makes a new key, with which the managed identity's tokens
// are signed from now on, as Entra does from time to time. The key before it
// stays published until the next rotation.
func (s *Server) RotateIdentityKey() error { return s.identity.Rotate() }
