using '../../main.bicep'

param name = 'chat'
param location = 'westeurope'
param eventAudience = '11111111-2222-3333-4444-555555555555'
param signInClientId = '66666666-7777-8888-9999-000000000000'
param userNameKey = 'the same in every snapshot, for comparison'
param deployHub = true
