// Command runc-within is an OCI runtime for machines that withhold capabilities, such as virtual
// machines and containers whose bounding set is not full.
//
// `docker run --privileged` requests every capability that exists, and runc fails when it cannot
// grant all of them. This program requests only those that the machine has, and passes everything
// else to runc unchanged. It grants nothing.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

func main() {
	err := run(os.Args[1:])
	fmt.Fprintf(os.Stderr, "runc-within: %v\n", err) // run returns only when it fails
	os.Exit(1)
}

// run reduces the files named by the arguments and then executes runc.
func run(arguments []string) error {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	bounding, err := boundingSet(string(status))
	if err != nil {
		return err
	}
	names := withheld(bounding)
	for _, file := range documents(arguments) {
		if err := reduceFile(file, names); err != nil {
			return err
		}
	}
	path, err := findRunc()
	if err != nil {
		return err
	}
	return syscall.Exec(path, append([]string{"runc"}, arguments...), os.Environ())
}

// findRunc also searches the system's directories: the PATH of a service may lack them.
func findRunc() (string, error) {
	if path, err := exec.LookPath("runc"); err == nil {
		return path, nil
	}
	for _, folder := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(folder, "runc")); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("`runc` not found in PATH, /usr/sbin or /sbin; install it")
}
