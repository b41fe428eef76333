#!/bin/sh
# Registers the Entra application that represents the app as the receiver of
# events, and prints its client id: the parameter eventAudience of main.bicep.
# The application has no secret and no permission; it is only what the tokens of
# the service's managed identity are for. Running it again changes nothing.
#
#   sh infra/audience.sh webpubsub-events-prod
set -eu

name=${1:?usage: audience.sh NAME}

found=$(az ad app list --filter "displayName eq '$name'" --query '[].appId' --output tsv)
case $(printf '%s' "$found" | grep -c .) in
0) found=$(az ad app create --display-name "$name" --sign-in-audience AzureADMyOrg --query appId --output tsv) ;;
1) ;;
*)
	echo "audience.sh: more than one Entra application is called $name: choose another name" >&2
	exit 1
	;;
esac

# Tokens are issued only for an application that the tenant has a principal of.
az ad sp show --id "$found" --output none 2>/dev/null || az ad sp create --id "$found" --output none
printf '%s\n' "$found"
