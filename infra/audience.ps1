# audience.sh for PowerShell 7.
#
#   ./infra/audience.ps1 webpubsub-events-prod
param([Parameter(Mandatory)][string]$Name)
$ErrorActionPreference = 'Stop'
. "$PSScriptRoot/az.ps1"

Register-EntraApplication -Name $Name
