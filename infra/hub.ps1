# hub.sh for PowerShell 7.
$ErrorActionPreference = 'Stop'
. "$PSScriptRoot/az.ps1"

$group = [Environment]::GetEnvironmentVariable('AZURE_RESOURCE_GROUP')
if (-not $group) { throw 'AZURE_RESOURCE_GROUP is not set: the resource group of main.bicep' }
$app = Get-Setting AZURE_FUNCTION_APP
$service = Get-Setting AZURE_WEBPUBSUB
$origin = Get-Setting AZURE_WEBPUBSUB_HOST
$hub = Get-Setting HUB_NAME
$anonymous = Get-Setting HUB_ANONYMOUS
$audience = Get-Setting HUB_AUDIENCE -MayBeEmpty
$namespace = Get-Setting HUB_EVENT_HUBS -MayBeEmpty
$presence = Get-Setting HUB_PRESENCE_GROUPS -MayBeEmpty
$events = "$(Get-Setting AZURE_FUNCTION_APP_URL)/api/events"

$left = if ($env:HUB_TRIES) { [int]$env:HUB_TRIES } else { 60 }
while ($true) {
  $answer = $null
  try {
    $answer = Invoke-WebRequest -Uri $events -Method Options -Headers @{ 'WebHook-Request-Origin' = $origin } -TimeoutSec 30 -SkipHttpErrorCheck
    if ($answer.Headers.ContainsKey('WebHook-Allowed-Origin')) { break }
    $last = "$($answer.StatusCode) $($answer.Content)"
  } catch {
    $last = "$_"
  }
  if (--$left -le 0) { throw "$events does not let $origin send events. Its last answer: $last" }
  Start-Sleep -Seconds 5
}

$template = 'hub.bicep'
$parameters = @(
  "webPubSubName=$service", "functionAppName=$app", "hubName=$hub", "anonymousConnectPolicy=$anonymous",
  "audience=$audience", "eventHubsNamespace=$namespace"
)
if ($presence) {
  $template = 'hub-preview.bicep'
  $parameters += "presenceGroups=$presence"
}
Invoke-Az deployment group create --output none --resource-group $group --name hub --template-file "$PSScriptRoot/$template" --parameters @parameters
Write-Output "The hub $hub of $service sends its events to $events"
