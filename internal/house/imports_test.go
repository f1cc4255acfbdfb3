package house

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// pkg is a package of the workspace, without its tests.
type pkg struct {
	folder  string
	imports []string
}

// packages lists the packages of the modules that go.work names.
func packages(t *testing.T) (found []pkg) {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", "./...", "./gokaplus/...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Logf("%s", exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		switch err := d.Decode(&p); {
		case errors.Is(err, io.EOF):
			return found
		case err != nil:
			t.Fatal(err)
		}
		found = append(found, pkg{strings.TrimPrefix(p.ImportPath, Module+"/"), p.Imports})
	}
}

// roomOf returns the index of the folder's room, or -1.
func roomOf(folder string) int {
	return slices.IndexFunc(Rooms, func(r Room) bool {
		tree, isTree := strings.CutSuffix(r.Folder, "/...")
		return r.Folder == folder || isTree && (folder == tree || strings.HasPrefix(folder, tree+"/"))
	})
}

// excluded returns the entry of the room's Excludes that forbids the import, or
// "".
func excluded(r Room, imported string) string {
	below := func(prefix string) bool { return imported == prefix || strings.HasPrefix(imported, prefix+"/") }
	for _, e := range r.Excludes {
		prefixes, ok := Technologies[e]
		if !ok {
			prefixes = []string{path.Join(Module, e)}
		}
		if slices.ContainsFunc(prefixes, below) {
			return e
		}
	}
	return ""
}

// violations returns what breaks the rules, one sentence each.
func violations(packages []pkg) (broken []string) {
	inhabited := make([]bool, len(Rooms))
	for _, p := range packages {
		at := roomOf(p.folder)
		if at < 0 {
			broken = append(broken, p.folder+" is not in Rooms: give it a room")
			continue
		}
		inhabited[at] = true
		for _, imported := range p.imports {
			folder, ours := strings.CutPrefix(imported, Module+"/")
			to := roomOf(folder)
			if ours && to == at { // Another folder of the same room.
				continue
			}
			if e := excluded(Rooms[at], imported); e != "" {
				broken = append(broken, p.folder+" imports "+imported+", which its entry excludes: "+e)
			}
			if ours && to < at {
				broken = append(broken, p.folder+" imports "+folder+", which is not below it")
			}
		}
	}
	for i, r := range Rooms {
		if !inhabited[i] {
			broken = append(broken, r.Folder+" is in Rooms and has no package")
		}
	}
	return broken
}

func TestRoomsImportOnlyRoomsBelow(t *testing.T) {
	for _, v := range violations(packages(t)) {
		t.Error(v)
	}
}

// TestImportRulesFindViolations shows that the test above can fail.
func TestImportRulesFindViolations(t *testing.T) {
	for _, c := range []struct {
		name string
		add  pkg
		want string
	}{
		{"import of a room above", pkg{"order", []string{Module + "/topology"}}, "order imports topology, which is not below it"},
		{"excluded room", pkg{"api", []string{Module + "/hub"}}, "which its entry excludes: hub"},
		{"excluded technology", pkg{"commands", []string{"net/http/httptest"}}, "which its entry excludes: HTTP"},
		{"library imports the program", pkg{"gokaplus", []string{Module + "/order"}}, "which its entry excludes: ecupcakes"},
		{"package without a room", pkg{"utils", nil}, "utils is not in Rooms"},
		{"subfolder without a room", pkg{"views/cache", nil}, "views/cache is not in Rooms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(violations([]pkg{c.add}), "\n")
			if !strings.Contains(got, c.want) {
				t.Errorf("violations are %q, want one with %q", got, c.want)
			}
		})
	}
}

func TestRoomsAreListedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rooms {
		if seen[r.Folder] {
			t.Errorf("%s is listed twice", r.Folder)
		}
		seen[r.Folder] = true
	}
	for _, r := range Rooms {
		for _, e := range r.Excludes {
			if Technologies[e] == nil && !seen[e] {
				t.Errorf("%s excludes %q, which is neither a room nor one of Technologies", r.Folder, e)
			}
		}
	}
}
