// Command registry is distribution's registry of container images with files as its only storage
// driver, for machines that cannot pull an image of it. It accepts distribution's subcommands and
// configuration.
package main

import (
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/proxy"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	if registry.RootCmd.Execute() != nil {
		os.Exit(1)
	}
}
