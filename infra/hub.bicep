// The hub: which events of its clients go to the app, and how the service proves
// that they come from it. It is apart from main.bicep because an event handler
// that does not answer yet may be refused.
//
//   az deployment group create -g <group> -f infra/hub.bicep -p webPubSubName=<name> functionAppName=<name> audience=<client id>
targetScope = 'resourceGroup'

@description('Name of the Web PubSub resource.')
param webPubSubName string

@description('Name of the function app.')
param functionAppName string

@description('Name of the hub.')
@minLength(1)
@maxLength(128)
param hubName string = 'chat'

@description('What a client without an access token may do.')
@allowed([
  'allow'
  'deny'
])
param anonymousConnectPolicy string = 'deny'

@description('Audience of the token that the service sends with each event. Empty: it sends none, and the app verifies the signature by access key.')
param audience string

@description('Namespace of Event Hubs whose event hub "events" gets a copy of the events. Empty: none.')
param eventHubsNamespace string = ''

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppName
}

resource webPubSub 'Microsoft.SignalRService/webPubSub@2024-03-01' existing = {
  name: webPubSubName
}

resource hub 'Microsoft.SignalRService/webPubSub/hubs@2024-03-01' = {
  parent: webPubSub
  name: hubName
  properties: {
    anonymousConnectPolicy: anonymousConnectPolicy
    webSocketKeepAliveIntervalInSeconds: 20
    eventHandlers: [
      {
        urlTemplate: 'https://${app.properties.defaultHostName}/api/events'
        userEventPattern: '*'
        systemEvents: [
          'connect'
          'connected'
          'disconnected'
        ]
        auth: empty(audience)
          ? {
              type: 'None'
            }
          : {
              type: 'ManagedIdentity'
              managedIdentity: {
                resource: audience
              }
            }
      }
    ]
    eventListeners: empty(eventHubsNamespace)
      ? []
      : [
          {
            filter: {
              type: 'EventName'
              userEventPattern: '*'
              systemEvents: [
                'connected'
                'disconnected'
              ]
            }
            endpoint: {
              type: 'EventHub'
              fullyQualifiedNamespace: '${eventHubsNamespace}.servicebus.windows.net'
              eventHubName: 'events'
            }
          }
        ]
  }
}
