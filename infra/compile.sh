#!/bin/sh
# Compiles, formats and lints the Bicep files with Microsoft's compiler, and fails on
# any message, with every linter rule on. Compares what is committed of the compiler's
# output: azuredeploy.json and the snapshots in testdata/snapshots.
#
#   sh infra/compile.sh           checks; needs the Azure CLI
#   sh infra/compile.sh -update   writes azuredeploy.json and the snapshots instead
set -eu

cd "$(dirname "$0")"
update=${1:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail=0
for file in *.bicep; do
	# Warnings go to standard error and do not change the status.
	for verb in build lint; do
		out=$work/out
		case $verb in
		build) az bicep build --file "$file" --outfile "$work/${file%.bicep}.json" 2>"$out" ;;
		lint) az bicep lint --file "$file" 2>"$out" >&2 ;;
		esac || fail=1
		if grep -E ' : (Error|Warning|Info) ' "$out"; then fail=1; fi
	done
	az bicep format --file "$file" --outfile "$work/formatted.bicep"
	diff -u "$file" "$work/formatted.bicep" || fail=1
done

if [ "$update" = -update ]; then
	cp "$work/azuredeploy.json" azuredeploy.json
elif [ -f azuredeploy.json ]; then
	diff -u azuredeploy.json "$work/azuredeploy.json" || fail=1
fi

# A snapshot is every resource with each expression evaluated that can be without
# Azure. It is next to its parameters.
for parameters in testdata/snapshots/*.bicepparam; do
	mode=validate
	if [ "$update" = -update ]; then
		mode=overwrite
	elif [ ! -f "${parameters%.bicepparam}.snapshot.json" ]; then
		continue
	fi
	az bicep snapshot --file "$parameters" --mode "$mode" \
		--subscription-id 00000000-0000-0000-0000-000000000001 --resource-group rg-chat --location westeurope || fail=1
done
exit $fail
