package azclient

import (
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
)

// ServiceName is the key of Web PubSub in cloud.Configuration.Services.
const ServiceName cloud.ServiceName = "webpubsub"

// Scope returns the scope to request a token for in a cloud.
func Scope(c cloud.Configuration) string {
	audience := "https://webpubsub.azure.com"
	if a := c.Services[ServiceName].Audience; a != "" {
		audience = strings.TrimRight(a, "/")
	} else if c.ActiveDirectoryAuthorityHost == cloud.AzureChina.ActiveDirectoryAuthorityHost {
		audience = "https://webpubsub.azure.cn"
	}
	return audience + "/.default"
}
