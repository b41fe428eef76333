#!/bin/sh
# Runs before azd deploys main.bicep: registers in Entra what the chosen settings
# need and the environment of azd does not have yet.
set -eu

here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
if [ "${WEBPUBSUB_VERIFICATION:-identity}" = identity ] && [ -z "${WEBPUBSUB_EVENT_AUDIENCE:-}" ]; then
	id=$(sh "$here/audience.sh" "webpubsub-events-$AZURE_ENV_NAME")
	azd env set WEBPUBSUB_EVENT_AUDIENCE "$id"
fi
if [ "${WEBPUBSUB_SIGN_IN:-entra}" = entra ] && [ -z "${WEBPUBSUB_SIGN_IN_CLIENT_ID:-}" ]; then
	id=$(sh "$here/signin.sh" register "webpubsub-signin-$AZURE_ENV_NAME")
	azd env set WEBPUBSUB_SIGN_IN_CLIENT_ID "$id"
fi
