package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Linux's capabilities in the order of their numbers (linux/capability.h).
var capabilities = strings.Fields(`
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW
IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD
LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)

// document is a JSON file with capabilities, and the keys under which it has them.
type document struct {
	path string
	keys []string
}

// documents returns the files from which runc, with these arguments, reads capabilities: the
// configuration of a bundle (OCI runtime specification, "config.json"), or the process that
// `exec` starts.
func documents(arguments []string) []document {
	at := slices.IndexFunc(arguments, func(word string) bool { return word == "create" || word == "run" || word == "exec" })
	if at < 0 {
		return nil
	}
	var found []document
	for i, word := range arguments {
		flag, value, joined := strings.Cut(word, "=")
		if !joined {
			if i+1 == len(arguments) {
				continue
			}
			value = arguments[i+1]
		}
		switch isExec := arguments[at] == "exec"; {
		case !isExec && (flag == "--bundle" || flag == "-b"):
			found = append(found, document{filepath.Join(value, "config.json"), []string{"process", "capabilities"}})
		case isExec && (flag == "--process" || flag == "-p"):
			found = append(found, document{value, []string{"capabilities"}})
		}
	}
	return found
}

// boundingSet parses the capability bounding set in /proc/PID/status.
func boundingSet(status string) (uint64, error) {
	for line := range strings.Lines(status) {
		if digits, found := strings.CutPrefix(line, "CapBnd:"); found {
			return strconv.ParseUint(strings.TrimSpace(digits), 16, 64)
		}
	}
	return 0, fmt.Errorf("/proc/self/status has no line CapBnd")
}

// withheld returns the names of the capabilities that a bounding set lacks.
func withheld(bounding uint64) []string {
	var names []string
	for number, name := range capabilities {
		if bounding>>number&1 == 0 {
			names = append(names, "CAP_"+name)
		}
	}
	return names
}

// reduceFile removes the withheld capabilities from a document, which is replaced atomically and
// keeps its permissions. A document that cannot be read or parsed is left alone: runc reports the
// error. So is every document when nothing is withheld.
func reduceFile(file document, withheld []string) error {
	if len(withheld) == 0 {
		return nil
	}
	info, err := os.Stat(file.path)
	if err != nil {
		return nil
	}
	text, err := os.ReadFile(file.path)
	if err != nil {
		return nil
	}
	reduced, err := reduce(text, file.keys, withheld)
	if err != nil {
		return nil
	}
	unfinished := file.path + ".reduced"
	if err := os.WriteFile(unfinished, reduced, info.Mode().Perm()); err != nil {
		return err
	}
	if err := os.Chmod(unfinished, info.Mode().Perm()); err != nil { // independently of the umask
		return err
	}
	return os.Rename(unfinished, file.path)
}

// reduce removes names from every list of the object under these keys. Everything else stays byte
// for byte, so that no number loses digits.
func reduce(text []byte, keys, withheld []string) ([]byte, error) {
	if len(keys) == 0 {
		return reduceLists(text, withheld)
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, err
	}
	inner, found := object[keys[0]]
	if !found || string(inner) == "null" {
		return text, nil
	}
	reduced, err := reduce(inner, keys[1:], withheld)
	if err != nil {
		return nil, err
	}
	object[keys[0]] = reduced
	return encode(object)
}

// reduceLists removes names from each capability set: bounding, effective, permitted,
// inheritable, ambient.
func reduceLists(text []byte, withheld []string) ([]byte, error) {
	var kinds map[string][]string
	if err := json.Unmarshal(text, &kinds); err != nil {
		return nil, err
	}
	for kind, names := range kinds {
		kinds[kind] = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(withheld, name) })
	}
	return encode(kinds)
}

// encode writes JSON without HTML escapes.
func encode(value any) ([]byte, error) {
	var to bytes.Buffer
	encoder := json.NewEncoder(&to)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return to.Bytes(), err
}
