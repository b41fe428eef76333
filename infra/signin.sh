#!/bin/sh
# Makes and completes the Entra application that users sign in to. It has no
# secret: the managed identity of the app is its federated credential. Running
# either command again changes nothing.
#
#   sh infra/signin.sh register NAME   before main.bicep is deployed: registers the
#                                      application and prints its client id, the
#                                      parameter signInClientId
#   sh infra/signin.sh connect         afterwards: adds redirect URI and federated
#                                      credential, by the outputs of main.bicep in
#                                      the environment
set -eu

register() {
	name=$1
	found=$(az ad app list --filter "displayName eq '$name'" --query '[].appId' --output tsv)
	case $(printf '%s' "$found" | grep -c .) in
	0) found=$(az ad app create --display-name "$name" --sign-in-audience AzureADMyOrg --enable-id-token-issuance true --query appId --output tsv) ;;
	1) ;;
	*)
		echo "signin.sh: more than one Entra application is called $name: choose another name" >&2
		exit 1
		;;
	esac
	az ad sp show --id "$found" --output none 2>/dev/null || az ad sp create --id "$found" --output none
	printf '%s\n' "$found"
}

connect() {
	# An empty client id is a choice: users do not sign in with Entra.
	: "${SIGN_IN_CLIENT_ID?is not set: it is an output of main.bicep}"
	[ -n "$SIGN_IN_CLIENT_ID" ] || return 0
	: "${AZURE_FUNCTION_APP:?is not set: it is an output of main.bicep}"
	: "${AZURE_FUNCTION_APP_URL:?is not set: it is an output of main.bicep}"
	: "${SIGN_IN_ISSUER:?is not set: it is an output of main.bicep}"
	: "${SIGN_IN_SUBJECT:?is not set: it is an output of main.bicep}"

	uri=$AZURE_FUNCTION_APP_URL/.auth/login/aad/callback
	uris=$(az ad app show --id "$SIGN_IN_CLIENT_ID" --query 'web.redirectUris' --output tsv)
	if ! printf '%s\n' "$uris" | grep -qxF "$uri"; then
		# The option replaces all of them. A URI has no white space.
		# shellcheck disable=SC2086
		az ad app update --id "$SIGN_IN_CLIENT_ID" --enable-id-token-issuance true --web-redirect-uris $uris "$uri"
	fi

	found=$(az ad app federated-credential list --id "$SIGN_IN_CLIENT_ID" --query "[?subject=='$SIGN_IN_SUBJECT' && issuer=='$SIGN_IN_ISSUER'].name" --output tsv)
	[ -z "$found" ] || return 0
	# A new identity of an app of the same name takes the place of the old one.
	old=$(az ad app federated-credential list --id "$SIGN_IN_CLIENT_ID" --query "[?name=='$AZURE_FUNCTION_APP'].name" --output tsv)
	verb=create
	[ -z "$old" ] || verb="update --federated-credential-id $AZURE_FUNCTION_APP"
	# shellcheck disable=SC2086
	az ad app federated-credential $verb --id "$SIGN_IN_CLIENT_ID" --output none --parameters "{
		\"name\": \"$AZURE_FUNCTION_APP\",
		\"issuer\": \"$SIGN_IN_ISSUER\",
		\"subject\": \"$SIGN_IN_SUBJECT\",
		\"audiences\": [\"api://AzureADTokenExchange\"]
	}"
}

case "${1:-} $#" in
"register 2") register "$2" ;;
"connect 1") connect ;;
*)
	echo "usage: signin.sh register NAME | signin.sh connect" >&2
	exit 2
	;;
esac
