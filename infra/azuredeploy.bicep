// main.bicep for deployments that run no script, such as the Deploy-to-Azure
// button: nothing is registered in Entra. Events are verified by access key, and
// the app brings its own sign-in. The workflow deploy-check.yml compiles it to
// azuredeploy.json.
targetScope = 'resourceGroup'

@description('Name of this environment. It makes the names of the resources unique.')
@minLength(1)
@maxLength(90)
param name string

@description('Region. It must offer Flex Consumption.')
param location string = resourceGroup().location

@description('How users sign in. none: by what the app brings. demo: not at all; each caller chooses a user ID (?userId=).')
@allowed([
  'none'
  'demo'
])
param signIn string = 'none'

@description('Hub of the app.')
@minLength(1)
@maxLength(128)
param hubName string = 'chat'

module all 'main.bicep' = {
  name: 'main'
  params: {
    name: name
    location: location
    verification: 'key'
    signIn: signIn
    hubName: hubName
  }
}

output AZURE_FUNCTION_APP string = all.outputs.AZURE_FUNCTION_APP
output AZURE_WEBPUBSUB string = all.outputs.AZURE_WEBPUBSUB
output CHAT_URL string = all.outputs.CHAT_URL
