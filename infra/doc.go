// Package infra holds no code: it is the folder of the deployment templates,
// Bicep for Azure and SAM for AWS. README.md describes the deployment. Its tests hold
// the templates against the types of the resources, against the routes of
// host.json and against the settings that package webapp reads:
//
//	go test ./infra
package infra
