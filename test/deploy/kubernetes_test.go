// Package deploy checks what is deployed with, as far as that goes without a
// container engine or a cluster: that the files say what Kubernetes and Compose
// understand, that they fit together, and that the program has each flag and
// setting that they give it.
//
// It is a module of its own because of the weight of its dependencies.
package deploy

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const root = "../.."

// program is the binary that make build leaves.
func program(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "bin", "ecupcakes"))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("run make build first: %v", err)
	}
	return path
}

// objects are a rendered overlay's, strictly decoded: what Kubernetes does not
// know is an error. Those of KEDA, which has no small package of types, are left
// as YAML, by their kind.
type objects struct {
	all     []runtime.Object
	foreign map[string]string
}

func render(t *testing.T, dir string) (o objects) {
	t.Helper()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := monitoring.AddToScheme(scheme.Scheme); err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	o.foreign = map[string]string{}
	for _, r := range rendered.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if r.GetGvk().Group == "keda.sh" {
			o.foreign[r.GetKind()] = string(text)
			continue
		}
		object, _, err := decoder.Decode(text, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", r.CurId(), err)
		}
		o.all = append(o.all, object)
	}
	return o
}

// kind returns the objects of a type by name.
func kind[T meta.Object](o objects) map[string]T {
	found := map[string]T{}
	for _, object := range o.all {
		if is, ok := object.(T); ok {
			found[is.GetName()] = is
		}
	}
	return found
}

// workload is a controller of pods.
type workload struct {
	pod      core.PodTemplateSpec
	selector *meta.LabelSelector
}

func workloads(o objects) map[string]workload {
	found := map[string]workload{}
	for name, d := range kind[*apps.Deployment](o) {
		found[name] = workload{d.Spec.Template, d.Spec.Selector}
	}
	for name, s := range kind[*apps.StatefulSet](o) {
		found[name] = workload{s.Spec.Template, s.Spec.Selector}
	}
	return found
}

