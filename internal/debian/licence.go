package debian

import (
	"slices"
	"strings"

	"github.com/labstar/labstar/internal/format/deb"
)

// Licences returns the licences that the copyright file of a package names, by
// Debian's short names, sorted, a line each. A file in the machine-readable format
// (DEP-5) has them in its License fields; of another the licences of
// /usr/share/common-licenses that it points to are taken.
func Licences(text string) string {
	if strings.HasPrefix(text, deb.CopyrightOf) {
		return text
	}
	var found []string
	head, _, _ := strings.Cut(text, "\n\n")
	if strings.Contains(head, "copyright-format") || strings.HasPrefix(head, "Format:") {
		found = shortNames(text)
	}
	if len(found) == 0 {
		found = commonLicences(text)
	}
	slices.Sort(found)
	var b strings.Builder
	for _, l := range slices.Compact(found) {
		b.WriteString(l + "\n")
	}
	return b.String()
}

// shortNames reads the License fields: names joined by "or", "and" and commas.
func shortNames(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		value, ok := strings.CutPrefix(line, "License:")
		if !ok {
			continue
		}
		value = strings.ReplaceAll(value, ",", " ")
		words := strings.Fields(value)
		for i := 0; i < len(words); i++ {
			w := words[i]
			if w == "or" || w == "and" || w == "and/or" {
				continue
			}
			if w == "with" { // an exception: part of the name before it
				for i++; i < len(words) && words[i] != "or" && words[i] != "and"; i++ {
					if len(found) > 0 {
						found[len(found)-1] += "-" + words[i]
					}
				}
				continue
			}
			found = append(found, w)
		}
	}
	return found
}

const commonFolder = "/usr/share/common-licenses/"

func commonLicences(text string) []string {
	var found []string
	for rest := text; ; {
		i := strings.Index(rest, commonFolder)
		if i < 0 {
			break
		}
		rest = rest[i+len(commonFolder):]
		end := strings.IndexFunc(rest, func(r rune) bool {
			return r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		})
		if end < 0 {
			end = len(rest)
		}
		if name := strings.Trim(rest[:end], ".-"); name != "" {
			found = append(found, name)
		}
	}
	for name, phrase := range telling {
		if strings.Contains(text, phrase) {
			found = append(found, name)
		}
	}
	return found
}

// telling are phrases of licences that are short enough to be quoted in full.
var telling = map[string]string{
	"Expat": "Permission is hereby granted, free of charge, to any person obtaining",
	"Zlib":  "This software is provided 'as-is', without any express or implied",
	"ISC":   "Permission to use, copy, modify, and/or distribute this software for any",
}
