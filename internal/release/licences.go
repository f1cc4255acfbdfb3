package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/licensecheck"
)

// allowed lists the licences under which everybody may use, change and redistribute the release, as
// long as it contains the licence texts.
var allowed = []string{
	"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-2-Clause-Views", "BSD-3-Clause",
	"ISC", "MIT", "MIT-0", "MPL-2.0", "OFL-1.1", "Unlicense",
}

// component is a third-party module or package that is part of the program.
type component struct {
	purl, name, version string
	licence             string // SPDX identifier.
	text                string // Texts of the licence and of notices.
}

// components returns the components of all builds and of the web client. The error names every
// component whose licence is unknown or not allowed.
func components(ctx context.Context, builds []build) ([]component, error) {
	found, err := modules(ctx, builds)
	if err != nil {
		return nil, err
	}
	client, err := packages("package-lock.json")
	if err != nil {
		return nil, err
	}
	found = append(found, client...)
	var wrong []error
	for _, c := range found {
		if !slices.Contains(allowed, c.licence) {
			wrong = append(wrong, fmt.Errorf(
				"%s %s has the licence %q, which is not one of %s: "+
					"remove the dependency, or add the licence to the list if it permits use and redistribution by everybody",
				c.name, c.version, c.licence, strings.Join(allowed, ", "),
			))
		}
	}
	slices.SortFunc(found, func(a, b component) int { return cmp.Compare(a.purl, b.purl) })
	return found, errors.Join(wrong...)
}

// modules returns the Go modules that are linked into any of the builds, and the standard library.
// Modules of this repository, such as gokaplus, are parts of the program and share its licence.
func modules(ctx context.Context, builds []build) ([]component, error) {
	paths := map[string]string{} // module@version to import path
	for _, b := range builds {
		for _, m := range b.info.Deps {
			if strings.HasPrefix(m.Path, b.info.Main.Path+"/") {
				continue
			}
			if m.Replace != nil {
				return nil, fmt.Errorf("the module %s is replaced: "+
					"remove the replace directive, because a release may contain published modules only",
					m.Path)
			}
			paths[m.Path+"@"+m.Version] = m.Path
		}
	}
	args := []string{"mod", "download", "-json"}
	for at := range paths {
		args = append(args, at)
	}
	download := exec.CommandContext(ctx, "go", args...)
	download.Stderr = os.Stderr
	output, err := download.Output()
	if err != nil {
		return nil, fmt.Errorf("downloading the sources of the modules: %w", err)
	}
	goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("finding Go's own sources: %w", err)
	}
	type module struct{ Path, Version, Dir string }
	found := []module{{"std", strings.TrimPrefix(builds[0].info.GoVersion, "go"), strings.TrimSpace(string(goroot))}}
	for decoder := json.NewDecoder(strings.NewReader(string(output))); decoder.More(); {
		var m module
		if err := decoder.Decode(&m); err != nil {
			return nil, fmt.Errorf("reading the output of go mod download: %w", err)
		}
		found = append(found, m)
	}
	var all []component
	for _, m := range found {
		c := component{purl: "pkg:golang/" + m.Path + "@" + m.Version, name: m.Path, version: m.Version}
		if c.licence, c.text, err = licenceIn(m.Dir); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// packages returns the npm packages in the lock file that the web client needs at run time.
func packages(lock string) ([]component, error) {
	data, err := os.ReadFile(lock)
	if err != nil {
		return nil, err
	}
	var locked struct {
		Packages map[string]struct {
			Version, License                 string
			Dev, DevOptional, Link, Optional bool
		}
	}
	if err := json.Unmarshal(data, &locked); err != nil {
		return nil, fmt.Errorf("reading %s: %w", lock, err)
	}
	var all []component
	for path, p := range locked.Packages {
		i := strings.LastIndex(path, "node_modules/")
		if i < 0 || p.Dev || p.DevOptional || p.Link || p.Optional {
			continue
		}
		name := path[i+len("node_modules/"):]
		c := component{purl: "pkg:npm/" + strings.Replace(name, "@", "%40", 1) + "@" + p.Version, name: name, version: p.Version}
		if c.licence, c.text, err = licenceIn(filepath.Join(filepath.Dir(lock), path)); err != nil {
			return nil, err
		}
		// Some packages have no licence text or one that is not recognised. The licence that they declare
		// counts then.
		if c.licence == "" || c.text == "" {
			c.licence = p.License
		}
		all = append(all, c)
	}
	return all, nil
}

// licenceIn reads the licence texts in a directory, but not in its subdirectories. The licence is
// empty if no text is recognised.
func licenceIn(dir string) (licence, text string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", "", fmt.Errorf("looking for a licence: %w; run npm ci first", err)
	}
	var texts []string
	for _, e := range entries {
		upper := strings.ToUpper(e.Name())
		legal := slices.ContainsFunc([]string{"LICEN", "COPYING", "UNLICENSE", "NOTICE", "PATENTS"}, func(start string) bool {
			return strings.HasPrefix(upper, start)
		})
		if e.IsDir() || !legal {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", "", err
		}
		texts = append(texts, strings.TrimSpace(strings.ReplaceAll(string(data), "\r\n", "\n")))
		if cover := licensecheck.Scan(data); licence == "" && cover.Percent >= 50 && len(cover.Match) > 0 {
			licence = cover.Match[0].ID
		}
	}
	return licence, strings.Join(texts, "\n\n"), nil
}

// text returns the content of THIRD_PARTY_LICENSES.txt.
func text(parts []component) string {
	var b strings.Builder
	b.WriteString("eCupcakes contains the work of others, under these licences.\n")
	for _, c := range parts {
		fmt.Fprintf(&b, "\n%s\n%s %s (%s)\n\n%s\n", strings.Repeat("=", 80), c.name, c.version, c.licence, c.text)
	}
	return b.String()
}

// writeBill writes the software bill of materials in CycloneDX JSON.
func writeBill(path string, b build, parts []component) (err error) {
	bill := cyclonedx.NewBOM()
	bill.Metadata = &cyclonedx.Metadata{
		Timestamp: b.at.UTC().Format(time.RFC3339),
		Component: &cyclonedx.Component{
			BOMRef: "ecupcakes", Type: cyclonedx.ComponentTypeApplication, Name: "ecupcakes", Version: b.version,
			Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "Apache-2.0"}}},
		},
	}
	list := make([]cyclonedx.Component, len(parts))
	for i, c := range parts {
		list[i] = cyclonedx.Component{
			BOMRef: c.purl, Type: cyclonedx.ComponentTypeLibrary, Name: c.name, Version: c.version, PackageURL: c.purl,
			Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: c.licence}}},
		}
	}
	bill.Components = &list
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	encoder := cyclonedx.NewBOMEncoder(f, cyclonedx.BOMFileFormatJSON)
	encoder.SetPretty(true)
	return encoder.Encode(bill)
}
