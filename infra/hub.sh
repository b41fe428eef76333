#!/bin/sh
# Deploys the hub once the app answers the service's question whether it may send
# events. Its settings are the outputs of main.bicep, in the environment: azd and
# the deployment workflow put them there. Running it again changes nothing.
#
#   HUB_TRIES  how often the app is asked, every five seconds (default 60)
set -eu

: "${AZURE_RESOURCE_GROUP:?is not set: the resource group of main.bicep}"
: "${AZURE_FUNCTION_APP:?is not set: it is an output of main.bicep}"
: "${AZURE_FUNCTION_APP_URL:?is not set: it is an output of main.bicep}"
: "${AZURE_WEBPUBSUB:?is not set: it is an output of main.bicep}"
: "${AZURE_WEBPUBSUB_HOST:?is not set: it is an output of main.bicep}"
: "${HUB_NAME:?is not set: it is an output of main.bicep}"
: "${HUB_ANONYMOUS:?is not set: it is an output of main.bicep}"
# An empty audience is a choice: events are verified by key.
: "${HUB_AUDIENCE?is not set: it is an output of main.bicep}"

events=$AZURE_FUNCTION_APP_URL/api/events
left=${HUB_TRIES:-60}
while :; do
	answer=$(curl --silent --show-error --include --max-time 30 --request OPTIONS \
		--header "WebHook-Request-Origin: $AZURE_WEBPUBSUB_HOST" "$events" 2>&1) || true
	if printf '%s\n' "$answer" | grep -qi '^webhook-allowed-origin:'; then
		break
	fi
	left=$((left - 1))
	if [ "$left" -le 0 ]; then
		printf '%s\n' "hub.sh: $events does not let $AZURE_WEBPUBSUB_HOST send events. Its last answer:" "$answer" >&2
		exit 1
	fi
	sleep 5
done

template=hub.bicep
set -- webPubSubName="$AZURE_WEBPUBSUB" \
	functionAppName="$AZURE_FUNCTION_APP" \
	hubName="$HUB_NAME" \
	anonymousConnectPolicy="$HUB_ANONYMOUS" \
	audience="$HUB_AUDIENCE" \
	eventHubsNamespace="${HUB_EVENT_HUBS:-}"
if [ -n "${HUB_PRESENCE_GROUPS:-}" ]; then
	template=hub-preview.bicep
	set -- "$@" presenceGroups="$HUB_PRESENCE_GROUPS"
fi

here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
az deployment group create --output none \
	--resource-group "$AZURE_RESOURCE_GROUP" \
	--name hub \
	--template-file "$here/$template" \
	--parameters "$@"
echo "The hub $HUB_NAME of $AZURE_WEBPUBSUB sends its events to $events"
