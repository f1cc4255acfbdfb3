package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

var built = fstest.MapFS{
	"index.html":          {Data: []byte("<title>eCupcakes</title>")},
	"theme.js":            {Data: []byte("theme")},
	"assets/main-a1b2.js": {Data: []byte("main")},
}

func TestHandler(t *testing.T) {
	const immutable, revalidate = "public, max-age=31536000, immutable", "no-cache"
	unbuilt := fstest.MapFS{".gitkeep": {}}
	tests := []struct {
		name         string
		client       fstest.MapFS
		method, path string
		status       int
		body         string
		cache        string
	}{
		{"root", built, "GET", "/", 200, "eCupcakes", revalidate},
		{"page route", built, "GET", "/mixer", 200, "eCupcakes", revalidate},
		{"deep page route", built, "GET", "/order/0199-ab", 200, "eCupcakes", revalidate},
		{"folder", built, "GET", "/assets/", 200, "eCupcakes", revalidate},
		{"index by name", built, "GET", "/index.html", 200, "eCupcakes", revalidate},
		{"head", built, "HEAD", "/mixer", 200, "", revalidate},
		{"hashed asset", built, "GET", "/assets/main-a1b2.js", 200, "main", immutable},
		{"plain file", built, "GET", "/theme.js", 200, "theme", revalidate},
		{"missing asset", built, "GET", "/assets/main-old.js", 404, "not found", revalidate},
		{"climbing out", built, "GET", "/../embed.go", 404, "not found", revalidate},
		{"post", built, "POST", "/mixer", 405, "only be read", ""},
		{"unbuilt page", unbuilt, "GET", "/mixer", 503, "make build", revalidate},
		{"unbuilt head", unbuilt, "HEAD", "/", 503, "make build", revalidate},
		{"unbuilt asset", unbuilt, "GET", "/assets/main-a1b2.js", 404, "not found", revalidate},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			handler(test.client).ServeHTTP(answer, httptest.NewRequest(test.method, test.path, nil))
			if answer.Code != test.status {
				t.Errorf("status %d, want %d", answer.Code, test.status)
			}
			if body := answer.Body.String(); !strings.Contains(body, test.body) {
				t.Errorf("body %q lacks %q", body, test.body)
			}
			if cache := answer.Header().Get("Cache-Control"); test.status != 404 && cache != test.cache {
				t.Errorf("Cache-Control %q, want %q", cache, test.cache)
			}
			for _, header := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy"} {
				if answer.Header().Get(header) == "" {
					t.Errorf("no %s", header)
				}
			}
		})
	}
}

// With nosniff, browsers refuse scripts and styles of the wrong type.
func TestContentTypes(t *testing.T) {
	server := httptest.NewServer(handler(built))
	defer server.Close()
	for path, want := range map[string]string{"/baker": "text/html", "/assets/main-a1b2.js": "text/javascript"} {
		answer, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			t.Fatal(err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if got := answer.Header.Get("Content-Type"); !strings.HasPrefix(got, want) {
			t.Errorf("%s: Content-Type %q, want %s", path, got, want)
		}
	}
}

// TestEmbedded passes both with and without a built client.
func TestEmbedded(t *testing.T) {
	answer := httptest.NewRecorder()
	Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/dashboard", nil))
	want := http.StatusServiceUnavailable
	if isFile(FS(), "index.html") {
		want = http.StatusOK
	}
	if answer.Code != want {
		t.Errorf("status %d, want %d", answer.Code, want)
	}
}
