// Rules against abuse, which the preview API of Web PubSub alone has. The file
// declares the whole resource again, because a deployment replaces it.
targetScope = 'resourceGroup'

@description('Name of the Web PubSub resource.')
param webPubSubName string

@description('As in main.bicep.')
param location string

@description('As in main.bicep.')
param tags object

@description('As in main.bicep.')
param sku string

@description('As in main.bicep.')
param units int

@description('As in main.bicep.')
param disableLocalAuth bool

@description('As in main.bicep.')
param clientCertificates bool

@description('Most connections that one user may have at the same time. 0: any number.')
@minValue(0)
param connectionsPerUser int

@description('Most bytes of messages that one user may send in a minute. 0: any number.')
@minValue(0)
param bytesPerUserAndMinute int

@description('Seconds after which the service closes a connection. 0: never.')
@minValue(0)
param connectionLifetime int

resource webPubSub 'Microsoft.SignalRService/webPubSub@2025-12-01-preview' = {
  name: webPubSubName
  location: location
  tags: tags
  kind: 'WebPubSub'
  sku: {
    name: sku
    capacity: units
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    disableLocalAuth: disableLocalAuth
    disableAadAuth: false
    publicNetworkAccess: 'Enabled'
    tls: {
      clientCertEnabled: clientCertificates
    }
    applicationFirewall: {
      maxClientConnectionLifetimeInSeconds: connectionLifetime
      clientConnectionCountRules: connectionsPerUser == 0
        ? []
        : [
            {
              type: 'ThrottleByUserIdRule'
              maxCount: connectionsPerUser
            }
          ]
      clientTrafficControlRules: bytesPerUserAndMinute == 0
        ? []
        : [
            {
              type: 'TrafficThrottleByUserIdRule'
              maxInboundMessageBytes: bytesPerUserAndMinute
              aggregationWindowInSeconds: 60
            }
          ]
    }
  }
}
