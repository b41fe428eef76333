package token

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

const (
	nameIdentifier = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"
	roleClaim      = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
)

// longNames maps the claims that the .NET JWT library renames to the names that
// it gives them (System.IdentityModel.Tokens.Jwt,
// DefaultInboundClaimTypeMap). The service reads tokens with that library.
var longNames = map[string]string{
	"acr":                        "http://schemas.microsoft.com/claims/authnclassreference",
	"actort":                     "http://schemas.xmlsoap.org/ws/2009/09/identity/claims/actor",
	"adfs1email":                 "http://schemas.xmlsoap.org/claims/EmailAddress",
	"adfs1upn":                   "http://schemas.xmlsoap.org/claims/UPN",
	"amr":                        "http://schemas.microsoft.com/claims/authnmethodsreferences",
	"authmethod":                 "http://schemas.microsoft.com/ws/2008/06/identity/claims/authenticationmethod",
	"birthdate":                  "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/dateofbirth",
	"certapppolicy":              "http://schemas.microsoft.com/2012/12/certificatecontext/extension/applicationpolicy",
	"certauthoritykeyidentifier": "http://schemas.microsoft.com/2012/12/certificatecontext/extension/authoritykeyidentifier",
	"certbasicconstraints":       "http://schemas.microsoft.com/2012/12/certificatecontext/extension/basicconstraints",
	"certeku":                    "http://schemas.microsoft.com/2012/12/certificatecontext/extension/eku",
	"certissuer":                 "http://schemas.microsoft.com/2012/12/certificatecontext/field/issuer",
	"certissuername":             "http://schemas.microsoft.com/2012/12/certificatecontext/field/issuername",
	"certkeyusage":               "http://schemas.microsoft.com/2012/12/certificatecontext/extension/keyusage",
	"certnotafter":               "http://schemas.microsoft.com/2012/12/certificatecontext/field/notafter",
	"certnotbefore":              "http://schemas.microsoft.com/2012/12/certificatecontext/field/notbefore",
	"certpolicy":                 "http://schemas.microsoft.com/2012/12/certificatecontext/extension/certificatepolicy",
	"certpublickey":              "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/rsa",
	"certrawdata":                "http://schemas.microsoft.com/2012/12/certificatecontext/field/rawdata",
	"certserialnumber":           "http://schemas.microsoft.com/ws/2008/06/identity/claims/serialnumber",
	"certsignaturealgorithm":     "http://schemas.microsoft.com/2012/12/certificatecontext/field/signaturealgorithm",
	"certsubject":                "http://schemas.microsoft.com/2012/12/certificatecontext/field/subject",
	"certsubjectaltname":         "http://schemas.microsoft.com/2012/12/certificatecontext/extension/san",
	"certsubjectkeyidentifier":   "http://schemas.microsoft.com/2012/12/certificatecontext/extension/subjectkeyidentifier",
	"certsubjectname":            "http://schemas.microsoft.com/2012/12/certificatecontext/field/subjectname",
	"certtemplateinformation":    "http://schemas.microsoft.com/2012/12/certificatecontext/extension/certificatetemplateinformation",
	"certtemplatename":           "http://schemas.microsoft.com/2012/12/certificatecontext/extension/certificatetemplatename",
	"certthumbprint":             "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/thumbprint",
	"certx509version":            "http://schemas.microsoft.com/2012/12/certificatecontext/field/x509version",
	"clientapplication":          "http://schemas.microsoft.com/2012/01/requestcontext/claims/x-ms-client-application",
	"clientip":                   "http://schemas.microsoft.com/2012/01/requestcontext/claims/x-ms-client-ip",
	"clientuseragent":            "http://schemas.microsoft.com/2012/01/requestcontext/claims/x-ms-client-user-agent",
	"commonname":                 "http://schemas.xmlsoap.org/claims/CommonName",
	"denyonlyprimarygroupsid":    "http://schemas.microsoft.com/ws/2008/06/identity/claims/denyonlyprimarygroupsid",
	"denyonlyprimarysid":         "http://schemas.microsoft.com/ws/2008/06/identity/claims/denyonlyprimarysid",
	"denyonlysid":                "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/denyonlysid",
	"devicedispname":             "http://schemas.microsoft.com/2012/01/devicecontext/claims/displayname",
	"deviceid":                   "http://schemas.microsoft.com/2012/01/devicecontext/claims/identifier",
	"deviceismanaged":            "http://schemas.microsoft.com/2012/01/devicecontext/claims/ismanaged",
	"deviceostype":               "http://schemas.microsoft.com/2012/01/devicecontext/claims/ostype",
	"deviceosver":                "http://schemas.microsoft.com/2012/01/devicecontext/claims/osversion",
	"deviceowner":                "http://schemas.microsoft.com/2012/01/devicecontext/claims/userowner",
	"deviceregid":                "http://schemas.microsoft.com/2012/01/devicecontext/claims/registrationid",
	"email":                      "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
	"endpointpath":               "http://schemas.microsoft.com/2012/01/requestcontext/claims/x-ms-endpoint-absolute-path",
	"family_name":                "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/surname",
	"forwardedclientip":          "http://schemas.microsoft.com/2012/01/requestcontext/claims/x-ms-forwarded-client-ip",
	"fwt":                        "http://schemas.microsoft.com/2012/01/requestcontext/claims/x-ms-forwarded-client-ip",
	"gender":                     "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/gender",
	"given_name":                 "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname",
	"group":                      "http://schemas.xmlsoap.org/claims/Group",
	"groupsid":                   "http://schemas.microsoft.com/ws/2008/06/identity/claims/groupsid",
	"idp":                        "http://schemas.microsoft.com/identity/claims/identityprovider",
	"insidecorporatenetwork":     "http://schemas.microsoft.com/ws/2012/01/insidecorporatenetwork",
	"isregistereduser":           "http://schemas.microsoft.com/2012/01/devicecontext/claims/isregistereduser",
	"nameid":                     nameIdentifier,
	"oid":                        "http://schemas.microsoft.com/identity/claims/objectidentifier",
	"ppid":                       "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/privatepersonalidentifier",
	"primarygroupsid":            "http://schemas.microsoft.com/ws/2008/06/identity/claims/primarygroupsid",
	"primarysid":                 "http://schemas.microsoft.com/ws/2008/06/identity/claims/primarysid",
	"proxy":                      "http://schemas.microsoft.com/2012/01/requestcontext/claims/x-ms-proxy",
	"pwdchgurl":                  "http://schemas.microsoft.com/ws/2012/01/passwordchangeurl",
	"pwdexpdays":                 "http://schemas.microsoft.com/ws/2012/01/passwordexpirationdays",
	"pwdexptime":                 "http://schemas.microsoft.com/ws/2012/01/passwordexpirationtime",
	"relyingpartytrustid":        "http://schemas.microsoft.com/2012/01/requestcontext/claims/relyingpartytrustid",
	"role":                       roleClaim,
	"roles":                      roleClaim,
	"scp":                        "http://schemas.microsoft.com/identity/claims/scope",
	"sub":                        nameIdentifier,
	"tid":                        "http://schemas.microsoft.com/identity/claims/tenantid",
	"unique_name":                "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name",
	"upn":                        "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
	"website":                    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/webpage",
	"winaccountname":             "http://schemas.microsoft.com/ws/2008/06/identity/claims/windowsaccountname",
}

