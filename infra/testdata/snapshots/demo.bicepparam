using '../../main.bicep'

param name = 'chat'
param location = 'westeurope'
param verification = 'key'
param signIn = 'demo'
param userNameKey = 'the same in every snapshot, for comparison'
param deployHub = true
param webPubSubSku = 'Premium_P1'
param presenceGroups = 'room.*'
param eventHubs = true
param connectionsPerUser = 20
param bytesPerUserAndMinute = 1000000
param connectionLifetime = 86400
param diagnosticLogs = true
param clientCertificates = true
