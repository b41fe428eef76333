// Everything that the app needs in Azure: a function app on Flex Consumption, a
// Web PubSub resource, storage and telemetry. No access key is needed: the app
// and the service prove who they are by managed identity. The hub is in
// hub.bicep, which is deployed once the app answers; deployHub does both together.
//
//   az deployment group create -g <group> -f infra/main.bicep -p name=chat eventAudience=<id> signInClientId=<id>
targetScope = 'resourceGroup'

@description('Name of this environment. It makes the names of the resources unique and is their azd-env-name tag.')
@minLength(1)
@maxLength(90)
param name string

@description('Region. It must offer Flex Consumption: az functionapp list-flexconsumption-locations.')
param location string = resourceGroup().location

@description('How the app knows that an event comes from the service. identity: by the Entra token of the service\'s managed identity; access keys do not exist. key: by the signature of the access keys, which the app gets as a setting.')
@allowed([
  'identity'
  'key'
])
param verification string = 'identity'

@description('With verification by identity: the client id of the Entra application that represents the app, which infra/audience.sh registers.')
param eventAudience string = ''

@description('Hub of the app.')
@minLength(1)
@maxLength(128)
param hubName string = 'chat'

@description('What a client without an access token may do: connect without a user ID (allow), or not at all (deny).')
@allowed([
  'allow'
  'deny'
])
param anonymousConnectPolicy string = 'deny'

@description('Also deploy the hub. Leave it false until the app is deployed and answers.')
param deployHub bool = false

@description('Tier of Web PubSub. Free_F1 is for trying it: 20 connections and no service level agreement.')
@allowed([
  'Free_F1'
  'Standard_S1'
  'Premium_P1'
  'Premium_P2'
])
param webPubSubSku string = 'Free_F1'

@description('Units of Web PubSub, of 1,000 connections each in the paid tiers. Free_F1 has one.')
@minValue(1)
@maxValue(1000)
param webPubSubUnits int = 1

@description('Sites, such as https://chat.example.com, whose pages may call negotiate. The app\'s own page needs none.')
param allowedOrigins string[] = []

@description('How users sign in. entra: with Microsoft Entra, by App Service authentication, in the application signInClientId. none: the template configures nothing, for an app that authenticates users itself. demo: not at all; each caller chooses a user ID (?userId=).')
@allowed([
  'entra'
  'none'
  'demo'
])
param signIn string = 'entra'

@description('With signIn entra: the client id of the Entra application that users sign in to, which infra/signin.sh registers.')
param signInClientId string = ''

@description('Key that signs the readable names of signed-in users between negotiate and connect. A new one with every deployment: a client that has an old name negotiates again.')
@secure()
@minLength(32)
param userNameKey string = newGuid()

@description('Instances that are always warm. The service waits for the app\'s answer to connect, so a cold start delays users.')
@minValue(0)
@maxValue(20)
param alwaysReadyInstances int = 0

@description('Most instances that the app may have at the same time.')
@minValue(40)
@maxValue(1000)
param maximumInstances int = 40

@description('Groups whose joins and leaves are events of the app, separated by commas: * for all. Preview API of Web PubSub. Empty: none.')
param presenceGroups string = ''

@description('Also copy the events of clients to an event hub, which the template creates.')
param eventHubs bool = false

@description('Most connections that one user may have at the same time. Preview API of Web PubSub. 0: any number.')
@minValue(0)
param connectionsPerUser int = 0

@description('Most bytes of messages that one user may send in a minute. Preview API of Web PubSub. 0: any number.')
@minValue(0)
param bytesPerUserAndMinute int = 0

@description('Seconds after which the service closes a connection. Preview API of Web PubSub. 0: never.')
@minValue(0)
param connectionLifetime int = 0

@description('Send the logs of Web PubSub to the workspace of the app.')
param diagnosticLogs bool = false

@description('Ask each client for a TLS certificate, which the app sees in the connect event. Not for browsers of the public.')
param clientCertificates bool = false

var suffix = uniqueString(subscription().id, resourceGroup().id, name)
var byIdentity = verification == 'identity'
var audience = byIdentity && empty(eventAudience)
  ? fail('verification=identity needs eventAudience, the id that infra/audience.sh prints')
  : eventAudience
var bySignIn = signIn == 'entra'
var signInClient = bySignIn && empty(signInClientId)
  ? fail('signIn=entra needs signInClientId, the id that infra/signin.sh prints; or choose none or demo')
  : signInClientId
