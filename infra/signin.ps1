# signin.sh for PowerShell 7.
#
#   ./infra/signin.ps1 register NAME
#   ./infra/signin.ps1 connect
param(
  [Parameter(Mandatory)][ValidateSet('register', 'connect')][string]$Command,
  [string]$Name
)
$ErrorActionPreference = 'Stop'
. "$PSScriptRoot/az.ps1"

if ($Command -eq 'register') {
  if (-not $Name) { throw 'usage: signin.ps1 register NAME' }
  Register-EntraApplication -Name $Name -Options '--enable-id-token-issuance', 'true'
  exit
}

# An empty client id is a choice: users do not sign in with Entra.
$id = Get-Setting SIGN_IN_CLIENT_ID -MayBeEmpty
if (-not $id) { exit }
$app = Get-Setting AZURE_FUNCTION_APP
$issuer = Get-Setting SIGN_IN_ISSUER
$subject = Get-Setting SIGN_IN_SUBJECT

$uri = "$(Get-Setting AZURE_FUNCTION_APP_URL)/.auth/login/aad/callback"
$uris = @(Invoke-Az ad app show --id $id --query web.redirectUris --output tsv | Where-Object { $_ })
if ($uris -notcontains $uri) {
  # The option replaces all of them.
  Invoke-Az ad app update --id $id --enable-id-token-issuance true --web-redirect-uris @uris $uri
}

$credentials = @(Invoke-Az ad app federated-credential list --id $id --output json | ConvertFrom-Json)
if ($credentials | Where-Object { $_.subject -eq $subject -and $_.issuer -eq $issuer }) { exit }
# Windows loses the quotes of JSON in an argument, so it goes by a file.
$file = New-TemporaryFile
try {
  @{ name = $app; issuer = $issuer; subject = $subject; audiences = @('api://AzureADTokenExchange') } |
    ConvertTo-Json | Set-Content -Path $file
  # A new identity of an app of the same name takes the place of the old one.
  $verb = @('create')
  if ($credentials | Where-Object { $_.name -eq $app }) { $verb = @('update', '--federated-credential-id', $app) }
  Invoke-Az ad app federated-credential @verb --id $id --output none --parameters "$file"
} finally {
  Remove-Item $file
}
