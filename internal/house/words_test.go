package house

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// phrase is a wording that readers stumble over.
type phrase struct {
	pattern string // A regular expression of whole words, without regard to case.
	reason  string // Why it is refused, with what to write instead.
}

var phrases = []phrase{
	{`anew`, `archaic: write "again", or the field's word (rebuild, reassign, recover)`},
	{`whoever`, "no actor: name the client, the person or the process"},
	{`(?:who|which|what) comes`, "no actor: name the client, the order or the screen"},
	{`is none`, `calque: write "there is no …", or "is empty"`},
	{`as (?:it is|they are)`, `calque: write "unchanged", "verbatim" or "its present state"`},
	{`mend(?:s|ed|ing)?`, `archaic: write "fix"`},
	{`for ever`, `archaic: write "forever", or state that there is no limit`},
	{`from when on`, `calque: write "age after which", or "time from which"`},
	{`from then on`, `calque: write "afterwards", or name the event`},
	{`made again`, `calque: write "remade" or "renewed"`},
	{`go(?:es)? on (?:with|where|after|there|again|by)`, `calque: write "continues" or "resumes"`},
	{`the line goes on`, `calque: write "processing continues"`},
	{`stands? still`, `calque: write "is not processing" or "is stalled"`},
	{`(?:is|are) taken for dead`, `write "counts as dead" or "is fenced"`},
	{`throws? (?:each other|it|them) out`, `write "fences"`},
	{`hears? of`, `write "receives" or "learns of"`},
	{`heard of`, `write "received from" or "a heartbeat from"`},
	{`never knows|knows nothing`, `a package knows nothing and everything: write "does not import …"`},
	{`save that|save for`, `archaic: write "except"`},
	{`what is not \w+ is`, "no subject: name what it is about"},
	{`at whatever`, `calque: write "on any"`},
	{`says whether`, `Go's idiom is "reports whether"`},
	{`one way or the other`, `write both: "done or rejected"`},
	{`even odds`, `write "the median" or "p50"`},
	{`nine to one`, `write "p90"`},
}

// exception allows a phrase where it is right.
type exception struct {
	file    string // A path, a folder that ends with a slash, or empty for all files.
	pattern string // Of phrases.
	context string // A part of the text that contains the phrase.
	reason  string
}

var exceptions = []exception{
	{"internal/house/words_test.go", "", "", "the list itself"},
	{"ops/doctor/", `mend(?:s|ed|ing)?`, `mend"`, "a field of the public JSON of `ecupcakes doctor --json`, quoted"},
	{"ops/doctor/", `mend(?:s|ed|ing)?`, `mend\"`, "the same in a Go literal"},
	{"cmd/ecupcakes/", `mend(?:s|ed|ing)?`, `\"mend\"`, "a test of that field"},
	{"test/", `mend(?:s|ed|ing)?`, `\"mend\"`, "a test of that field"},
	{"", `is none`, "there is none", "plain English with its subject"},
	{"", `as (?:it is|they are)`, " long as ", "a condition of time: plain English"},
	{"", `as (?:it is|they are)`, " soon as ", "a condition of time: plain English"},
	{"", `as (?:it is|they are)`, " far as ", "a condition of extent: plain English"},
	{"CHANGELOG.md", "", "", "it quotes earlier names"},
}

func (e exception) covers(file, pattern, text string) bool {
	in := e.file == "" || e.file == file || strings.HasSuffix(e.file, "/") && strings.HasPrefix(file, e.file)
	return in && (e.pattern == "" || e.pattern == pattern) && strings.Contains(text, e.context)
}

// text is a piece of prose.
type text struct {
	file string
	line int
	body string
}

var skipped = []string{"node_modules", "dist", "testdata", "data", "bin", ".git"}

// files returns the paths below the root whose name has the suffix, relative to
// it.
func files(t *testing.T, suffix string) (found []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(skipped, d.Name()):
			return filepath.SkipDir
		case d.Type().IsRegular() && strings.HasSuffix(path, suffix):
			name, err := filepath.Rel(root, path)
			found = append(found, filepath.ToSlash(name))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// goTexts returns the comments and string literals of a Go file.
func goTexts(t *testing.T, file string) (found []text) {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, read(t, file), parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range parsed.Comments {
		found = append(found, text{file, set.Position(group.Pos()).Line, group.Text()})
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				value = literal.Value
			}
			if value != "" && !strings.Contains(value, " ") { // One word may be a name in a protocol: quoted, so that an exception can say so.
				value = strconv.Quote(value)
			}
			found = append(found, text{file, set.Position(literal.Pos()).Line, value})
		}
		return true
	})
	return found
}

// jsonTexts returns the strings of a file of translations.
func jsonTexts(t *testing.T, file string) (found []text) {
	t.Helper()
	body := read(t, file)
	var visit func(any)
	visit = func(v any) {
		switch v := v.(type) {
		case string:
			at := max(0, strings.Index(body, v))
			found = append(found, text{file, 1 + strings.Count(body[:at], "\n"), v})
		case map[string]any:
			for _, e := range v {
				visit(e)
			}
		}
	}
	var all any
	if err := json.Unmarshal([]byte(body), &all); err != nil {
		t.Fatal(err)
	}
	visit(all)
	return found
}

// prose returns everything that people read: pages, comments, messages and the
// English words of the client.
func prose(t *testing.T) (found []text) {
	t.Helper()
	for _, file := range files(t, ".md") {
		line := 1
		for paragraph := range strings.SplitSeq(read(t, file), "\n\n") {
			found = append(found, text{file, line, paragraph})
			line += strings.Count(paragraph, "\n") + 2
		}
	}
	for _, file := range files(t, ".go") {
		found = append(found, goTexts(t, file)...)
	}
	english := "web/src/locales/en.json"
	if _, err := os.Stat(filepath.Join(root, english)); !errors.Is(err, fs.ErrNotExist) {
		found = append(found, jsonTexts(t, english)...)
	}
	return found
}

func TestProseUsesTheFieldsWords(t *testing.T) {
	spaces := regexp.MustCompile(`\s+`)
	var refused []*regexp.Regexp
	var all []string
	for _, p := range phrases {
		refused = append(refused, regexp.MustCompile(`(?i)\b(?:`+p.pattern+`)\b`))
		all = append(all, p.pattern)
	}
	anyOf := regexp.MustCompile(`(?i)\b(?:` + strings.Join(all, "|") + `)\b`)
	count := 0
	for _, s := range prose(t) {
		body := spaces.ReplaceAllString(s.body, " ")
		if !anyOf.MatchString(body) {
			continue
		}
		for i, p := range phrases {
			for _, at := range refused[i].FindAllStringIndex(body, -1) {
				around := body[max(0, at[0]-40):min(len(body), at[1]+40)]
				if slices.ContainsFunc(exceptions, func(e exception) bool { return e.covers(s.file, p.pattern, around) }) {
					continue
				}
				count++
				t.Errorf("%s:%d: …%s…: %q: %s", s.file, s.line, around, body[at[0]:at[1]], p.reason)
			}
		}
	}
	if count > 0 {
		t.Logf("%d phrases to rewrite", count)
	}
}
