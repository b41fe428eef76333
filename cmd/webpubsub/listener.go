package main

import (
	"context"
	"strings"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"example.com/webpubsub/emulator"
)

// copyTo returns an event listener for all events, to a URL or a file.
func copyTo(target string) emulator.EventListener {
	l := emulator.EventListener{UserEvents: "*", SystemEvents: []string{"connected", "disconnected"}}
	if scheme, _, ok := strings.Cut(strings.ToLower(target), "://"); ok && (scheme == "http" || scheme == "https") {
		l.URL = target
	} else {
		l.File = target
	}
	return l
}

// lazySignIn is the credential that DefaultAzureCredential finds, which is not looked
// for before it is needed: most emulators have no event listener in Azure.
type lazySignIn func() (*azidentity.DefaultAzureCredential, error)

func newLazySignIn() lazySignIn {
	return sync.OnceValues(func() (*azidentity.DefaultAzureCredential, error) {
		return azidentity.NewDefaultAzureCredential(nil)
	})
}

func (s lazySignIn) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c, err := s()
	if err != nil {
		return azcore.AccessToken{}, err
	}
	return c.GetToken(ctx, o)
}
