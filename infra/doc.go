// Package infra contains no code: it is the folder of the deployment templates,
// Bicep for Azure and SAM for AWS. README.md describes the deployment. Its tests
// compare the templates with the types of the resources, with the routes of host.json
// and with the settings that package webapp reads:
//
//	go test ./infra
package infra