var limited = connectionsPerUser > 0 || bytesPerUserAndMinute > 0 || connectionLifetime > 0
var tags = {
  'azd-env-name': name
}
var packages = 'packages'

// Built-in roles (Azure built-in roles).
var storageBlobDataOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
var webPubSubServiceOwner = '12cf5a90-567b-43ae-8102-96cf46c7d9b4'
var monitoringMetricsPublisher = '3913510d-42f4-4e42-8a64-420c390055eb'

// The app's identity. The service has one of its own, without any role, so that
// only the service can send events.
resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'id-${suffix}'
  location: location
  tags: tags
}

resource webPubSub 'Microsoft.SignalRService/webPubSub@2024-03-01' = {
  name: 'wps-${suffix}'
  location: location
  tags: tags
  kind: 'WebPubSub'
  sku: {
    name: webPubSubSku
    capacity: webPubSubUnits
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    disableLocalAuth: byIdentity
    disableAadAuth: false
    publicNetworkAccess: 'Enabled'
    tls: {
      clientCertEnabled: clientCertificates
    }
  }
}

// Contains the deployment package and the host's locks and keys.
resource storage 'Microsoft.Storage/storageAccounts@2026-06-01' = {
  name: 'st${suffix}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS'
  }
  properties: {
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2026-06-01' = {
  parent: storage
  name: 'default'
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-06-01' = {
  parent: blobs
  name: packages
  properties: {
    publicAccess: 'None'
  }
}

resource logs 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: 'log-${suffix}'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: 30
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${suffix}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    DisableLocalAuth: true
    WorkspaceResourceId: logs.id
  }
}

// The host keeps its locks in blobs, for which it needs to be owner of the data
// (Azure Functions, Connecting to host storage with an identity).
resource storageAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, identity.id, storageBlobDataOwner)
  scope: storage
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageBlobDataOwner)
  }
}

// Client tokens are made by a REST call, which needs this role.
resource webPubSubAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(webPubSub.id, identity.id, webPubSubServiceOwner)
  scope: webPubSub
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', webPubSubServiceOwner)
  }
}

resource insightsAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, identity.id, monitoringMetricsPublisher)
  scope: insights
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', monitoringMetricsPublisher)
  }
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${suffix}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

// Flex Consumption takes the runtime from functionAppConfig and refuses
// FUNCTIONS_WORKER_RUNTIME. The app's own settings are
// documented by go doc ./webapp.
var platformSettings = [
  {
    name: 'AzureWebJobsStorage__blobServiceUri'
    value: storage.properties.primaryEndpoints.blob
  }
  {
    name: 'AzureWebJobsStorage__credential'
    value: 'managedidentity'
  }
  {
    name: 'AzureWebJobsStorage__clientId'
    value: identity.properties.clientId
  }
  {
    name: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
    value: insights.properties.ConnectionString
  }
  {
    name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
    value: 'ClientId=${identity.properties.clientId};Authorization=AAD'
  }
]

var appSettings = [
  {
    name: 'WebPubSubConnectionString__serviceUri'
    value: 'https://${webPubSub.properties.hostName}'
  }
  {
    name: 'WebPubSubConnectionString__credential'
    value: 'managedidentity'
  }
  {
    name: 'WebPubSubConnectionString__clientId'
    value: identity.properties.clientId
  }
  {
    name: 'WebPubSubHub'
    value: hubName
  }
  {
    name: 'WebPubSubAllowUserIdQuery'
    value: signIn == 'demo' ? 'true' : 'false'
  }
  {
    name: 'WebPubSubUserNameKeys'
    value: userNameKey
  }
]

var verificationSettings = byIdentity
  ? [
      {
        name: 'WebPubSubEventTenant'
        value: webPubSub.identity.tenantId
      }
      {
        name: 'WebPubSubEventAudience'
        value: audience
      }
      {
        name: 'WebPubSubEventPrincipals'
        value: webPubSub.identity.principalId
      }
    ]
  : [
      {
        // Both keys, so that either can be regenerated without losing an event.
        name: 'WebPubSubAccessKeys'
        value: '${webPubSub.listKeys().primaryKey},${webPubSub.listKeys().secondaryKey}'
      }
    ]