func TestKubernetes(t *testing.T) {
	withKeda := t.TempDir()
	relative, err := filepath.Rel(withKeda, mustAbs(t, filepath.Join(root, "deploy/k8s")))
	if err != nil {
		t.Fatal(err)
	}
	overlay := fmt.Sprintf("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [%s/production]\ncomponents: [%s/keda]\n", relative, relative)
	if err := os.WriteFile(filepath.Join(withKeda, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir       string
		workloads []string
		scaled    []string
	}{
		"single":              {filepath.Join(root, "deploy/k8s/single"), []string{"ecupcakes"}, nil},
		"production":          {filepath.Join(root, "deploy/k8s/production"), []string{"ecupcakes-api", "ecupcakes-processors"}, []string{"ecupcakes-api", "ecupcakes-processors"}},
		"production and KEDA": {withKeda, []string{"ecupcakes-api", "ecupcakes-processors"}, []string{"ecupcakes-api"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := render(t, c.dir)
			loads := workloads(o)
			if got := slices.Sorted(maps.Keys(loads)); !slices.Equal(got, c.workloads) {
				t.Fatalf("workloads %v, want %v", got, c.workloads)
			}
			for name, w := range loads {
				checkPod(t, o, name, w)
			}
			checkSelectors(t, o, loads)
			scalers := kind[*autoscaling.HorizontalPodAutoscaler](o)
			if got := slices.Sorted(maps.Keys(scalers)); !slices.Equal(got, c.scaled) {
				t.Errorf("autoscalers %v, want %v", got, c.scaled)
			}
			for name, s := range scalers {
				if _, there := loads[s.Spec.ScaleTargetRef.Name]; !there {
					t.Errorf("%s scales %s, which is not there", name, s.Spec.ScaleTargetRef.Name)
				}
			}
			if scaled := o.foreign["ScaledObject"]; (scaled != "") != strings.Contains(c.dir, withKeda) || scaled != "" && !strings.Contains(scaled, "    name: ecupcakes-processors\n") {
				t.Errorf("KEDA's object: %s", scaled)
			}
			if partitions, there := settings(o)["ECUPCAKES_PARTITIONS"]; there && c.scaled != nil {
				if n, err := strconv.Atoi(partitions); err != nil || scalers["ecupcakes-processors"] != nil && int(scalers["ecupcakes-processors"].Spec.MaxReplicas) > n {
					t.Errorf("there may be more processors than the %s partitions", partitions)
				}
			}
		})
	}
}

// settings are the values of the config maps.
func settings(o objects) map[string]string {
	all := map[string]string{}
	for _, m := range kind[*core.ConfigMap](o) {
		maps.Copy(all, m.Data)
	}
	return all
}

// checkPod requires what the restricted profile asks for, probes that the program
// answers, and flags and settings that it has.
func checkPod(t *testing.T, o objects, name string, w workload) {
	t.Helper()
	pod := w.pod.Spec
	if !labels.SelectorFromSet(w.selector.MatchLabels).Matches(labels.Set(w.pod.Labels)) {
		t.Errorf("%s does not select its own pods", name)
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken || kind[*core.ServiceAccount](o)[pod.ServiceAccountName] == nil {
		t.Errorf("%s: the pod has a token, or no account of its own", name)
	}
	if s := pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.SeccompProfile == nil || s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("%s: the pod's security context is %+v", name, s)
	}
	if pod.TerminationGracePeriodSeconds == nil || *pod.TerminationGracePeriodSeconds < 20 {
		t.Errorf("%s: a stop takes up to 15 s", name)
	}
	if pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
		t.Errorf("%s: a Service called ecupcakes would set ECUPCAKES_… variables", name)
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
			s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
			t.Errorf("%s: the container's security context is %+v", name, s)
		}
		if c.Resources.Requests.Cpu().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() || !c.Resources.Limits.Cpu().IsZero() {
			t.Errorf("%s: resources %+v: memory is limited and the processor is not", name, c.Resources)
		}
		if !strings.HasPrefix(c.Image, "ecupcakes:") {
			t.Errorf("%s runs %s", name, c.Image)
		}
		for what, probe := range map[string]*core.Probe{"/readyz": c.ReadinessProbe, "/healthz": c.LivenessProbe, "/readyz ": c.StartupProbe} {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != strings.TrimSpace(what) {
				t.Errorf("%s: the probe of %s is %+v", name, what, probe)
			} else if port := probe.HTTPGet.Port.String(); !slices.ContainsFunc(c.Ports, func(p core.ContainerPort) bool { return p.Name == port }) {
				t.Errorf("%s: the probe of %s asks the port %s, which is not there", name, what, port)
			}
		}
		checkFlags(t, c.Args)
		env := slices.Collect(maps.Keys(settings(o)))
		for _, v := range c.Env {
			env = append(env, v.Name)
			if strings.Contains(v.Name, "PASSWORD") && (v.ValueFrom == nil || v.ValueFrom.SecretKeyRef == nil) {
				t.Errorf("%s: %s is no reference to a secret", name, v.Name)
			}
		}
		checkSettings(t, c.Args[:1], env)
		for _, from := range c.EnvFrom {
			if from.ConfigMapRef == nil || kind[*core.ConfigMap](o)[from.ConfigMapRef.Name] == nil {
				t.Errorf("%s: there is no such source of settings: %+v", name, from)
			}
		}
	}
}

