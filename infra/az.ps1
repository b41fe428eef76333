# What the scripts for PowerShell 7 share.

# Invoke-Az runs the Azure CLI and stops where it fails.
function Invoke-Az {
  $output = & az @args
  if ($LASTEXITCODE -ne 0) { throw "az $($args[0..2] -join ' ') failed with status $LASTEXITCODE" }
  $output
}

# Get-Setting returns a variable of the environment, most of them outputs of
# main.bicep.
function Get-Setting([string]$Name, [switch]$MayBeEmpty) {
  $value = [Environment]::GetEnvironmentVariable($Name)
  if (-not $value -and -not $MayBeEmpty) { throw "$Name is not set: it is an output of main.bicep" }
  "$value"
}

# Register-EntraApplication returns the client id of the application with this
# name, which it creates where there is none.
function Register-EntraApplication([string]$Name, [string[]]$Options = @()) {
  $found = @(Invoke-Az ad app list --filter "displayName eq '$Name'" --query '[].appId' --output tsv | Where-Object { $_ })
  if ($found.Count -gt 1) { throw "more than one Entra application is called ${Name}: choose another name" }
  if ($found.Count -eq 0) {
    $found = @(Invoke-Az ad app create --display-name $Name --sign-in-audience AzureADMyOrg @Options --query appId --output tsv)
  }
  & az ad sp show --id $found[0] --output none 2>$null
  if ($LASTEXITCODE -ne 0) { Invoke-Az ad sp create --id $found[0] --output none }
  $found[0]
}
