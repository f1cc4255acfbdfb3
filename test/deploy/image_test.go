package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// instruction is one of a Dockerfile.
type instruction struct{ name, rest string }

func instructions(text string) (all []instruction) {
	text = regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, "\\\n", " ")
	for _, line := range strings.Split(text, "\n") {
		if name, rest, _ := strings.Cut(strings.TrimSpace(line), " "); name != "" {
			all = append(all, instruction{name, strings.TrimSpace(rest)})
		}
	}
	return all
}

// stages runs what builds a Dockerfile's image, with a folder for each stage's
// file system, and returns the folders: those of stages with a name by it, the
// last one's by "". The images that stages begin with are this machine.
func stages(t *testing.T, dockerfile, context string) map[string]string {
	t.Helper()
	folders, name, work := map[string]string{}, "", "/"
	at := func(stage, path string) string {
		if !filepath.IsAbs(path) {
			path = filepath.Join(work, path)
		}
		return filepath.Join(folders[stage], path)
	}
	bash := func(dir, script string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "-euc", script)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "VERSION=from-the-test")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %s: %v\n%s", dockerfile, script, err, out)
		}
	}
	for _, i := range instructions(read(t, dockerfile)) {
		switch i.name {
		case "FROM":
			name, work = "", "/"
			if _, as, named := strings.Cut(i.rest, " AS "); named {
				name = as
			}
			folders[name] = t.TempDir()
		case "WORKDIR":
			work = i.rest
			bash("/", "mkdir -p "+at(name, "."))
		case "COPY":
			from, fields := context, []string{}
			for _, f := range strings.Fields(i.rest) {
				if stage, is := strings.CutPrefix(f, "--from="); is {
					from = folders[stage]
				} else if !strings.HasPrefix(f, "--") {
					fields = append(fields, f)
				}
			}
			sources, to := fields[:len(fields)-1], at(name, fields[len(fields)-1])
			if strings.HasSuffix(fields[len(fields)-1], "/") || len(sources) > 1 {
				bash("/", "mkdir -p "+to)
			}
			for _, source := range sources {
				path := filepath.Join(from, source)
				if strings.HasPrefix(source, "/etc/ssl/") { // Of the stage's image.
					continue
				}
				if info, err := os.Stat(path); err == nil && info.IsDir() { // Its contents are copied.
					bash("/", "mkdir -p "+to+" && cp -r "+path+"/. "+to)
				} else {
					bash("/", "mkdir -p "+filepath.Dir(to)+" && cp "+path+" "+to)
				}
			}
		case "RUN":
			bash(at(name, "."), regexp.MustCompile(`(^|[ =])(/(?:out|plugins|source)\b)`).ReplaceAllString(i.rest, "${1}"+folders[name]+"${2}"))
		}
	}
	return folders
}

// What builds the program's image runs, and what is in the image is the program
// with its client and its version, which answers the image's health check.
func TestImage(t *testing.T) {
	context := t.TempDir()
	git := exec.CommandContext(t.Context(), "bash", "-euc", "git ls-files --cached --others --exclude-standard -z | xargs -0 cp --parents -t "+context)
	git.Dir = root
	if out, err := git.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	image := stages(t, "Dockerfile", context)[""]
	binary := filepath.Join(image, "usr/local/bin/ecupcakes")
	out, err := exec.CommandContext(t.Context(), binary, "version").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "from-the-test") {
		t.Errorf("version: %s %v", out, err)
	}
	if client, err := exec.CommandContext(t.Context(), "grep", "-c", "StationScreen", binary).CombinedOutput(); err != nil {
		t.Errorf("the client is not in the binary: %s %v", client, err)
	}
	for _, i := range instructions(read(t, "Dockerfile")) {
		if i.name == "HEALTHCHECK" && !strings.HasSuffix(i.rest, `CMD ["/usr/local/bin/ecupcakes", "health"]`) {
			t.Errorf("the health check is %s", i.rest)
		}
	}
	checkFlags(t, []string{"health"})
}

// The worker's image has both plugins, and says where they are.
func TestConnectImage(t *testing.T) {
	image := stages(t, "deploy/connect/Dockerfile", mustAbs(t, filepath.Join(root, "deploy/connect")))[""]
	for _, jar := range []string{"mongodb/mongo-kafka-connect-*.jar", "debezium/debezium-connector-mongodb-*.jar"} {
		if found, err := filepath.Glob(filepath.Join(image, "opt/plugins", jar)); err != nil || len(found) != 1 {
			t.Errorf("%s: %v %v", jar, found, err)
		}
	}
	properties, err := os.ReadFile(filepath.Join(image, "opt/connect/worker.properties"))
	if err != nil || !strings.Contains(string(properties), "\nplugin.path=/opt/plugins\n") || !strings.HasPrefix(string(properties), strings.TrimSpace(read(t, "deploy/connect/worker.properties"))) {
		t.Errorf("the worker's properties: %s %v", properties, err)
	}
}

// Images are pinned, and none but the first stages have a shell.
func TestDockerfiles(t *testing.T) {
	hadolint := filepath.Join(os.Getenv("HOME"), ".cache", "ecupcakes", "hadolint", "bin", "hadolint")
	for _, dockerfile := range []string{"Dockerfile", "deploy/connect/Dockerfile"} {
		if out, err := exec.CommandContext(t.Context(), hadolint, filepath.Join(root, dockerfile)).CombinedOutput(); err != nil {
			t.Errorf("%s (make setup has hadolint): %v\n%s", dockerfile, err, out)
		}
		for _, i := range instructions(read(t, dockerfile)) {
			if i.name == "FROM" && i.rest != "scratch" && !regexp.MustCompile(`^[a-z/]+:\d+\.\d+\.\d+[a-z0-9-]*( AS [a-z]+)?$`).MatchString(i.rest) {
				t.Errorf("%s: FROM %s is not pinned", dockerfile, i.rest)
			}
		}
	}
}
