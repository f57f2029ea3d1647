package main

import (
	"encoding/xml"
	"fmt"
	"os"
	"strings"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/internal/term"
)

// The elements of JUnit's report that CI servers read.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string       `xml:"name,attr"`
		Class   string       `xml:"classname,attr"`
		File    string       `xml:"file,attr"`
		Time    string       `xml:"time,attr"`
		Failure *junitDetail `xml:"failure,omitempty"`
	}
	junitDetail struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes how the tests ended for a CI server. A test that was not run
// since something failed is a failure: a report without it would be green.
func writeJUnit(name, script string, seconds float64, results []testEvent) error {
	suite := junitSuite{Name: script, Tests: len(results), Time: fmt.Sprintf("%.3f", seconds)}
	for _, r := range results {
		c := junitCase{Name: r.Name, Class: script, File: r.At, Time: fmt.Sprintf("%.3f", r.Seconds)}
		if r.Status == labstar.Failed || r.Status == labstar.NotRun {
			suite.Failures++
			lines := make([]string, len(r.Tail))
			for i, line := range r.Tail {
				lines[i] = term.Clean(line)
			}
			c.Failure = &junitDetail{Message: cleanLines(r.Message), Text: strings.Join(lines, "\n")}
		}
		suite.Cases = append(suite.Cases, c)
	}
	b, err := xml.MarshalIndent(junitSuites{Suites: []junitSuite{suite}}, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := os.WriteFile(name, append([]byte(xml.Header), append(b, '\n')...), 0o644); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}
