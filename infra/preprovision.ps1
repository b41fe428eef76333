# preprovision.sh for PowerShell 7.
$ErrorActionPreference = 'Stop'

$verification = if ($env:WEBPUBSUB_VERIFICATION) { $env:WEBPUBSUB_VERIFICATION } else { 'identity' }
if ($verification -eq 'identity' -and -not $env:WEBPUBSUB_EVENT_AUDIENCE) {
  $id = & "$PSScriptRoot/audience.ps1" "webpubsub-events-$env:AZURE_ENV_NAME"
  azd env set WEBPUBSUB_EVENT_AUDIENCE $id
}
$signIn = if ($env:WEBPUBSUB_SIGN_IN) { $env:WEBPUBSUB_SIGN_IN } else { 'entra' }
if ($signIn -eq 'entra' -and -not $env:WEBPUBSUB_SIGN_IN_CLIENT_ID) {
  $id = & "$PSScriptRoot/signin.ps1" register "webpubsub-signin-$env:AZURE_ENV_NAME"
  azd env set WEBPUBSUB_SIGN_IN_CLIENT_ID $id
}
