// Tells what Flux would think of resources, with the library that Flux asks.
//
// It reads a YAML stream of resources and prints a line for each: its name, a tab, its status.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
)

func main() {
	if err := tell(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func tell(input io.Reader, output io.Writer) error {
	decoder := yaml.NewYAMLOrJSONDecoder(input, 4096)
	for {
		resource := unstructured.Unstructured{}
		if err := decoder.Decode(&resource); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		result, err := status.Compute(&resource)
		if err != nil {
			return fmt.Errorf("%s: %w", resource.GetName(), err)
		}
		fmt.Fprintf(output, "%s\t%s\n", resource.GetName(), result.Status)
	}
}
