// Parses Logstash configuration files with a full grammar and prints every plugin in them as one JSON line.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	config "github.com/breml/logstash-config"
	"github.com/breml/logstash-config/ast"
	"github.com/breml/logstash-config/ast/astutil"
)

type plugin struct {
	File     string            `json:"file"`
	Section  string            `json:"section"`
	Name     string            `json:"name"`
	Settings map[string]string `json:"settings"`
}

func main() {
	for _, file := range os.Args[1:] {
		parsed, err := config.ParseFile(file)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
			os.Exit(1)
		}
		tree := parsed.(ast.Config)
		show(file, "input", tree.Input)
		show(file, "filter", tree.Filter)
		show(file, "output", tree.Output)
	}
}

func show(file, section string, parts []ast.PluginSection) {
	for _, part := range parts {
		astutil.ApplyPlugins(part.BranchOrPlugins, func(c *astutil.Cursor) {
			settings := map[string]string{}
			for _, attribute := range c.Plugin().Attributes {
				settings[attribute.Name()] = attribute.ValueString()
			}
			line, _ := json.Marshal(plugin{file, section, c.Plugin().Name(), settings})
			fmt.Println(string(line))
		})
	}
}