// checkFlags has the program itself read the arguments.
func checkFlags(t *testing.T, args []string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), program(t), append(slices.Clone(args), "--help")...).CombinedOutput(); err != nil {
		t.Errorf("ecupcakes %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

var variable = regexp.MustCompile(`\b((?:ECUPCAKES|ENV)_[A-Z0-9_]+)\b`)

// checkSettings requires that the command has a flag for each environment variable.
func checkSettings(t *testing.T, command, names []string) {
	t.Helper()
	help, err := exec.CommandContext(t.Context(), program(t), append(slices.Clone(command), "--help")...).Output()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, m := range variable.FindAllStringSubmatch(string(help), -1) {
		known[m[1]] = true
	}
	for _, name := range names {
		if !known[name] {
			t.Errorf("ecupcakes %s has no setting %s", strings.Join(command, " "), name)
		}
	}
}

// checkSelectors requires that whatever selects pods selects some, and that their
// named ports are there.
func checkSelectors(t *testing.T, o objects, loads map[string]workload) {
	t.Helper()
	selected := func(what string, selector labels.Selector) (pods []core.PodSpec) {
		for _, w := range loads {
			if selector.Matches(labels.Set(w.pod.Labels)) {
				pods = append(pods, w.pod.Spec)
			}
		}
		if len(pods) == 0 {
			t.Errorf("%s selects no pod: %s", what, selector)
		}
		return pods
	}
	has := func(pods []core.PodSpec, port string) bool {
		return len(pods) > 0 && slices.ContainsFunc(pods[0].Containers[0].Ports, func(p core.ContainerPort) bool { return p.Name == port })
	}
	services := kind[*core.Service](o)
	for name, s := range services {
		pods := selected("service "+name, labels.SelectorFromSet(s.Spec.Selector))
		for _, p := range s.Spec.Ports {
			if !has(pods, p.TargetPort.String()) {
				t.Errorf("service %s: no pod has the port %s", name, p.TargetPort.String())
			}
		}
	}
	for name, s := range kind[*apps.StatefulSet](o) {
		if services[s.Spec.ServiceName] == nil {
			t.Errorf("%s has no service %s", name, s.Spec.ServiceName)
		}
	}
	for name, b := range kind[*policy.PodDisruptionBudget](o) {
		selected("budget "+name, labels.SelectorFromSet(b.Spec.Selector.MatchLabels))
	}
	for name, p := range kind[*networking.NetworkPolicy](o) {
		if pods := selected("policy "+name, labels.SelectorFromSet(p.Spec.PodSelector.MatchLabels)); len(pods) != len(loads) {
			t.Errorf("policy %s is for %d of %d workloads", name, len(pods), len(loads))
		}
	}
	for name, m := range kind[*monitoring.ServiceMonitor](o) {
		matches := 0
		for _, s := range services {
			if labels.SelectorFromSet(m.Spec.Selector.MatchLabels).Matches(labels.Set(s.Labels)) && slices.ContainsFunc(s.Spec.Ports, func(p core.ServicePort) bool { return p.Name == m.Spec.Endpoints[0].Port }) {
				matches++
			}
		}
		if matches != len(loads) {
			t.Errorf("monitor %s sees %d services, want one for each of %d workloads", name, matches, len(loads))
		}
	}
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	absolute, err := filepath.Abs(path)
	if err == nil {
		absolute, err = filepath.EvalSymlinks(absolute)
	}
	if err != nil {
		t.Fatal(err)
	}
	return absolute
}

var update = flag.Bool("update", false, "write deploy/k8s/production/rules.yaml")

// The rules of the Prometheus operator are those of deploy/prometheus/alerts.yml.
func TestRules(t *testing.T) {
	const path = "deploy/k8s/production/rules.yaml"
	_, groups, found := strings.Cut(read(t, "deploy/prometheus/alerts.yml"), "\ngroups:\n")
	if !found {
		t.Fatal("alerts.yml has no groups")
	}
	want := "# Of deploy/prometheus/alerts.yml: change that, and run go -C test/deploy test -run TestRules -update\n" +
		"apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: ecupcakes\nspec:\n  groups:\n" +
		regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(groups, "  $1")
	if *update {
		if err := os.WriteFile(filepath.Join(root, path), []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, path); got != want {
		t.Errorf("%s is out of date: run go -C test/deploy test -run TestRules -update", path)
	}
	if rules := kind[*monitoring.PrometheusRule](render(t, filepath.Join(root, "deploy/k8s/production")))["ecupcakes"]; rules == nil || len(rules.Spec.Groups) == 0 || len(rules.Spec.Groups[0].Rules) < 8 {
		t.Errorf("production has the rules %+v", rules)
	}
}
