package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Microsoft's own client works with the hub. The test looks for it in the node_modules of this
// repository, and below the folder in SIGNALR_ROOT.
func TestMicrosoftClient(t *testing.T) {
	missing := func(what string) {
		if os.Getenv("ECUPCAKES_TEST_ALL") != "" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing("node is not installed: @microsoft/signalr cannot be tried")
	}
	root := ""
	for _, folder := range []string{os.Getenv("SIGNALR_ROOT"), "..", "../web"} {
		if _, err := os.Stat(filepath.Join(folder, "node_modules/@microsoft/signalr")); err == nil && folder != "" {
			root = folder
			break
		}
	}
	if root == "" {
		missing("@microsoft/signalr is not installed: run npm ci at the root of the repository")
	}
	if root, err = filepath.Abs(root); err != nil {
		t.Fatal(err)
	}

	kitchen := newKitchen()
	h, err := New(kitchen, line, slog.New(slog.DiscardHandler), Options{Methods: map[string]Method{
		"claim": func(_ context.Context, by Caller, arguments []json.RawMessage) (json.RawMessage, error) {
			if string(arguments[0]) == `"taken"` {
				return nil, errors.New("Ana is on it.")
			}
			return fmt.Appendf(nil, `{"id":%s,"topic":%q}`, arguments[0], by.Topic), nil
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	mux := http.NewServeMux()
	mux.Handle(Path, h)
	mux.Handle(Path+"/", h)
	mux.HandleFunc("POST /test/{act}", func(w http.ResponseWriter, r *http.Request) {
		topic, id := r.FormValue("topic"), r.FormValue("id")
		switch r.PathValue("act") {
		case "put":
			kitchen.put(topic, id)
		case "move":
			kitchen.move(r.FormValue("from"), r.FormValue("to"), id)
		case "lose":
			kitchen.lose()
		case "cut":
			h.mu.RLock()
			defer h.mu.RUnlock()
			for c := range h.clients {
				c.cut()
			}
		case "ready":
			if kitchen.setClosed(nil); r.FormValue("is") == "no" {
				kitchen.setClosed(errors.New("the orders are 40 % read"))
			}
		case "shutdown":
			if err := h.Shutdown(ctx); err != nil {
				t.Error(err)
			}
		default:
			http.NotFound(w, r)
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	ran := make(chan error, 1)
	go func() { ran <- h.Run(ctx) }()
	follows(t, h)

	output, err := exec.CommandContext(ctx, node, "testdata/signalr.mjs", server.URL, root).CombinedOutput()
	t.Logf("%s", output)
	if err != nil {
		t.Error(err)
	}
	if !strings.Contains(string(output), "\ndone\n") {
		t.Error("the script did not come to its end")
	}
	if err := h.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
}
