// Reads alert rules and queries as Prometheus does, and says which alerts fire on the metrics of a host. Its input is a
// request as JSON on standard input, and so is its answer on standard output.
package main

import (
	"context"
	"encoding/json"
	"log"
	"log/slog"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
)

type request struct {
	// A file of rules.
	Rules   string   `json:"rules"`
	Queries []string `json:"queries"`
	// Metrics of each host, in the text format, by its name.
	Hosts map[string]string `json:"hosts"`
	// When they are looked at, in Unix seconds.
	At int64 `json:"at"`
}

type expression struct {
	Text    string   `json:"text"`
	Metrics []string `json:"metrics"`
	// The label sets of its result.
	Result  []map[string]string `json:"result"`
	Problem string              `json:"problem"`
}

type alert struct {
	Name        string            `json:"name"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Expression  expression        `json:"expression"`
}

type answer struct {
	Problems []string     `json:"problems"`
	Alerts   []alert      `json:"alerts"`
	Queries  []expression `json:"queries"`
}

func main() {
	var asked request
	check(json.NewDecoder(os.Stdin).Decode(&asked))
	at := time.Unix(asked.At, 0)
	reader := parser.NewParser(parser.Options{})
	groups, errs := rulefmt.Parse([]byte(asked.Rules), false, model.UTF8Validation, reader, slog.Default())
	told := answer{Problems: []string{}, Alerts: []alert{}, Queries: []expression{}}
	for _, err := range errs {
		told.Problems = append(told.Problems, err.Error())
	}
	folder, err := os.MkdirTemp("", "metrics-")
	check(err)
	defer os.RemoveAll(folder)
	db, err := tsdb.Open(folder, nil, nil, tsdb.DefaultOptions(), nil)
	check(err)
	defer db.Close()
	store(db, asked.Hosts, at)
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: reader})
	run := func(text string) expression {
		found := expression{Text: text, Metrics: []string{}, Result: []map[string]string{}}
		parsed, err := reader.ParseExpr(text)
		if err != nil {
			found.Problem = err.Error()
			return found
		}
		parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
			if selector, ok := node.(*parser.VectorSelector); ok {
				found.Metrics = append(found.Metrics, selector.Name)
			}
			return nil
		})
		sort.Strings(found.Metrics)
		query, err := engine.NewInstantQuery(context.Background(), db, nil, text, at)
		check(err)
		defer query.Close()
		result := query.Exec(context.Background())
		if result.Err != nil {
			found.Problem = result.Err.Error()
			return found
		}
		vector, err := result.Vector()
		check(err)
		for _, sample := range vector {
			found.Result = append(found.Result, sample.Metric.Map())
		}
		return found
	}
	if groups != nil {
		for _, group := range groups.Groups {
			for _, rule := range group.Rules {
				told.Alerts = append(told.Alerts, alert{
					rule.Alert, rule.For.String(), rule.Labels, rule.Annotations, run(rule.Expr),
				})
			}
		}
	}
	for _, text := range asked.Queries {
		told.Queries = append(told.Queries, run(text))
	}
	check(json.NewEncoder(os.Stdout).Encode(told))
}

// As a scrape of each host's node_exporter stores them.
func store(db *tsdb.DB, hosts map[string]string, at time.Time) {
	appender := db.Appender(context.Background())
	for host, text := range hosts {
		reader := expfmt.NewTextParser(model.UTF8Validation)
		families, err := reader.TextToMetricFamilies(strings.NewReader(text))
		check(err)
		for name, family := range families {
			for _, metric := range family.Metric {
				set := map[string]string{"__name__": name, "instance": host, "job": "node"}
				for _, label := range metric.Label {
					set[label.GetName()] = label.GetValue()
				}
				_, err := appender.Append(0, labels.FromMap(set), at.UnixMilli(), metric.Gauge.GetValue())
				check(err)
			}
		}
	}
	check(appender.Commit())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
