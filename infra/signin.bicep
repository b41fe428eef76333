// Sign-in by App Service authentication without a secret: the app's managed identity is the
// federated credential of the Entra application, which infra/signin.sh adds.
targetScope = 'resourceGroup'

@description('Name of the function app.')
param appName string

@description('Client id of the Entra application that users sign in to. Empty: sign-in is disabled.')
param clientId string

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: appName
}

resource signIn 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: !empty(clientId)
      runtimeVersion: '~1'
    }
    globalValidation: {
      requireAuthentication: !empty(clientId)
      unauthenticatedClientAction: empty(clientId) ? 'AllowAnonymous' : 'RedirectToLoginPage'
      redirectToProvider: 'azureactivedirectory'
      // The app verifies the service's token itself. Without the exclusion the
      // platform rejects the events before the app sees them.
      excludedPaths: [
        '/api/events'
      ]
    }
    httpSettings: {
      requireHttps: true
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: !empty(clientId)
        registration: {
          clientId: clientId
          // The name of a setting of main.bicep. It contains the client id of the
          // managed identity, not a secret.
          clientSecretSettingName: 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'
          openIdIssuer: '${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: empty(clientId)
            ? []
            : [
                clientId
                'api://${clientId}'
              ]
          defaultAuthorizationPolicy: {
            allowedApplications: []
          }
        }
      }
    }
    login: {
      tokenStore: {
        enabled: false
      }
      routes: {
        logoutEndpoint: '/.auth/logout'
      }
      preserveUrlFragmentsForLogins: true
    }
  }
}
