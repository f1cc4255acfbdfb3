// Package web carries the React client inside the binary and serves it: files, page routes, caching and security headers.
// It does not import the API or the hub.
package web

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

// dist is the output of `npm run build`. The committed dist/.gitkeep lets a checkout without Node compile; the binary then
// serves the placeholder, which explains how to build the client.
//
//go:embed all:dist
var dist embed.FS

//go:embed placeholder.html
var placeholder []byte

// policy restricts pages to resources of this server; 'self' also covers the hub's WebSocket.
const policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// FS returns the built client with index.html at its root, or a tree without index.html if it was not built.
func FS() fs.FS {
	client, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // Cannot happen: only an invalid path fails, and this one is a constant.
	}
	return client
}

// Handler serves the client: its files by name, and index.html for every other path without a file extension, so that
// pages can be opened and reloaded by address. Files under /assets/ have a content hash in their names and are cached as
// immutable; everything else is revalidated. If the client was not built, pages answer 503 with the placeholder.
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
			_, _ = w.Write(page) // The client may have disconnected.
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
