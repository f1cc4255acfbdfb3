package hub

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

func call(t *testing.T, method, url string, header http.Header) (*http.Response, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = header
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if len(body) > 0 {
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatalf("%s %s answered %q: %v", method, url, body, err)
		}
	}
	return response, fields
}

func TestNegotiate(t *testing.T) {
	_, server := open(t, newKitchen(), Options{})
	ids := map[any]bool{}
	for query, version := range map[string]float64{"": 0, "?negotiateVersion=0": 0, "?negotiateVersion=x": 0, "?negotiateVersion=1": 1, "?negotiateVersion=2": 1} {
		response, answer := call(t, http.MethodPost, server.URL+Path+"/negotiate"+query, nil)
		if response.StatusCode != http.StatusOK || answer["negotiateVersion"] != version {
			t.Errorf("%s: %d, %v", query, response.StatusCode, answer)
		}
		token, has := answer["connectionToken"]
		if has != (version == 1) || has && (token == "" || token == answer["connectionId"]) {
			t.Errorf("%s: token of %v", query, answer)
		}
		if _, has := answer["useStatefulReconnect"]; has {
			t.Errorf("%s: stateful reconnect is granted", query)
		}
		transports, _ := json.Marshal(answer["availableTransports"])
		if string(transports) != `[{"transferFormats":["Text"],"transport":"WebSockets"}]` {
			t.Errorf("%s: %s", query, transports)
		}
		ids[answer["connectionId"]] = true
	}
	if len(ids) != 5 || ids[""] || ids[nil] {
		t.Errorf("connection ids: %v", ids)
	}
}

func TestRefusedRequests(t *testing.T) {
	_, server := open(t, newKitchen(), Options{Origins: []string{"https://shop.example"}})
	foreign := http.Header{"Origin": {"https://evil.example"}}
	long := strings.Repeat("g", maxGroup+1)
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	tests := map[string]struct {
		method, path string
		header       http.Header
		status       int
	}{
		"below the hub":               {http.MethodGet, Path + "/other", nil, http.StatusNotFound},
		"elsewhere":                   {http.MethodPost, "/negotiate", nil, http.StatusNotFound},
		"GET of negotiate":            {http.MethodGet, Path + "/negotiate", nil, http.StatusMethodNotAllowed},
		"POST to the hub":             {http.MethodPost, Path, nil, http.StatusMethodNotAllowed},
		"no upgrade":                  {http.MethodGet, Path, nil, http.StatusUpgradeRequired},
		"foreign origin negotiates":   {http.MethodPost, Path + "/negotiate", foreign, http.StatusForbidden},
		"foreign origin asks":         {http.MethodOptions, Path + "/negotiate", foreign, http.StatusForbidden},
		"foreign origin connects":     {http.MethodGet, Path, foreign, http.StatusForbidden},
		"other scheme than allowed":   {http.MethodPost, Path + "/negotiate", http.Header{"Origin": {"http://shop.example"}}, http.StatusForbidden},
		"other port than allowed":     {http.MethodPost, Path + "/negotiate", http.Header{"Origin": {"https://shop.example:444"}}, http.StatusForbidden},
		"hidden origin":               {http.MethodPost, Path + "/negotiate", http.Header{"Origin": {"null"}}, http.StatusForbidden},
		"endless consumer group":      {http.MethodGet, Path + "?topic=mix&consumergroup=" + long, upgrade, http.StatusBadRequest},
		"endless group, even plainly": {http.MethodGet, Path + "?topic=mix&consumergroup=" + long, nil, http.StatusBadRequest},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			response, fields := call(t, test.method, server.URL+test.path, test.header)
			if response.StatusCode != test.status || response.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("answered %d %s", response.StatusCode, response.Header.Get("Content-Type"))
			}
			if fields["type"] != "about:blank" || fields["title"] != http.StatusText(test.status) || fields["status"] != float64(test.status) || fields["detail"] == "" {
				t.Errorf("problem: %v", fields)
			}
			if allowed := response.Header.Get("Access-Control-Allow-Origin"); allowed != "" {
				t.Errorf("allows the origin %s", allowed)
			}
		})
	}
}

func TestAllowedOrigins(t *testing.T) {
	_, server := open(t, newKitchen(), Options{Origins: []string{"https://shop.example", "http://127.0.0.1:5173"}})
	for origin, cors := range map[string]bool{"": false, server.URL: false, "https://shop.example": true, "http://127.0.0.1:5173": true} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		want := ""
		if cors {
			want = origin
		}
		for _, method := range []string{http.MethodOptions, http.MethodPost} {
			response, _ := call(t, method, server.URL+Path+"/negotiate", header)
			got := response.Header
			if response.StatusCode >= 300 || got.Get("Access-Control-Allow-Origin") != want || cors && got.Get("Access-Control-Allow-Credentials") != "true" {
				t.Errorf("%s from %q: %d, %v", method, origin, response.StatusCode, got)
			}
			if cors && method == http.MethodOptions && (got.Get("Access-Control-Allow-Methods") != "POST" || got.Get("Access-Control-Allow-Headers") == "") {
				t.Errorf("preflight from %q: %v", origin, got)
			}
			if got.Get("Vary") != "Origin" {
				t.Errorf("%s from %q may be cached for other origins", method, origin)
			}
		}
		ws, _, err := websocket.Dial(t.Context(), server.URL+Path+"?topic=mix", &websocket.DialOptions{HTTPHeader: header})
		if err != nil {
			t.Errorf("connect from %q: %v", origin, err)
			continue
		}
		_ = ws.CloseNow()
	}
}

func TestNewRefusesInvalidOptions(t *testing.T) {
	for _, origin := range []string{"shop.example", "https://shop.example/", "https://Shop.example", "https://shop.example?x", "//shop.example", "https://", "*", "https://user@shop.example"} {
		if _, err := New(newKitchen(), line, slog.New(slog.DiscardHandler), Options{Origins: []string{origin}}); err == nil {
			t.Errorf("the origin %q is accepted", origin)
		}
	}
	if _, err := New(newKitchen(), nil, slog.New(slog.DiscardHandler), Options{}); err == nil {
		t.Error("a hub without a station is accepted")
	}
}

func TestMaxClients(t *testing.T) {
	h, server := open(t, newKitchen(), Options{MaxClients: 2})
	first := watch(t, server, "mix")
	watch(t, server, "bake").synced()
	for method, path := range map[string]string{http.MethodPost: Path + "/negotiate", http.MethodGet: Path + "?topic=mix"} {
		response, fields := call(t, method, server.URL+path, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}})
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || fields["status"] != 503.0 {
			t.Errorf("%s %s: %d, %v", method, path, response.StatusCode, fields)
		}
	}
	_ = first.ws.CloseNow()
	eventually(t, "the place is free", func() bool { return !h.full() })
	watch(t, server, "mix").synced()
}