// ClaimsMap returns the claims of a token as a connect event contains them: each
// value is an array of strings, a number is written in digits
// ("exp": ["1629186974"]) and an object as JSON. A claim that .NET renames
// appears under both names. A claim with an empty array is omitted.
func ClaimsMap(claims map[string]any) map[string][]string {
	out := make(map[string][]string, len(claims)+2)
	for _, name := range slices.Sorted(maps.Keys(claims)) { // two claims may share a long name
		values := claimValues(claims[name])
		if len(values) == 0 {
			continue
		}
		out[name] = append(out[name], values...)
		if long, ok := longNames[name]; ok {
			out[long] = append(out[long], values...)
		}
	}
	return out
}

func claimValues(v any) []string {
	switch v := v.(type) {
	case []string:
		return v
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			out = append(out, claimText(e))
		}
		return out
	}
	return []string{claimText(v)}
}

func claimText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case json.Number:
		if _, err := v.Int64(); err != nil { // not an integer, or with an exponent
			if f, err := v.Float64(); err == nil {
				return strconv.FormatFloat(f, 'f', -1, 64)
			}
		}
		return v.String()
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "" // not a value that JSON decodes to
	}
	return string(b)
}

// LongName returns the name that the .NET JWT library gives to a claim, or "" if
// it does not rename it. The service lists such a claim under both names, or under
// the long one only.
func LongName(claim string) string { return longNames[claim] }
