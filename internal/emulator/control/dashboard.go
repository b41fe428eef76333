package control

import (
	"embed"
	"io/fs"
	"net/http"
)

//go:embed dashboard
var dashboardFiles embed.FS

// DashboardPath is where the dashboard is served. Its files are no secret, so they
// need no token; what they show comes from the API.
const DashboardPath = "/dashboard/"

func dashboard() http.Handler {
	files, err := fs.Sub(dashboardFiles, "dashboard")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return http.StripPrefix(DashboardPath, http.FileServerFS(files))
}
