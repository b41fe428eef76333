// The hub as in hub.bicep, with presence events of groups, which the preview API
// alone has. It is apart so that a hub without them does not depend on a preview.
//
//   az deployment group create -g <group> -f infra/hub-preview.bicep -p webPubSubName=<name> functionAppName=<name> audience=<client id> presenceGroups='*'
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

@description('Groups whose joins and leaves are events of the app, separated by commas: * for all.')
@minLength(1)
param presenceGroups string

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: functionAppName
}

resource webPubSub 'Microsoft.SignalRService/webPubSub@2025-12-01-preview' existing = {
  name: webPubSubName
}

resource hub 'Microsoft.SignalRService/webPubSub/hubs@2025-12-01-preview' = {
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
        groupPresenceEvents: {
          eventNames: [
            'joined'
            'left'
          ]
          groupFilters: split(presenceGroups, ',')
        }
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
