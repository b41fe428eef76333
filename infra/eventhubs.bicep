// An event hub for the event listener of the hub, and the right of the service to
// send to it.
targetScope = 'resourceGroup'

@description('Name of the namespace.')
param name string

@description('As in main.bicep.')
param location string

@description('As in main.bicep.')
param tags object

@description('Name of the Web PubSub resource, which sends.')
param webPubSubName string

@description('Object id of the managed identity of Web PubSub.')
param principalId string

// Azure Event Hubs Data Sender (Azure built-in roles).
var eventHubsDataSender = '2b629674-e913-4c01-ae53-ef4638d8f975'

resource eventHubs 'Microsoft.EventHub/namespaces@2026-01-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'Basic'
    tier: 'Basic'
    capacity: 1
  }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
  }
}

resource events 'Microsoft.EventHub/namespaces/eventhubs@2026-01-01' = {
  parent: eventHubs
  name: 'events'
  properties: {
    messageRetentionInDays: 1
    partitionCount: 2
  }
}

resource access 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(events.id, webPubSubName, eventHubsDataSender)
  scope: events
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', eventHubsDataSender)
  }
}
