// Package web carries the React client inside the binary and serves it: files, page routes, caching and security headers.
// It knows nothing of orders, the API or the hub; those are what the client talks to.
package web

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// dist is what `npm run build` leaves behind. The committed dist/.gitkeep lets a checkout without Node compile;
// the client is then absent and the placeholder says how to build it.
//
//go:embed all:dist
var dist embed.FS

//go:embed placeholder.html
var placeholder []byte

// policy lets pages load only what this server serves; 'self' covers the hub's WebSocket too.
const policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// FS returns the built client with index.html at its root, or a tree without index.html if it was not built.
func FS() fs.FS {
	client, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // Only an invalid path fails, and this one is a constant.
	}
	return client
}

// Handler serves the client: its files by name, and index.html for every other path without a file extension, so that
// pages can be opened and reloaded by address. Files under /assets/ have their content's hash in their names and may
// be kept for ever; everything else must be asked for again. If the client was not built, pages answer 503 and say so.
func Handler() http.Handler { return handler(FS()) }

func handler(client fs.FS) http.Handler {
	files := http.FileServerFS(client)
	page, status := placeholder, http.StatusServiceUnavailable
	if index, err := fs.ReadFile(client, "index.html"); err == nil {
		page, status = index, http.StatusOK
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "same-origin")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			header.Set("Allow", "GET, HEAD")
			http.Error(w, "the client's pages can only be read", http.StatusMethodNotAllowed)
			return
		}

		header.Set("Cache-Control", "no-cache")
		switch name := strings.TrimPrefix(path.Clean(r.URL.Path), "/"); {
		case name == "index.html" || path.Ext(name) == "" && !isFile(client, name):
			header.Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(status)
			_, _ = w.Write(page) // A reader who left needs no page.
		case isFile(client, name):
			if strings.HasPrefix(name, "assets/") {
				header.Set("Cache-Control", "public, max-age=31536000, immutable")
			}
			files.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
}

func isFile(client fs.FS, name string) bool {
	info, err := fs.Stat(client, name)
	return err == nil && info.Mode().IsRegular()
}