// The platform signs in to Entra by the app's managed identity, whose client id is
// the value of the first setting (App Service, Use a managed identity instead of
// a secret).
var signInSettings = bySignIn
  ? [
      {
        name: 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'
        value: identity.properties.clientId
      }
      {
        name: 'WEBSITE_AUTH_AAD_ALLOWED_TENANTS'
        value: tenant().tenantId
      }
      {
        name: 'WebPubSubTrustPlatformAuth'
        value: 'true'
      }
    ]
  : []

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: 'func-${suffix}'
  location: location
  tags: union(tags, {
    'azd-service-name': 'functions'
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}${container.name}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'custom'
        version: '1.0'
      }
      scaleAndConcurrency: {
        instanceMemoryMB: 512
        maximumInstanceCount: maximumInstances
        alwaysReady: alwaysReadyInstances == 0
          ? []
          : [
              {
                name: 'http'
                instanceCount: alwaysReadyInstances
              }
            ]
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      http20Enabled: true
      ftpsState: 'Disabled'
      // The host answers for negotiate; the app never sees a preflight of a
      // browser. The service's own preflight has no Origin and passes.
      cors: {
        allowedOrigins: allowedOrigins
      }
      appSettings: concat(platformSettings, appSettings, verificationSettings, signInSettings)
    }
  }
  // The host needs its storage the moment it starts.
  dependsOn: [
    storageAccess
    webPubSubAccess
    insightsAccess
  ]
}

// Deployments with user name and password are disabled.
resource noFtpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource noDeploymentPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

// With none, the configuration of the app is not changed. With demo it is
// disabled: a page behind a sign-in would not be a demonstration.
module authentication 'signin.bicep' = if (signIn != 'none') {
  name: 'signin-${suffix}'
  params: {
    appName: app.name
    clientId: bySignIn ? signInClient : ''
  }
}

module limits 'limits.bicep' = if (limited) {
  name: 'limits-${suffix}'
  params: {
    webPubSubName: webPubSub.name
    location: location
    tags: tags
    sku: webPubSubSku
    units: webPubSubUnits
    disableLocalAuth: byIdentity
    clientCertificates: clientCertificates
    connectionsPerUser: connectionsPerUser
    bytesPerUserAndMinute: bytesPerUserAndMinute
    connectionLifetime: connectionLifetime
  }
}

resource webPubSubLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (diagnosticLogs) {
  scope: webPubSub
  name: 'workspace'
  properties: {
    workspaceId: logs.id
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
  }
}

module events 'eventhubs.bicep' = if (eventHubs) {
  name: 'eventhubs-${suffix}'
  params: {
    name: 'evhns-${suffix}'
    webPubSubName: webPubSub.name
    location: location
    tags: tags
    principalId: webPubSub.identity.principalId
  }
}

module hub 'hub.bicep' = if (deployHub && empty(presenceGroups)) {
  name: 'hub-${suffix}'
  params: {
    webPubSubName: webPubSub.name
    functionAppName: app.name
    hubName: hubName
    anonymousConnectPolicy: anonymousConnectPolicy
    audience: byIdentity ? audience : ''
    eventHubsNamespace: eventHubs ? 'evhns-${suffix}' : ''
  }
  dependsOn: [
    events
  ]
}

module hubWithPresence 'hub-preview.bicep' = if (deployHub && !empty(presenceGroups)) {
  name: 'hub-${suffix}'
  params: {
    webPubSubName: webPubSub.name
    functionAppName: app.name
    hubName: hubName
    anonymousConnectPolicy: anonymousConnectPolicy
    audience: byIdentity ? audience : ''
    eventHubsNamespace: eventHubs ? 'evhns-${suffix}' : ''
    presenceGroups: presenceGroups
  }
  dependsOn: [
    events
  ]
}

// What the scripts and azd need to know. None of it is secret.
output AZURE_FUNCTION_APP string = app.name
output AZURE_FUNCTION_APP_URL string = 'https://${app.properties.defaultHostName}'
output AZURE_WEBPUBSUB string = webPubSub.name
output AZURE_WEBPUBSUB_HOST string = webPubSub.properties.hostName
output CHAT_URL string = 'https://${app.properties.defaultHostName}/api/index'
output EVENTS_URL string = 'https://${app.properties.defaultHostName}/api/events'
output HUB_NAME string = hubName
output HUB_AUDIENCE string = byIdentity ? audience : ''
output HUB_ANONYMOUS string = anonymousConnectPolicy
output HUB_EVENT_HUBS string = eventHubs ? 'evhns-${suffix}' : ''
output HUB_PRESENCE_GROUPS string = presenceGroups
output SIGN_IN_CLIENT_ID string = bySignIn ? signInClient : ''
output SIGN_IN_ISSUER string = '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
output SIGN_IN_SUBJECT string = identity.properties.principalId
