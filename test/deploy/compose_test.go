package deploy

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// compose loads docker-compose.yml as `docker compose` does, with the settings of
// .env.example and more of them.
func compose(t *testing.T, more ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")},
		cli.WithEnvFiles(filepath.Join(root, ".env.example")), cli.WithDotEnv, cli.WithEnv(more), cli.WithDefaultProfiles(), cli.WithName("ecupcakes"))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// cluster are the settings that .env.example has for three nodes.
func cluster(t *testing.T) (settings []string) {
	t.Helper()
	for _, line := range strings.Split(read(t, ".env.example"), "\n") {
		if setting, is := strings.CutPrefix(line, "#"); is && regexp.MustCompile(`^[A-Z_]+=`).MatchString(setting) {
			settings = append(settings, setting)
		}
	}
	if len(settings) == 0 {
		t.Fatal(".env.example has no settings to be uncommented")
	}
	return settings
}

func TestCompose(t *testing.T) {
	pinned := regexp.MustCompile(`^[a-z0-9./-]+:v?\d+\.\d+\.\d+$`)
	for name, project := range map[string]*types.Project{"one node": compose(t), "three nodes": compose(t, cluster(t)...)} {
		t.Run(name, func(t *testing.T) {
			for _, s := range project.Services {
				once := s.Restart == types.RestartPolicyOnFailure
				own := s.Image == "ecupcakes:dev"
				if s.Build == nil && !pinned.MatchString(s.Image) {
					t.Errorf("%s: the image %s is not pinned to a version", s.Name, s.Image)
				}
				if s.Build != nil {
					if _, err := os.Stat(filepath.Join(s.Build.Context, s.Build.Dockerfile)); err != nil {
						t.Errorf("%s cannot be built: %v", s.Name, err)
					}
				}
				if s.MemLimit < 64<<20 {
					t.Errorf("%s has %d bytes of memory", s.Name, s.MemLimit)
				}
				if s.Restart == "" {
					t.Errorf("%s does not start again after a crash", s.Name)
				}
				for _, p := range s.Ports {
					if p.HostIP != "127.0.0.1" {
						t.Errorf("%s: port %d listens beyond this machine", s.Name, p.Target)
					}
				}
				if h := s.HealthCheck; !own && !once && (h == nil || len(h.Test) < 2 || h.Test[0] != "CMD") {
					t.Errorf("%s: the health check is %+v, want a command without a shell", s.Name, h)
				}
				for other, d := range s.DependsOn {
					needed, there := project.Services[other]
					if !there {
						if d.Required {
							t.Errorf("%s needs %s, which is not there", s.Name, other)
						}
						continue
					}
					switch d.Condition {
					case types.ServiceConditionHealthy:
						if needed.Restart == types.RestartPolicyOnFailure || needed.HealthCheck == nil && needed.Image != "ecupcakes:dev" || needed.HealthCheck != nil && needed.HealthCheck.Disable {
							t.Errorf("%s waits for the health of %s, which has none", s.Name, other)
						}
					case types.ServiceConditionCompletedSuccessfully:
						if needed.Restart != types.RestartPolicyOnFailure {
							t.Errorf("%s waits for the end of %s, which stays", s.Name, other)
						}
					default:
						t.Errorf("%s waits for %s, but not until it can be used", s.Name, other)
					}
				}
				for _, v := range s.Volumes {
					if v.Type == types.VolumeTypeBind {
						if _, err := os.Stat(v.Source); err != nil {
							t.Errorf("%s: %v", s.Name, err)
						}
						if !v.ReadOnly {
							t.Errorf("%s can write to %s", s.Name, v.Source)
						}
					} else if _, there := project.Volumes[v.Source]; !there {
						t.Errorf("%s has no volume %s", s.Name, v.Source)
					}
				}
				if own {
					checkOwn(t, project, s)
				}
			}
		})
	}
}

var address = regexp.MustCompile(`\b([a-z][a-z0-9-]*):(\d{2,5})\b`)

// checkOwn requires of a container of our own that it can write nowhere, that the
// program knows its arguments and settings, and that whom it talks to is there.
func checkOwn(t *testing.T, project *types.Project, s types.ServiceConfig) {
	t.Helper()
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || s.User != "" {
		t.Errorf("%s could do more than it needs: %+v", s.Name, s)
	}
	checkFlags(t, s.Command)
	checkSettings(t, s.Command[:commands(s.Command)], slices.Collect(maps.Keys(s.Environment)))
	for name, value := range s.Environment {
		if value == nil {
			t.Errorf("%s takes %s from the environment of its user", s.Name, name)
			continue
		}
		for _, m := range address.FindAllStringSubmatch(*value, -1) {
			if _, there := project.Services[m[1]]; !there {
				t.Errorf("%s: %s=%s names %s, which is not there", s.Name, name, *value, m[1])
			}
		}
	}
}

// commands is how many of the arguments are the command's own name.
func commands(args []string) int {
	n := slices.IndexFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "-") })
	if n < 0 {
		return len(args)
	}
	return n
}

func TestComposeSettingsAreDocumented(t *testing.T) {
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllStringSubmatch(read(t, "docker-compose.yml"), -1) {
		used[m[1]] = true
	}
	documented := map[string]bool{"COMPOSE_PROFILES": true}
	for _, m := range regexp.MustCompile(`(?m)^#?([A-Z_]+)=`).FindAllStringSubmatch(read(t, ".env.example"), -1) {
		documented[m[1]] = true
	}
	used["COMPOSE_PROFILES"], documented["VERSION"] = true, true // VERSION names what is built.
	if a, b := slices.Sorted(maps.Keys(used)), slices.Sorted(maps.Keys(documented)); !slices.Equal(a, b) {
		t.Errorf("docker-compose.yml uses %v, and .env.example has %v", a, b)
	}
}

// What is composed is what is tested with.
func TestVersionsAgree(t *testing.T) {
	kafka := regexp.MustCompile(`<kafka.version>(.*)</kafka.version>`).FindStringSubmatch(read(t, "internal/testkit/realkafka/pom.xml"))
	if kafka == nil || compose(t).Services["kafka"].Image != "apache/kafka:"+kafka[1] {
		t.Errorf("the tests' Kafka is %v, the composed one %s", kafka, compose(t).Services["kafka"].Image)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
