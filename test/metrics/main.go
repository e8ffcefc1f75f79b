// Reads metrics as Prometheus does, with its own parser and the rules of `promtool check metrics`, and prints what it
// read and what it has against them as JSON.
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"os"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

type sample struct {
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
}

type answer struct {
	Problems []promlint.Problem  `json:"problems"`
	Metrics  map[string][]sample `json:"metrics"`
}

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		log.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		log.Fatal(err)
	}
	metrics := map[string][]sample{}
	for name, family := range families {
		for _, metric := range family.Metric {
			labels := map[string]string{}
			for _, label := range metric.Label {
				labels[label.GetName()] = label.GetValue()
			}
			metrics[name] = append(metrics[name], sample{labels, metric.Gauge.GetValue()})
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer{problems, metrics}); err != nil {
		log.Fatal(err)
	}
}
