package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestCapabilitiesAreTakenOutAndAllElseStays(t *testing.T) {
	config, process := []string{"process", "capabilities"}, []string{"capabilities"}
	for _, test := range []struct {
		name         string
		keys         []string
		before, want string
	}{
		{
			"a bundle's configuration", config,
			`{"ociVersion":"1.2.0","process":{"args":["a<b&c"],"capabilities":{"ambient":["CAP_BPF"],"bounding":["CAP_KILL","CAP_SYS_TIME","CAP_CHOWN"]}}}`,
			`{"ociVersion":"1.2.0","process":{"args":["a<b&c"],"capabilities":{"ambient":[],"bounding":["CAP_KILL","CAP_CHOWN"]}}}`,
		},
		{
			"the process of exec", process,
			`{"capabilities":{"effective":["CAP_SYS_TIME","CAP_KILL"]},"cwd":"/"}`,
			`{"capabilities":{"effective":["CAP_KILL"]},"cwd":"/"}`,
		},
		{
			"numbers that do not fit into a float", config,
			`{"linux":{"x":18446744073709551615},"process":{"capabilities":{"bounding":["CAP_BPF"]},"rlimits":[{"hard":9007199254740993}]}}`,
			`{"linux":{"x":18446744073709551615},"process":{"capabilities":{"bounding":[]},"rlimits":[{"hard":9007199254740993}]}}`,
		},
		{
			"capabilities that Linux does not have", process,
			`{"capabilities":{"bounding":["CAP_OF_TOMORROW"]}}`,
			`{"capabilities":{"bounding":["CAP_OF_TOMORROW"]}}`,
		},
		{"no capabilities", config, `{"process":{"cwd":"/"}}`, `{"process":{"cwd":"/"}}`},
		{"capabilities that are null", config, `{"process":{"capabilities":null}}`, `{"process":{"capabilities":null}}`},
		{"no process, as in Windows containers", config, `{"hostname":"x"}`, `{"hostname":"x"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := reduce([]byte(test.before), test.keys, []string{"CAP_SYS_TIME", "CAP_BPF"})
			if err != nil || strings.TrimSpace(string(got)) != test.want {
				t.Errorf("%v\n got %s\nwant %s", err, got, test.want)
			}
		})
	}
}

func TestWhatIsNoConfigurationIsAnError(t *testing.T) {
	for _, text := range []string{``, `[`, `[]`, `{"process":7}`, `{"process":{"capabilities":["CAP_KILL"]}}`} {
		if got, err := reduce([]byte(text), []string{"process", "capabilities"}, nil); err == nil {
			t.Errorf("%s became %s", text, got)
		}
	}
}

func TestDocumentsAreThoseThatRuncReads(t *testing.T) {
	config := func(path string) document { return document{path, []string{"process", "capabilities"}} }
	for _, test := range []struct {
		arguments string
		want      []document
	}{
		{"--root /r --log /l create --bundle /b --pid-file /p id", []document{config("/b/config.json")}},
		{"create -b /b id", []document{config("/b/config.json")}},
		{"run --bundle=/b id", []document{config("/b/config.json")}},
		{"exec --process /tmp/p --detach id", []document{{"/tmp/p", []string{"capabilities"}}}},
		{"exec -p /tmp/p id", []document{{"/tmp/p", []string{"capabilities"}}}},
		{"exec id run --bundle /b", nil}, // the program's own arguments
		{"start id", nil},
		{"delete --force --bundle /b id", nil},
		{"create --bundle", nil},
		{"", nil},
	} {
		if got := documents(strings.Fields(test.arguments)); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: %v, want %v", test.arguments, got, test.want)
		}
	}
}

func TestWhatTheMachineWithholdsIsReadFromItsBoundingSet(t *testing.T) {
	for _, test := range []struct {
		status string
		want   []string
	}{
		{"CapEff:\t0\nCapBnd:\t000001ffffffffff\nCapAmb:\t0\n", nil},
		{"CapBnd:\t000001fffeffffff\n", []string{"CAP_SYS_RESOURCE"}},
		{"CapBnd:\t000000fffffffffe\n", []string{"CAP_CHOWN", "CAP_CHECKPOINT_RESTORE"}},
	} {
		bounding, err := boundingSet(test.status)
		if got := withheld(bounding); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q: %v, %v, want %v", test.status, got, err, test.want)
		}
	}
	for _, status := range []string{"", "CapBnd:\tmany\n"} {
		if bounding, err := boundingSet(status); err == nil {
			t.Errorf("%q is %x", status, bounding)
		}
	}
}

func TestAFileIsReplacedOrLeftAlone(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "config.json")
	for _, test := range []struct{ before, want string }{
		{`{"process":{"capabilities":{"bounding":["CAP_BPF"]}}}`, `{"process":{"capabilities":{"bounding":[]}}}`},
		{`no JSON`, `no JSON`},
	} {
		if err := os.WriteFile(path, []byte(test.before), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := reduceFile(document{path, []string{"process", "capabilities"}}, []string{"CAP_BPF"}); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(got)) != test.want {
			t.Errorf("%s, %v, want %s", got, err, test.want)
		}
	}
	if err := reduceFile(document{filepath.Join(folder, "missing.json"), nil}, []string{"CAP_BPF"}); err != nil {
		t.Errorf("a missing file: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*.reduced")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAReplacedFileKeepsItsPermissions(t *testing.T) {
	for _, mode := range []os.FileMode{0o600, 0o640, 0o666} { // the last exceeds what a umask allows
		path := filepath.Join(t.TempDir(), "config.json")
		if err := os.WriteFile(path, []byte(`{"capabilities":{"bounding":["CAP_BPF"]}}`), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := reduceFile(document{path, []string{"capabilities"}}, []string{"CAP_BPF"}); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil || strings.Contains(string(text), "CAP_BPF") {
			t.Errorf("%s, %v", text, err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%v, %v, want %v", info, err, mode)
		}
	}
}

func TestADocumentIsUntouchedWhereNothingIsWithheld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.json")
	text := `{ "b": 1, "a": 2, "capabilities": {"bounding": ["CAP_BPF"]} }` // no encoder formats it this way
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := reduceFile(document{path, []string{"capabilities"}}, nil); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(path)
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("another file: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("%s, %v, want %s", got, err, text)
	}
}
